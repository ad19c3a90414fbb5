package door_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"magpie/internal/door"
	"magpie/internal/fault"
)

// Attack row H14: who may come from where.
func TestOrigins(t *testing.T) {
	allowed := []string{"https://good.com", "https://app.example.com:8443", "https://*.shop.example", "https://xn--bcher-kva.example", "capacitor://localhost", "moz-extension://*"}
	for _, c := range []struct {
		host, origin string
		want         bool
	}{
		{"chat.example.com", "", true},
		{"chat.example.com", "https://chat.example.com", true},
		{"chat.example.com:8080", "http://chat.example.com:8080", true},
		{"chat.example.com:443", "https://chat.example.com", true},
		{"chat.example.com:80", "https://chat.example.com", false},
		{"chat.example.com", "http://chat.example.com:80", true},
		{"chat.example.com", "https://a.b.shop.example", true},
		{"chat.example.com", "https://shop.example", false},
		{"chat.example.com", "https://evil-shop.example", false},
		{"chat.example.com", "https://a.shop.example.evil.org", false},
		{"chat.example.com", "https://xn--bcher-kva.example", true},
		{"chat.example.com", "https://bücher.example", false},
		{"chat.example.com", "capacitor://localhost", true},
		{"localhost:8080", "ionic://localhost", false},
		{"chat.example.com", "moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c", true},
		{"chat.example.com", "https://good.com/", false},
		{"chat.example.com", "https://good.com", true},
		{"chat.example.com", "HTTPS://GOOD.com", true},
		{"chat.example.com", "https://good.com:443", true},
		{"chat.example.com", "https://app.example.com:8443", true},
		{"chat.example.com", "https://app.example.com", false},
		{"chat.example.com", "http://good.com", false},
		{"chat.example.com", "https://good.com.evil.com", false},
		{"chat.example.com", "https://evilgood.com", false},
		{"chat.example.com", "https://good.com.", false},
		{"chat.example.com", "null", false},
		{"chat.example.com", "file://", false},
		{"chat.example.com", "chrome-extension://abc", false},
		{"chat.example.com", "http://localhost:3000", false},
		{"chat.example.com", strings.Repeat("x", 10<<10), false},
		{"localhost:8080", "http://localhost:3000", true},
		{"127.0.0.1:8080", "http://localhost:3000", true},
		{"localhost:8080", "http://localhost.evil.com", false},
		{"localhost:8080", "https://evil.com", false},
	} {
		r := httptest.NewRequest("GET", "/websocket", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if err := (door.Origins{Allowed: allowed}).Check(r); (err == nil) != c.want || err != nil && fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%q from %.60q: %v", c.host, c.origin, err)
		}
	}
	two := httptest.NewRequest("GET", "/", nil)
	two.Header["Origin"] = []string{"https://good.com", "https://good.com"}
	if (door.Origins{Allowed: allowed}).Check(two) == nil {
		t.Error("two Origin headers passed")
	}
	cross := httptest.NewRequest("POST", "/", nil)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if (door.Origins{}).Check(cross) == nil {
		t.Error("a cross-site request without Origin passed")
	}
	any := httptest.NewRequest("GET", "/", nil)
	any.Header.Set("Origin", "null")
	if err := (door.Origins{Allowed: []string{"*"}}).Check(any); err != nil {
		t.Errorf("* does not allow all: %v", err)
	}
}

// A foreign page whose name was made to resolve to 127.0.0.1 sends its own
// name as Host and Origin: a server open to everyone must not take it.
func TestRebindingIsRefused(t *testing.T) {
	h := door.ThisMachine(slog.New(slog.DiscardHandler), http.NotFoundHandler(), fault.New(fault.Forbidden, "not allowed: ask for localhost"))
	for host, want := range map[string]bool{
		"localhost:8080": true, "127.0.0.1:8080": true, "[::1]:8080": true, "LOCALHOST": true,
		"evil.com:8080": false, "127.0.0.1.evil.com": false, "": false, "10.0.0.1:8080": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		r.Header.Set("Origin", "http://"+host)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); (w.Code == http.StatusNotFound) != want || !want && w.Code != http.StatusForbidden {
			t.Errorf("Host %q: %d", host, w.Code)
		}
	}
}
