package door

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Answer answers with v as one line of JSON.
func Answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return AnswerJSON(w, append(b, '\n'))
}

// AnswerJSON answers with lines of JSON. It keeps body until the client has it,
// for answerTime at most: who reads slower than that is cut.
func AnswerJSON(w http.ResponseWriter, body []byte) error {
	SetHeaders(w.Header(), "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerTime(len(body)))) // tests' writers have none
	_, err := w.Write(body)                                             // a client that has gone needs no answer
	if err == nil && control.Flush() == nil {
		_ = control.SetWriteDeadline(time.Time{}) // the connection's next answer has its own
	}
	return nil
}

// answerTime is how long a client may take to read an answer: 10 s, and a second
// for each 64 KB, which is 0.5 Mbit/s.
func answerTime(bytes int) time.Duration {
	return 10*time.Second + time.Duration(bytes)*time.Second/(64<<10)
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
