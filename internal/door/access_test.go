package door_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/door"
	"magpie/internal/fault"
)

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestToken(t *testing.T) {
	for _, c := range []struct {
		target, authorization, token string
		kind                         fault.Kind
	}{
		{"/", "", "", ""},
		{"/?token=a.b.c", "", "a.b.c", ""},
		{"/?token=a.b.c", "Bearer d.e.f", "d.e.f", ""},
		{"/", "bearer  d.e.f ", "d.e.f", ""},
		{"/?token=a.b.c", "Basic eDp5", "a.b.c", ""}, // a proxy's
		{"/?token=a.b.c", "d.e.f", "", fault.BadToken},
		{"/", "dep", "", ""},
	} {
		token, err := door.Token(request("GET", c.target, "Authorization", c.authorization))
		if token != c.token || fault.KindOf(err) != c.kind {
			t.Errorf("%s with %q: %q, %v", c.target, c.authorization, token, err)
		}
	}
}

// A proxy in front may put a name of its own into Authorization.
func TestMagpiesOwnHeaderWins(t *testing.T) {
	for _, authorization := range []string{"", "Basic eDp5", "Bearer d.e.f", "d.e.f"} {
		token, err := door.Token(request("GET", "/?token=g.h.i", "X-Magpie-Token", "a.b.c", "Authorization", authorization))
		if token != "a.b.c" || err != nil {
			t.Errorf("beside %q: %q, %v", authorization, token, err)
		}
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct{ header, value, key string }{
		{"X-API-Key", "k", "k"}, {"Authorization", "apikey k", "k"}, {"Authorization", "APIKEY k", "k"},
		{"Authorization", "apikey ", ""}, {"Authorization", "Bearer k", ""}, {"Accept", "k", ""},
	} {
		if key := door.Key(request("GET", "/", c.header, c.value)); key != c.key {
			t.Errorf("%s: %s gives %q", c.header, c.value, key)
		}
	}
}

func access(t *testing.T, allowed ...string) door.Access {
	t.Helper()
	rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	return door.Access{Auth: auth.New(auth.Config{Rules: rules, Keys: []string{"a-key"}}), Origins: door.Origins{Allowed: allowed}}
}

// Pages of foreign origins are refused, those of allowed ones may read the
// answer, and caches are told that it depends on the origin.
func TestOriginsAreAdmitted(t *testing.T) {
	a := access(t, "https://app.example")
	for origin, allowed := range map[string]bool{"": true, "https://app.example": true, "https://evil.example": false, "null": false} {
		w := httptest.NewRecorder()
		r := request("GET", "http://push.example/sse")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		err := a.Admit(w, r)
		if (err == nil) != allowed || err != nil && fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%q: %v", origin, err)
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); allowed && got != origin || !allowed && got != "" {
			t.Errorf("%q: answers may be read by %q", origin, got)
		}
		if w.Header().Get("Vary") != "Origin" {
			t.Errorf("%q: Vary is %q", origin, w.Header().Get("Vary"))
		}
	}
}

// Cookies, which a proxy may ask for, may come from pages that are named, and
// never from one that could be anybody's.
func TestWhoMaySendCookies(t *testing.T) {
	for _, c := range []struct {
		allowed, origin, want string
	}{
		{"https://app.example", "https://app.example", "true"},
		{"https://*.app.example", "https://a.app.example", "true"},
		{"capacitor://localhost", "capacitor://localhost", "true"},
		{"moz-extension://*", "moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c", ""},
		{"*", "https://app.example", ""},
		{"*", "null", ""},
		{"https://app.example", "https://push.example", ""}, // the server's own needs no leave
		{"https://app.example", "", ""},
	} {
		a := access(t, c.allowed)
		for _, method := range []string{"GET", "OPTIONS"} {
			w := httptest.NewRecorder()
			r := request(method, "https://push.example/sse")
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			err := door.Get("/sse", func(w http.ResponseWriter, r *http.Request) error { return a.Admit(w, r) }, a).Serve(w, r)
			if refused := c.origin == "" && method == "OPTIONS"; (err != nil) != refused {
				t.Errorf("%s from %q where %s is allowed: %v", method, c.origin, c.allowed, err)
			}
			if got := w.Header().Get("Access-Control-Allow-Credentials"); got != c.want {
				t.Errorf("%s from %q where %s is allowed: with credentials %q", method, c.origin, c.allowed, got)
			}
		}
	}
}

// A page of an allowed origin may use what it asks for (its tracing adds header
// fields that nobody here knows), any other nothing.
func TestPreflight(t *testing.T) {
	route := door.Post("/publish/{channel...}", nil, access(t, "https://app.example"))
	for origin, allowed := range map[string]bool{"https://app.example": true, "https://evil.example": false, "": false} {
		w := httptest.NewRecorder()
		r := request("OPTIONS", "http://push.example/publish/chat", "Access-Control-Request-Headers", "content-type,traceparent")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		err := route.Serve(w, r)
		h := w.Header()
		if !allowed {
			if fault.KindOf(err) != fault.Forbidden || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%q: %v, %v", origin, err, h)
			}
			continue
		}
		if err != nil || w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin ||
			h.Get("Access-Control-Allow-Methods") != "OPTIONS, POST" || h.Get("Access-Control-Allow-Headers") != "content-type,traceparent" {
			t.Errorf("%q: %v, %d %v", origin, err, w.Code, h)
		}
	}
}

func TestWhoAsks(t *testing.T) {
	a := access(t)
	for _, c := range []struct {
		key, token string
		kind       auth.Kind
		fault      fault.Kind
	}{
		{"", "", auth.Guest, ""}, {"a-key", "", auth.Server, ""}, {"another", "", "", fault.BadKey}, {"", "x.y.z", "", fault.BadToken},
	} {
		r := request("GET", "/?token="+c.token)
		r.Header.Set("X-API-Key", c.key)
		who, err := a.Caller(r)
		if who.Kind != c.kind || fault.KindOf(err) != c.fault {
			t.Errorf("key %q, token %q: %v, %v", c.key, c.token, who.Kind, err)
		}
	}
	r := request("GET", "/", "X-API-Key", "a-key") // a client's door knows no keys
	if who, err := a.Client(r); err != nil || who.Kind != auth.Guest {
		t.Errorf("%v, %v", who.Kind, err)
	}
}

// A proxy neither keeps an answer nor holds a stream back to compress it.
func TestWhatProxiesAreTold(t *testing.T) {
	answer, stream := http.Header{}, http.Header{}
	door.SetHeaders(answer, "application/json")
	door.SetStreamHeaders(stream, "text/event-stream")
	if got := answer.Get("Cache-Control"); got != "no-store" {
		t.Errorf("an answer is %q", got)
	}
	if got := stream.Get("Cache-Control"); got != "no-store, no-transform" || stream.Get("X-Accel-Buffering") != "no" {
		t.Errorf("a stream is %v", stream)
	}
}
