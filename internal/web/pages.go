package web

import (
	"bytes"
	"embed"
	"html/template"
	"net"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

const mimeHTML = "text/html; charset=utf-8"

// view is what the templates see.
type view struct {
	Assets   string // URL of the assets' directory, no slash at the end
	Channel  string
	RedisCLI string // how redis-cli is called; empty without Redis
	Open     bool
	Version  string
}

// renderPages returns the pages by URL path.
func renderPages(o Options, hash string) map[string]*file {
	v := view{Assets: assetRoot + hash, Channel: o.Channel, RedisCLI: redisCLI(o), Open: o.Open, Version: o.Version}
	if v.Channel == "" {
		v.Channel = "chat"
	}
	return map[string]*file{
		"/":        newFile(render("room.html", v), mimeHTML),
		"/classic": newFile(render("classic.html", v), mimeHTML),
	}
}

func render(name string, v any) []byte {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		panic(err) // embedded templates over fixed fields; a test renders each
	}
	return b.Bytes()
}

// redisCLI is how to call redis-cli. Where strangers can read the page it does
// not name the host.
func redisCLI(o Options) string {
	if !o.Redis {
		return ""
	}
	host, port, err := net.SplitHostPort(o.RedisAddr)
	if err != nil || !o.Open {
		return "redis-cli"
	}
	call := "redis-cli"
	if host != "" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
		call += " -h " + host
	}
	if port != "" && port != "6379" {
		call += " -p " + port
	}
	return call
}
