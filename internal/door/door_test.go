package door_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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
	get, post, all := door.Local("GET", "/livez", answer), door.Post("/publish/{channel...}", answer, door.Access{}), door.Any("/websocket", answer)
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

// A path is taken as it is: never a redirect, which loses the body of a POST,
// and never another channel than the one that was named.
func TestPathsAreTakenAsTheyAre(t *testing.T) {
	var got string
	take := func(name string) problem.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			got = name + " " + r.PathValue("channel")
			return nil
		}
	}
	router := door.NewRouter(slog.New(slog.DiscardHandler), http.NotFoundHandler())
	router.Add(door.Local("POST", "/publish", take("exact")), door.Local("POST", "/publish/{channel...}", take("prefix")))
	for path, want := range map[string]string{
		"/publish": "exact ", "//publish": "exact ", "/publish/": "prefix ", "/publish/chat": "prefix chat", "//publish/chat": "prefix chat",
		"///publish/chat": "prefix chat", "/publish/chat/": "prefix chat/", "/publish//chat": "prefix /chat", "/publish/a//b": "prefix a//b",
		"/publish/a%2F%2Fb": "prefix a//b", "/publish/./chat": "prefix ./chat", "/publish/..": "prefix ..", "/publish/a+b": "prefix a+b",
		"/publish/a%20b": "prefix a b", "/publish/c;d": "prefix c;d", "/publish/dialog%2342,43": "prefix dialog#42,43", "/publisher": "404", "/x//publish/chat": "404",
	} {
		got = ""
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("x")))
		if w.Code == http.StatusNotFound {
			got = "404"
		}
		if got != want || w.Code >= 300 && w.Code < 400 {
			t.Errorf("%s: %q (%d), want %q", path, got, w.Code, want)
		}
	}
}
