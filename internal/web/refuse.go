package web

import (
	"net/http"
	"strings"

	"magpie/internal/problem"
)

var (
	errNothing = problem.New(http.StatusNotFound, "not_found", "There is nothing at this address.")
	errMethod  = &problem.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "This address answers GET and HEAD only.", Header: "Allow", Value: "GET, HEAD",
	}
)

// refuse answers with one sentence: a small page for a browser, the API's JSON
// for all others. The answer never contains what was requested.
func refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	h := w.Header()
	h.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		problem.Write(w, p)
		return
	}
	if p.Header != "" {
		h.Set(p.Header, p.Value)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", mimeHTML)
	w.WriteHeader(p.Status)
	_, _ = w.Write(render("refusal.html", p.Message)) // net/http drops it for HEAD
}
