package door

import (
	"net/http"
	"strings"

	"magpie/internal/address"
	"magpie/internal/auth"
	"magpie/internal/fault"
)

// Access says whose pages a door answers, and finds out who asks.
type Access struct {
	Auth    *auth.Authorizer
	Origins Origins
	// Addresses bounds what comes from one address; nil: nothing.
	Addresses *address.Book
}

// Admit refuses requests that a page of a foreign origin makes a browser send,
// and lets pages of allowed origins read the answer (CORS).
func (a Access) Admit(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	if err := a.Origins.Check(r); err != nil {
		return err
	}
	if r.Header.Get("Origin") != "" {
		a.letRead(w.Header(), r)
	}
	return nil
}

// letRead lets the page that asks read the answer. A page that is named may ask
// with cookies: Magpie has none, but a proxy in front of it may know people by
// theirs. A page that only * lets in may not, or any page could read there what
// the user may read.
func (a Access) letRead(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	if a.Origins.names(origin) {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers OPTIONS for pages of allowed origins: they may use these
// methods and whatever header fields they ask for. What a header field may do
// is for the handler to say, not for the browser.
func (a Access) preflight(w http.ResponseWriter, r *http.Request, methods string) error {
	h := w.Header()
	h.Add("Vary", "Origin, Access-Control-Request-Headers")
	if r.Header.Get("Origin") == "" || a.Origins.Check(r) != nil {
		return &fault.Fault{Kind: fault.Forbidden, Setting: "allowed_origins",
			Message: "not allowed: pages of this origin may not call; add it to allowed_origins"}
	}
	a.letRead(h, r)
	h.Set("Access-Control-Allow-Methods", methods)
	if fields := r.Header.Get("Access-Control-Request-Headers"); fields != "" {
		h.Set("Access-Control-Allow-Headers", fields)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Client returns who shows the request's token; without one it is a guest. It
// waits and fails as Authorizer.Identify does, and says so where an address has
// shown too many tokens that are none.
func (a Access) Client(r *http.Request) (auth.Identity, error) {
	token, err := Token(r)
	if err != nil {
		return auth.Identity{}, err
	}
	who, err := a.Auth.Identify(r.Context(), token)
	return who, a.Guessed(r, err)
}

// Caller is Client, and a server where the request has an API key.
func (a Access) Caller(r *http.Request) (auth.Identity, error) {
	if Key(r) != "" {
		return a.Server(r)
	}
	return a.Client(r)
}

// Server returns the server whose API key the request has. Without one it fails.
func (a Access) Server(r *http.Request) (auth.Identity, error) {
	key := Key(r)
	who, err := a.Auth.Key(key)
	if key == "" {
		return who, err
	}
	return who, a.Guessed(r, err)
}

// Guessed is Book.Guessed of a request.
func (a Access) Guessed(r *http.Request, err error) error {
	if err == nil {
		return nil
	}
	return a.Addresses.Guessed(a.Addresses.Client(r), err)
}

// Token returns the request's token: that of X-Magpie-Token, which leaves
// Authorization to a proxy, else the Authorization header's, or ?token= for
// clients that cannot set headers (EventSource, WebSocket in a browser). A
// header for somebody else, such as a proxy's Basic, is passed over; a token
// without Bearer is an error, or its sender would be taken for a guest.
func Token(r *http.Request) (string, error) {
	if own := r.Header.Get("X-Magpie-Token"); own != "" {
		return own, nil
	}
	h := r.Header.Get("Authorization")
	scheme, rest, two := strings.Cut(h, " ")
	switch {
	case two && strings.EqualFold(scheme, "Bearer"):
		return strings.TrimSpace(rest), nil
	case !two && strings.Count(h, ".") == 2:
		return "", fault.New(fault.BadToken, "Authorization must be Bearer TOKEN")
	}
	values, err := ParseQuery(r)
	if err != nil {
		return "", err
	}
	return values.Get("token"), nil
}

// Key returns the request's API key, "" when it has none: X-API-Key, or the
// older form of an Authorization header.
func Key(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	const scheme = "apikey "
	if h := r.Header.Get("Authorization"); len(h) > len(scheme) && strings.EqualFold(h[:len(scheme)], scheme) {
		return h[len(scheme):]
	}
	return ""
}
