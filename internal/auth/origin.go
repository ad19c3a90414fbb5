package auth

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"magpie/internal/fault"
)

// Origins says from which pages browsers may come. Clients that are no
// browsers send no Origin and are let through: what they may do is the
// Authorizer's to say.
type Origins struct {
	// Allowed are origins in the form scheme://host[:port], lower case, without
	// the scheme's own port. "*" allows all.
	Allowed []string
	// LocalOnly says that the server is meant for this machine alone: requests
	// must name it as localhost, so that a foreign page that resolves its own
	// name to 127.0.0.1 (DNS rebinding) is no same origin.
	LocalOnly bool
}

// Check answers nil when the request may come from where it says. Allowed are
// the same origin, localhost pages on a server that is itself addressed as
// localhost, and the configured ones.
func (o Origins) Check(r *http.Request) error {
	if o.LocalOnly && !localName(r.Host) {
		return refuse(fault.Forbidden, "open", "not allowed: this server is open to everyone and so answers only as localhost; to use it under another name set token_secret, or start it with --open")
	}
	values := r.Header["Origin"]
	if len(values) == 0 {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return fault.New(fault.Forbidden, "not allowed: the request comes from a page of another site")
		}
		return nil
	}
	if len(values) == 1 && o.allows(values[0], r) {
		return nil
	}
	return refuse(fault.Forbidden, "allowed_origins", "not allowed: pages of this origin may not connect; add it to allowed_origins")
}

// Allows tells whether a page of this origin may read answers (CORS).
func (o Origins) Allows(r *http.Request) (origin string, ok bool) {
	values := r.Header["Origin"]
	if len(values) != 1 || o.Check(r) != nil {
		return "", false
	}
	return values[0], true
}

func (o Origins) allows(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return o.all() // null, file: and the like
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	if localName(u.Host) && localName(r.Host) {
		return true
	}
	normal := normalOrigin(u)
	for _, a := range o.Allowed {
		if a == normal || a == "*" {
			return true
		}
	}
	return false
}

func (o Origins) all() bool {
	for _, a := range o.Allowed {
		if a == "*" {
			return true
		}
	}
	return false
}

func normalOrigin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}

// localName tells whether host[:port] names this machine.
func localName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
