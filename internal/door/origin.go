package door

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"magpie/internal/fault"
	"magpie/internal/loopback"
	"magpie/internal/origin"
	"magpie/internal/problem"
)

// Origins says from which pages browsers may come. Clients that are no
// browsers send no Origin and are let through: what they may do is the
// Authorizer's to say.
type Origins struct {
	// Allowed are entries in the form of origin.Entry.
	Allowed []string
}

// ThisMachine hands requests on that ask for this machine by one of its own
// names, and refuses all others with refusal: a page elsewhere must not become
// the same origin by a name that it leads to 127.0.0.1 (DNS rebinding).
func ThisMachine(log *slog.Logger, next http.Handler, refusal error) http.Handler {
	return problem.Handle(log, func(w http.ResponseWriter, r *http.Request) error {
		if !isLocal(r.Host) {
			setDefaults(w.Header())
			return refusal
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// Check answers nil when the request may come from where it says, else a fault
// of kind Forbidden. Allowed are the same origin, localhost pages on a server
// that is itself addressed as localhost, and the configured ones.
func (o Origins) Check(r *http.Request) error {
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
