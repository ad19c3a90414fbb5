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
	// Path is exact, or ends with {name...}: then all that begins with what is
	// before it matches, and http.Request.PathValue has the rest, decoded.
	Path string
	// Methods are the handlers by HTTP method. HEAD is answered by that of GET.
	// "*" answers all methods.
	Methods map[string]problem.Handler
	// Access answers OPTIONS for pages of allowed origins (CORS); nil: pages of
	// other origins have no business here.
	Access *Access
}

// Get is a Route for GET that pages of allowed origins may call, too.
func Get(path string, h problem.Handler, a Access) Route {
	return Route{path, map[string]problem.Handler{"GET": h}, &a}
}

// Post is a Route for POST that pages of allowed origins may call, too.
func Post(path string, h problem.Handler, a Access) Route {
	return Route{path, map[string]problem.Handler{"POST": h}, &a}
}

// Any is a Route for all methods: a handshake refuses them in its own words.
func Any(path string, h problem.Handler) Route {
	return Route{Path: path, Methods: map[string]problem.Handler{"*": h}}
}

// Local is a Route for programs and not for pages of other origins.
func Local(method, path string, h problem.Handler) Route {
	return Route{Path: path, Methods: map[string]problem.Handler{method: h}}
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
	names := t.names()
	if method == http.MethodOptions && t.Access != nil {
		return t.Access.preflight(w, r, names)
	}
	message := "This path answers " + names + "."
	if strings.HasPrefix(t.Path, "/publish") {
		message = "Publish with POST, as in: curl -d '{\"content\":\"hi\"}' URL/publish/chat"
	}
	return &problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: message, Header: "Allow", Value: names}
}

// names are the methods in the form of the Allow header field.
func (t Route) names() string {
	list := slices.Collect(maps.Keys(t.Methods))
	if t.Access != nil {
		list = append(list, http.MethodOptions)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
