package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// Cache rules. A page and an asset of a foreign version are asked for again
// each time, which costs one 304; an asset under its own hash never changes.
const (
	cacheRevalidate = "no-cache"
	cacheForever    = "public, max-age=31536000, immutable"
)

// file is one answer, ready to be written. It is immutable.
type file struct {
	body  []byte
	mime  string
	etag  string
	cache string
}

func newFile(body []byte, mime string) *file {
	sum := sha256.Sum256(body)
	return &file{body: body, mime: mime, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, cache: cacheRevalidate}
}

func (f *file) immutable() *file {
	g := *f
	g.cache = cacheForever
	return &g
}

// serve writes the file, or 304 when the client has it (RFC 9110, section
// 13.1.2). Ranges are not offered: the files are a few kilobytes, and many
// overlapping ranges of one would cost more than the whole.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", f.cache)
	if noneMatch(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mime)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body) // a client that went away is nobody's news
	}
}

// noneMatch tells whether the client's list names this entity tag, compared
// weakly as RFC 9110, section 8.8.3.2 asks.
func noneMatch(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
