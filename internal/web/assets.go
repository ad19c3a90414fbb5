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
			body := mustRead(dir.files, path.Join(dir.name, e.Name()))
			name, encoding := withoutEncoding(e.Name())
			if encoding != "" {
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

// withoutEncoding tells how a file is compressed, by its name.
func withoutEncoding(name string) (plain, encoding string) {
	if plain, ok := strings.CutSuffix(name, ".br"); ok {
		return plain, "br"
	}
	if plain, ok := strings.CutSuffix(name, ".gz"); ok {
		return plain, "gzip"
	}
	return name, ""
}

func mustRead(files fs.FS, name string) []byte {
	body, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err)
	}
	return body
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
