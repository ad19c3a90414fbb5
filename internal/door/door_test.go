package door_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"magpie/internal/door"
	"magpie/internal/problem"
)

// A path answers its methods, GET also for HEAD, and names them to others.
func TestMethods(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	get, post, all := door.Get("/sse", answer), door.Post("/publish/{channel...}", answer, door.Access{}), door.Any("/websocket", answer)
	for _, c := range []struct {
		route  door.Route
		method string
		status int
		allow  string
	}{
		{get, "GET", 204, ""}, {get, "HEAD", 204, ""}, {get, "POST", 405, "GET"}, {get, "TRACE", 405, "GET"}, {get, "*", 405, "GET"},
		{post, "POST", 204, ""}, {post, "GET", 405, "OPTIONS, POST"}, {post, "HEAD", 405, "OPTIONS, POST"},
		{all, "GET", 204, ""}, {all, "TRACE", 204, ""},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = c.method
		if err := c.route.Serve(w, r); err != nil {
			problem.Write(w, err)
		}
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.route.Path, w.Code, w.Header().Get("Allow"))
		}
	}
}
