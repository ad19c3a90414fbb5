package door

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"magpie/internal/fault"
	"magpie/internal/loopback"
	"magpie/internal/origin"
)

// Origins says from which pages browsers may come. Clients that are no
// browsers send no Origin and are let through: what they may do is the
// Authorizer's to say.
type Origins struct {
	// Allowed are entries in the form of origin.Entry.
	Allowed []string
	// LocalOnly says that the server is meant for this machine alone: requests
	// must name it as localhost, so that a foreign page that resolves its own
	// name to 127.0.0.1 (DNS rebinding) is no same origin.
	LocalOnly bool
}

// Check answers nil when the request may come from where it says, else a fault
// of kind Forbidden. Allowed are the same origin, localhost pages on a server
// that is itself addressed as localhost, and the configured ones.
func (o Origins) Check(r *http.Request) error {
	if o.LocalOnly && !isLocal(r.Host) {
		return &fault.Fault{Kind: fault.Forbidden, Setting: "open",
			Message: "not allowed: this server is open to everyone and so answers only as localhost; to use it under another name set token_secret, or start it with --open"}
	}
	values := r.Header["Origin"]
	switch {
	case len(values) == 0 && r.Header.Get("Sec-Fetch-Site") == "cross-site":
		return fault.New(fault.Forbidden, "not allowed: the request comes from a page of another site")
	case len(values) == 0, len(values) == 1 && o.allows(values[0], r.Host):
		return nil
	}
	return &fault.Fault{Kind: fault.Forbidden, Setting: "allowed_origins",
		Message: "not allowed: pages of this origin may not connect; add it to allowed_origins"}
}

// allows tells whether pages of an origin may use a server addressed as host.
func (o Origins) allows(sent, host string) bool {
	page, ok := origin.Parse(sent)
	if !ok { // null, file: and the like, whom only * allows
		return slices.Contains(o.Allowed, "*")
	}
	allowed, _ := page.In(o.Allowed)
	return allowed || page.Serves(host) || page.Web() && isLocal(page.Host) && isLocal(host)
}

// names tells whether an origin is one that the operator named, not just one of
// everybody's.
func (o Origins) names(sent string) bool {
	page, ok := origin.Parse(sent)
	_, named := page.In(o.Allowed)
	return ok && named
}

// isLocal tells whether host[:port] names this machine.
func isLocal(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return loopback.Host(strings.Trim(host, "[]"))
}
