// Package door is what all doors share: the paths they answer, where a request
// may come from and who sends it, queries and bodies, and the session that a
// request turns into.
//
// It knows no protocol. It starts no goroutine.
package door

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"magpie/internal/problem"
)

// Route is one path and who answers it there.
type Route struct {
	// Path is a pattern of http.ServeMux without a method.
	Path string
	// Methods are the handlers by HTTP method. HEAD is answered by that of GET.
	// "*" answers all methods.
	Methods map[string]problem.Handler
}

// Get is a Route for GET.
func Get(path string, h problem.Handler) Route {
	return Route{path, map[string]problem.Handler{"GET": h}}
}

// Any is a Route for all methods: a handshake refuses them in its own words.
func Any(path string, h problem.Handler) Route {
	return Route{path, map[string]problem.Handler{"*": h}}
}

// Post is a Route for POST that pages of allowed origins may call, too (a).
func Post(path string, h problem.Handler, a Access) Route {
	return Route{path, map[string]problem.Handler{"POST": h, "OPTIONS": a.Preflight}}
}

// Serve calls the handler of the request's method. What is not there is
// refused: the library would hand TRACE to anyone.
func (t Route) Serve(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, name := range []string{"*", method} {
		if h := t.Methods[name]; h != nil {
			return h(w, r)
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(t.Methods)), ", ")
	message := "This path answers " + names + "."
	if strings.HasPrefix(t.Path, "/publish") {
		message = "Publish with POST, as in: curl -d '{\"content\":\"hi\"}' URL/publish/chat"
	}
	return &problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: message, Header: "Allow", Value: names}
}
