package web

import (
	"bytes"
	"embed"
	"html/template"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

const mimeHTML = "text/html; charset=utf-8"

// view is what the templates see.
type view struct {
	Assets   string // URL of the assets' directory, no slash at the end
	RedisCLI string // how redis-cli is called; empty without Redis
	Open     bool
	Personal string // prefix of personal channels
	Version  string
	// MaxPayload is in bytes. Embedded: the page is a frame on another.
	MaxPayload int
	Embedded   bool
}

// renderPages returns the pages by URL path. Without the app, its pages say how
// to build it.
func renderPages(o Options, hash string, built bool) map[string]*file {
	v := view{Assets: assetRoot + hash, RedisCLI: o.RedisCLI, Open: o.Open, Personal: o.Personal, Version: o.Version, MaxPayload: o.MaxPayload}
	pages := map[string]*file{"/classic": newFile(render("classic.html", v), mimeHTML)}
	if !built {
		pages["/"] = newFile(render("unbuilt.html", v), mimeHTML)
		return pages
	}
	pages["/"] = newFile(render("app.html", v), mimeHTML)
	pages["/embed-demo"] = newFile(render("demo.html", v), mimeHTML)
	pages["/embed-demo"].policy = policy("'none'") + "; frame-src 'self'"
	v.Embedded = true
	pages["/embed"] = newFile(render("app.html", v), mimeHTML)
	// This site's own pages and those that may connect (CSP level 3, section 6.4.2).
	pages["/embed"].policy = policy(strings.Join(append([]string{"'self'"}, o.Embedders...), " "))
	return pages
}

func render(name string, v any) []byte {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		panic(err) // embedded templates over fixed fields; a test renders each
	}
	return b.Bytes()
}
