package web

import (
	"net/http"
	"strings"

	"magpie/internal/problem"
)

// contentSecurityPolicy allows only what the pages use. 'self' in connect-src
// covers ws: and wss: of the same host and port (CSP level 3,
// section 6.7.2.8), so no host has to be written here.
var contentSecurityPolicy = policy("'none'")

// policy is the same for all pages, but for who may frame them. The one
// trusted type is the app's: the address of its worker.
func policy(ancestors string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors + "; " +
		"require-trusted-types-for 'script'; trusted-types magpie"
}

// setSecurityHeaders sets what every answer of this package carries, errors
// included.
func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

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
