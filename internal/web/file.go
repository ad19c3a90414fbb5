package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// Cache rules. A page, or an asset under another version's hash, is requested
// each time, which costs one 304. An asset under its own hash never changes.
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
	// encoded has compressed forms of the body, the best first.
	encoded []encoded
	// policy replaces the pages' Content-Security-Policy; "" does not.
	policy string
	// shared lets pages of other sites load the file as a script.
	shared bool
}

type encoded struct {
	encoding string
	body     []byte
}

func newFile(body []byte, mime string) *file {
	sum := sha256.Sum256(body)
	return &file{body: body, mime: mime, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, cache: cacheRevalidate}
}

// choose returns the body for what a client accepts. A coding that has the
// weight 0 is not used (RFC 9110, section 12.5.3); other weights are not compared.
func (f *file) choose(accept string) (encoding string, body []byte) {
	for _, e := range f.encoded {
		for item := range strings.SplitSeq(accept, ",") {
			name, weight, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), e.encoding) && !isZero(weight) {
				return e.encoding, e.body
			}
		}
	}
	return "", f.body
}

func isZero(weight string) bool {
	value, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
	return found && strings.Trim(value, "0.") == ""
}

// serve writes the file, or 304 when the client has it (RFC 9110, section
// 13.1.2). Ranges are not offered: the files are a few kilobytes, and many
// overlapping ranges of one would cost more than the whole.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	encoding, body := f.choose(r.Header.Get("Accept-Encoding"))
	etag := f.etag
	if len(f.encoded) > 0 {
		h.Set("Vary", "Accept-Encoding")
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
		etag = strings.TrimSuffix(etag, `"`) + "-" + encoding + `"` // other bytes, another tag
	}
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
	}
	if f.shared {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	h.Set("ETag", etag)
	h.Set("Cache-Control", f.cache)
	if noneMatch(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mime)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone; there is nobody to tell
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
