package app

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"magpie/internal/api"
)

// undocumented are paths that the OpenAPI document leaves to docs/doors.md: it
// has no words for doors, and what answers unknown methods is no path.
func undocumented(path string) bool {
	switch path {
	case "/websocket", "/sse", "/metrics", "/emulation", "/api/{method}":
		return true
	}
	return strings.HasPrefix(path, "/connection/")
}

// Every path and method that answers is in the document, and the document has
// no others.
func TestTheDocumentHasEveryRoute(t *testing.T) {
	w := httptest.NewRecorder()
	if err := api.OpenAPI(w, nil); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range (doors{}).table() {
		path = strings.ReplaceAll(path, "...}", "}")
		if undocumented(path) {
			continue
		}
		for method := range methods {
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
