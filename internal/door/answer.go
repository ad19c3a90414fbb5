package door

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Answer answers with v as one line of JSON.
func Answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return AnswerJSON(w, append(b, '\n'))
}

// AnswerJSON answers with lines of JSON. It keeps body until the client has it.
func AnswerJSON(w http.ResponseWriter, body []byte) error {
	SetHeaders(w.Header(), "application/json")
	_, _ = w.Write(body) // a client that has gone needs no answer
	return nil
}

// SetHeaders sets what every answer has that must not be stored or guessed at.
func SetHeaders(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// SetStreamHeaders is SetHeaders for an answer that goes on. A proxy must not
// hold its events back: nginx does by default, and others do to compress it,
// unless no-transform (RFC 9111, section 5.2.2.6) says that it is to be left as
// it is.
func SetStreamHeaders(h http.Header, contentType string) {
	SetHeaders(h, contentType)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
}
