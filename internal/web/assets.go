package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed assets/*.js assets/*.css assets/*.svg
var assetFiles embed.FS

// The built app. It is there when `make build` had Node; the directory always is.
//
//go:embed all:app
var appFiles embed.FS

const (
	assetRoot = "/assets/"
	// hashLength is in hexadecimal digits: 64 bits tell versions apart.
	hashLength = 16
)

// mimeTypes is fixed here: mime.TypeByExtension depends on the machine, and
// with nosniff a wrong type would leave the page without its script.
var mimeTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// encodings tell how a file is compressed, by the end of its name.
var encodings = map[string]string{".br": "br", ".gz": "gzip"}

// loadAssets returns the assets of all pages and of the app by name, and one
// hash over all of them. The hash is a directory in the URL, so that modules
// import each other by relative names and still change address together.
func loadAssets() (assets map[string]*file, hash string) {
	assets = map[string]*file{}
	sum := sha256.New()
	for _, dir := range []struct {
		files fs.FS
		name  string
	}{{assetFiles, "assets"}, {appFiles, "app/dist"}} {
		entries, err := fs.ReadDir(dir.files, dir.name) // sorted: the hash is stable
		if errors.Is(err, fs.ErrNotExist) {
			continue // the app was not built
		}
		if err != nil {
			panic(err) // embedded: cannot be missing
		}
		for _, e := range entries {
			body, err := fs.ReadFile(dir.files, path.Join(dir.name, e.Name()))
			if err != nil {
				panic(err) // embedded
			}
			name := e.Name()
			if encoding := encodings[path.Ext(name)]; encoding != "" {
				name = strings.TrimSuffix(name, path.Ext(name))
				assets[name].encoded = append(assets[name].encoded, encoded{encoding, body}) // sorts behind what it encodes
				continue
			}
			fmt.Fprintf(sum, "%s %d\n", name, len(body))
			sum.Write(body)
			assets[name] = newFile(body, mimeTypes[path.Ext(name)])
		}
	}
	return assets, hex.EncodeToString(sum.Sum(nil))[:hashLength]
}

func isHash(s string) bool { return len(s) == hashLength && strings.Trim(s, "0123456789abcdef") == "" }
