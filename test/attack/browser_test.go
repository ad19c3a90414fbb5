package attack

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"magpie/test/kit"
)

// doors are the requests that a page can make, each with the status that a
// page of a good origin gets.
var doors = []struct {
	method, path, body string
	headers            []string
	good               int
}{
	{"GET", "/websocket", "", kit.Upgrade, 101},
	{"GET", "/connection/websocket", "", kit.Upgrade, 101},
	{"GET", "/sse?channel=a", "", nil, 200},
	{"GET", "/connection/sse?cf_connect=%7B%22id%22:1,%22connect%22:%7B%7D%7D", "", nil, 200},
	{"POST", "/connection/http_stream", `{"id":1,"connect":{}}`, nil, 200},
	{"POST", "/emulation", `{"session":"0123456789abcdef0123456789abcdef","node":"local","data":"x"}`, nil, 204},
	{"POST", "/publish/a", "x", nil, 200},
	{"GET", "/history/a", "", nil, 200},
	{"POST", "/guest", "{}", []string{"Content-Type: application/json"}, 200},
}

// H14, S14: every door looks at the origin in the same way, byte for byte, and
// lets exactly the pages that may connect read the answer.
func TestEveryDoorKnowsItsPages(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--open", "--allowed-origins", "https://app.example")
	for _, d := range doors {
		for _, origin := range []string{"https://app.example", "HTTPS://APP.example", "https://app.example:443"} {
			res := ask(n, d.method, d.path, d.body, append([]string{"Origin: " + origin}, d.headers...)...)
			if res.StatusCode != d.good {
				t.Errorf("%s of %s: %d", d.path, origin, res.StatusCode)
			}
			if got := res.Header.Get("Access-Control-Allow-Origin"); d.good != 101 && got != origin {
				t.Errorf("%s of %s: may be read by %q", d.path, origin, got)
			}
			if d.good != 101 && res.Header.Get("Vary") == "" {
				t.Errorf("%s: a cache would give the answer to other pages", d.path)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); d.good != 101 && got != "true" {
				t.Errorf("%s: with credentials %q", d.path, got)
			}
		}
		for _, origin := range []string{
			"null", "http://app.example", "https://app.example.evil.example", "https://evilapp.example", "https://app.example:444",
			"https://app.example.", "https://user@evil.example", "https://app.example@evil.example", "https://127.0.0.1.evil.example",
			"file://", "https://", "app.example", "https://app.example https://evil.example", "https://xn--pp-xka.example",
			"https://" + strings.Repeat("a", 10<<10),
		} {
			res := ask(n, d.method, d.path, d.body, append([]string{"Origin: " + origin}, d.headers...)...)
			if res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s of %.40s: %d, read by %q", d.path, origin, res.StatusCode, res.Header.Get("Access-Control-Allow-Origin"))
			}
		}
		if res := ask(n, d.method, d.path, d.body, append([]string{"Origin: https://app.example", "Origin: https://evil.example"}, d.headers...)...); res.StatusCode != 403 {
			t.Errorf("%s of two origins: %d", d.path, res.StatusCode)
		}
	}
}

// H14: where everybody may come, nobody's page reads with the cookies of others.
func TestEverybodyComesWithoutCookies(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--open", "--allowed-origins", "*")
	for _, d := range doors {
		for _, origin := range []string{"https://evil.example", "null"} {
			for _, method := range []string{d.method, "OPTIONS"} {
				res := ask(n, method, d.path, d.body, append([]string{"Origin: " + origin}, d.headers...)...)
				if got := res.Header.Get("Access-Control-Allow-Credentials"); res.StatusCode == 403 || got != "" {
					t.Errorf("%s %s of %s: %d, with credentials %q", method, d.path, origin, res.StatusCode, got)
				}
			}
		}
	}
}

// A1, A3, T9, H15: guessing keys and tokens brings one uniform answer, and
// nothing of a guess into logs and measures.
func TestGuesses(t *testing.T) {
	t.Parallel()
	const key, secret = "the-key-of-this-server-0123456789", "a secret of at least thirty-two bytes"
	n := kit.Start(t, "--api-key", key, "--token-secret", secret)
	uniform := ""
	for i, guess := range []string{"", "x", key[:len(key)-1], key + "x", strings.ToUpper(key), strings.Repeat("surmise", 1000), " " + key[:5]} {
		status, body := n.Post("/api/info", "{}", "X-API-Key: "+guess, "Content-Type: application/json")
		if status != 401 || i > 0 && body != uniform {
			t.Errorf("guess %d: %d %s", i, status, body)
		}
		uniform = body
	}
	for _, token := range []string{"surmise-1", "....", strings.Repeat(".", 8000), "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("A", 9000)} {
		for _, path := range []string{"/websocket", "/sse", "/history/chat"} {
			if res := ask(n, "GET", path+"?token="+token, "", kit.Upgrade...); res.StatusCode != 401 {
				t.Errorf("%s with %.20s: %d", path, token, res.StatusCode)
			}
		}
	}
	if status, body := n.Post("/api/info", "{}", "X-API-Key: "+key, "Content-Type: application/json"); status != 200 {
		t.Errorf("the key itself: %d %s", status, body)
	}
	if got := measure(t, n, "magpie_api_bad_keys_total"); got != 7 {
		t.Errorf("%v bad keys are counted", got)
	}
	_, measures := n.Get("/metrics")
	for _, text := range []string{key, secret, "surmise", "eyJhbGciOiJub25lIn0"} {
		if strings.Contains(n.Output()+measures, text) {
			t.Errorf("%q is in the log or the measures", text)
		}
	}
}

// A10, L10: what strangers send makes no lines of its own in the log, and no
// label of a measure.
func TestStrangersWriteNoLog(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	_, before := n.Get("/metrics")
	for range 50 {
		say(n, "GET /nowhere%0d%0a{\"level\":\"ERROR\"}%1b[31m HTTP/1.1\r\nHost: "+n.Addr+"\r\nUser-Agent: "+strings.Repeat("\x1b[31mevil", 100)+"\r\n\r\n")
		say(n, "\x1b[31mevil\r\n\r\n")
		say(n, n.Handshake("/websocket?channel=evil%0d%0a"))
		say(n, n.Handshake("/connection/websocket", "Origin: http://evil.example/\x1b[31m"))
	}
	if lines := strings.Count(n.Output(), "\n"); lines > 4 || strings.Contains(n.Output(), "evil") {
		t.Errorf("%d lines:\n%s", lines, n.Output())
	}
	_, after := n.Get("/metrics")
	if a, b := strings.Count(before, "\n"), strings.Count(after, "\n"); b > a+5 || strings.Contains(after, "evil") {
		t.Errorf("%d lines of measures became %d", a, b)
	}
}

// Y3, S7: whoever follows a link, or loads a picture, sends a GET. It changes
// nothing at any door, whatever it says and whatever method it claims to be.
func TestGETPublishesNothing(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	n := kit.Start(t, "--api-key", key)
	witness := n.Dial("channel=a")
	command := url.QueryEscape
	for _, path := range []string{
		"/connection/sse?cf_connect=" + command(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"publish":{"channel":"a","data":"bad"}}`),
		"/connection/sse?cf_connect=" + command(`{"id":1,"publish":{"channel":"a","data":"bad"}}`),
		"/connection/sse?cf_connect=" + command(`{"id":1,"connect":{}}`) + "&data=bad",
		"/connection/http_stream?cf_connect=" + command(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"publish":{"channel":"a","data":"bad"}}`),
		"/emulation?data=bad", "/publish/a?data=bad", "/publish/a?payload=bad", "/sse?channel=a&data=bad", "/sse?channel=a&message=bad",
		"/api/publish?channel=a&data=bad", "/api/publish?channel=a&data=bad&key=" + key, "/guest", "/history/a?data=bad",
	} {
		for _, headers := range [][]string{{"Content-Length: 0"}, {"X-HTTP-Method-Override: POST"}, {"X-HTTP-Method: POST", "X-Method-Override: POST"}, {"X-API-Key: " + key}} {
			req, _ := http.NewRequest("GET", n.URL(path), nil)
			for _, h := range headers {
				name, v, _ := strings.Cut(h, ": ")
				req.Header.Set(name, v)
			}
			ctx, cancel := context.WithCancel(t.Context())
			res, err := http.DefaultTransport.RoundTrip(req.WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "/connection/sse") && !strings.HasSuffix(path, "=bad") && res.StatusCode != 400 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
			cancel()
			res.Body.Close()
		}
	}
	n.Publish("a", "good")
	if got := witness.Wait(1); len(got) != 1 || got[0] != "good" {
		t.Errorf("%q were published", got)
	}
	if _, page := n.Get("/history/a"); strings.Contains(page, "bad") {
		t.Error(page)
	}
}
