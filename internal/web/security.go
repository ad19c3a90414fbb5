package web

import "net/http"

// contentSecurityPolicy allows only what the pages use. 'self' in connect-src
// covers ws: and wss: of the same host and port (CSP level 3,
// section 6.7.2.8), so no host has to be written here.
var contentSecurityPolicy = policy("'none'")

// policy is the same for all pages, but for who may frame them. The one
// trusted type is the app's: the address of its worker.
func policy(ancestors string) string {
	return policyStart + "frame-ancestors " + ancestors + "; " + policyEnd
}

const policyStart = "default-src 'none'; " +
	"script-src 'self'; " +
	"style-src 'self'; " +
	"connect-src 'self'; " +
	"img-src 'self' data:; " +
	"base-uri 'none'; " +
	"form-action 'none'; "

const policyEnd = "require-trusted-types-for 'script'; " +
	"trusted-types magpie"

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
