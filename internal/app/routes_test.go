package app

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"magpie/internal/api"
	"magpie/internal/door"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/protocol/raw"
	"magpie/internal/protocol/sse"
)

// undocumented are paths that the OpenAPI document leaves to docs/doors.md: it
// has no words for doors, and what answers unknown methods is no path.
func undocumented(path string) bool {
	switch path {
	case "/websocket", "/sse", "/metrics", "/emulation", "/api/{method}", "/publish":
		return true
	}
	return strings.HasPrefix(path, "/connection/")
}

// Every path and method that answers is in the document, and the document has
// no others.
func TestTheDocumentHasEveryRoute(t *testing.T) {
	doors := []routed{&raw.Door{}, &sse.Door{}, &centrifuge.Door{}, &api.API{}, &api.Server{}, newMeasures(), &api.Health{}}
	w := httptest.NewRecorder()
	router(slog.New(slog.DiscardHandler), http.NotFoundHandler(), doors...).ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	var routes []door.Route
	for _, d := range doors {
		routes = append(routes, d.Routes()...)
	}
	for _, route := range routes {
		path := strings.ReplaceAll(route.Path, "...}", "}")
		if undocumented(path) {
			continue
		}
		methods := slices.Collect(maps.Keys(route.Methods))
		if route.Access != nil {
			methods = append(methods, "OPTIONS")
		}
		for _, method := range methods {
			method = strings.ToLower(method)
			if _, ok := document.Paths[path][method]; !ok {
				t.Errorf("%s %s is not in the document", method, path)
			}
			delete(document.Paths[path], method)
		}
	}
	for path, left := range document.Paths {
		for method := range left {
			t.Errorf("the document has %s %s, which nothing answers", method, path)
		}
	}
}
