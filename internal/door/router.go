package door

import (
	"log/slog"
	"net/http"
	"strings"

	"magpie/internal/problem"
)

// Router finds the Route of a request. It takes a path as it is, but for
// slashes doubled at its beginning, which proxies make: the library's own
// router answers a path that it would write in another way with a redirect, and
// most clients lose the body of a POST on the way. A Router is not changed once
// it serves; it is safe for concurrent use then.
type Router struct {
	log      *slog.Logger
	rest     http.Handler
	exact    map[string]http.Handler
	prefixes []prefix // none is the beginning of another
}

// prefix is a Route whose path ends with {name...}.
type prefix struct {
	path, name string
	handler    http.Handler
}

// NewRouter returns a router that hands what has no Route to rest.
func NewRouter(log *slog.Logger, rest http.Handler) *Router {
	return &Router{log: log, rest: rest, exact: map[string]http.Handler{}}
}

// Add adds routes. A later one for the same path replaces the earlier.
func (t *Router) Add(routes ...Route) {
	for _, r := range routes {
		h := problem.Handle(t.log, r.Serve)
		path, name, wild := strings.Cut(strings.TrimSuffix(r.Path, "...}"), "{")
		if wild {
			t.prefixes = append(t.prefixes, prefix{path, name, h})
		} else {
			t.exact[path] = h
		}
	}
}

// setDefaults sets what an answer has that says nothing else: nobody stores it,
// guesses at it, shows it in a frame or loads it into a page, and what is linked
// there does not learn where from.
func setDefaults(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}

// ServeHTTP implements http.Handler.
func (t *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setDefaults(w.Header())
	path := "/" + strings.TrimLeft(r.URL.Path, "/")
	if h := t.exact[path]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	for _, p := range t.prefixes {
		if rest, ok := strings.CutPrefix(path, p.path); ok {
			r.SetPathValue(p.name, rest)
			p.handler.ServeHTTP(w, r)
			return
		}
	}
	t.rest.ServeHTTP(w, r)
}
