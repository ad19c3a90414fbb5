package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// refusal is the JSON form of an error, as on the HTTP API.
type refusal struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// refuse answers with one sentence: a small page for a browser, JSON for
// everything else. It never repeats what was asked.
func refuse(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	var body []byte
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", mimeHTML)
		body = render("refusal.html", sentence)
	} else {
		h.Set("Content-Type", "application/json")
		var e refusal
		e.Error.Code, e.Error.Message = status, sentence
		body, _ = json.Marshal(e) // an int and a string always marshal
		body = append(body, '\n')
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
