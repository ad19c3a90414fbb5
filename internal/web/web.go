// Package web serves Magpie's own pages from the binary: the chat app (built
// from web/chat), the classic page, and their assets.
//
// It does not read the file system, list directories, allow inline scripts or
// load anything from another host: every page has a strict
// Content-Security-Policy, and a path is one of a fixed set or a 404. It knows
// no channel and no session: the pages use the doors like any other client. It
// starts no goroutine.
package web

import (
	"net/http"
	"strings"
)

// Options is what the pages show of the server they come from. Nothing here
// is a secret: all of it is readable by anyone who can load the page.
type Options struct {
	// RedisCLI is how redis-cli is called to reach the server's Redis, without
	// credentials. Empty: the engine is another, and the page shows no command.
	RedisCLI string
	// Open tells that anyone may subscribe and publish. Otherwise the page asks
	// for a token, and its commands have a placeholder for the key.
	Open bool
	// Personal is the prefix of the channels that belong to one user each, as
	// the setting personal_channel says: the bell listens to the reader's. Empty:
	// there are none.
	Personal string
	// Version is shown in the footer. Empty: none.
	Version string
	// MaxPayload is the most that a message may have, in bytes; the app says so
	// before it sends. 0: 65536.
	MaxPayload int
	// Embedders are the origins whose pages may show the app in a frame:
	// scheme://host[:port] in lower case, or "*" for any. This site's own may
	// always.
	Embedders []string
}

// roomRoot is the start of rooms' addresses: /r/NAME.
const (
	roomRoot    = "/r/"
	longestRoom = 255 // bytes, decoded
)

// Handler serves the pages. It is immutable and safe for concurrent use.
type Handler struct {
	routes map[string]*file // by exact URL path
	assets map[string]*file // by name, without the build's hash
}

// New renders the pages for these options. It does no I/O and cannot fail:
// everything is embedded.
//
// Mount it on "/", beside the more specific doors: it answers GET and HEAD for
// /, /classic, /r/…, /embed, /embed.js, /sw.js, /favicon.ico and /assets/…, 405
// with Allow for other methods on these, and 404 for every other path.
func New(o Options) *Handler {
	if o.MaxPayload == 0 {
		o.MaxPayload = 65536
	}
	assets, hash := loadAssets()
	built := assets["app.js"] != nil
	h := &Handler{assets: assets, routes: renderPages(o, hash, built)}
	if built {
		embed := *assets["embed.js"]
		embed.shared = true
		h.routes["/embed.js"] = &embed
		h.routes["/sw.js"] = assets["sw.js"] // its scope is the directory it lies in
	}
	for name, f := range assets {
		own := *f
		own.cache = cacheForever
		h.routes[assetRoot+hash+"/"+name] = &own
	}
	h.routes["/favicon.ico"] = assets["mark.svg"]
	return h
}

// ServeHTTP answers with a page, an asset, or one sentence that says why not.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	f := h.find(r.URL.Path)
	switch {
	case f == nil:
		refuse(w, r, errNothing)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, r, errMethod)
	default:
		f.serve(w, r)
	}
}

// find looks the path up as it is. It is not cleaned first, so no form of a
// path reaches another one.
func (h *Handler) find(path string) *file {
	if f := h.routes[path]; f != nil {
		return f
	}
	if room, found := strings.CutPrefix(path, roomRoot); found && room != "" && len(room) <= longestRoom && !strings.Contains(room, "/") {
		return h.routes["/"] // the page reads the room's name from its address
	}
	rest, found := strings.CutPrefix(path, assetRoot)
	if !found {
		return nil
	}
	// While a new version rolls out, a page of one version may ask a node of
	// the other for its assets. A foreign hash gets this version's file,
	// uncached, rather than a page without script.
	if hash, name, found := strings.Cut(rest, "/"); found && isHash(hash) {
		return h.assets[name]
	}
	return nil
}
