package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
)

//go:embed assets/*.js assets/*.css assets/*.svg
var assetFiles embed.FS

const (
	assetRoot = "/assets/"
	// hashLength is in hexadecimal digits: 64 bits tell versions apart.
	hashLength = 16
)

// mimeTypes is a list of our own: mime.TypeByExtension asks the machine, and
// under nosniff a wrong answer there would leave the page without script.
var mimeTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets returns the assets by name and one hash over all of them. The
// hash is a directory in the URL, so that modules import each other by
// relative names and still change address together.
func loadAssets() (map[string]*file, string) {
	entries, err := fs.ReadDir(assetFiles, "assets") // sorted: the hash is stable
	if err != nil {
		panic(err) // embedded: cannot be missing
	}
	assets := make(map[string]*file, len(entries))
	sum := sha256.New()
	for _, e := range entries {
		body, err := fs.ReadFile(assetFiles, path.Join("assets", e.Name()))
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(sum, "%s %d\n", e.Name(), len(body))
		sum.Write(body)
		assets[e.Name()] = newFile(body, mimeTypes[path.Ext(e.Name())])
	}
	return assets, hex.EncodeToString(sum.Sum(nil))[:hashLength]
}

func isHash(s string) bool {
	if len(s) != hashLength {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
