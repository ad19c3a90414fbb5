package attack

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"magpie/test/kit"
)

// paths are one address of every door, of the API and of the pages, and one
// where there is nothing.
var paths = []string{
	"/websocket", "/sse", "/sse?channel=a", "/connection/websocket", "/connection/http_stream", "/connection/sse", "/emulation", "/guest",
	"/publish", "/publish/a", "/history/a", "/presence/a", "/channels", "/api", "/api/publish", "/api/info", "/api/nothing", "/openapi.json",
	"/livez", "/readyz", "/metrics", "/", "/r/room", "/classic", "/embed", "/embed.js", "/embed-demo", "/sw.js", "/favicon.ico",
	"/assets/base.css", "/assets/0000000000000000/base.css", "/nothing",
}

// head sends one request as it is and returns the head of its answer.
func head(t *testing.T, n *kit.Node, text string) *http.Response {
	t.Helper()
	c := n.Connect()
	defer c.Close()
	io.WriteString(c, text)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.SplitN(text, " ", 2)[0]})
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	return res
}

// H14, DNS rebinding: a node that is open because only this machine reaches it
// answers nothing at all under another name, also where the request is of the
// page's own origin.
func TestAnOpenNodeHasTheNamesOfItsMachine(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	for _, host := range []string{"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "[::]:80"} {
		for _, path := range paths {
			for _, method := range []string{"GET", "POST", "OPTIONS"} {
				res := head(t, n, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, host, host))
				if res.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s as %s: %d", method, path, host, res.StatusCode)
				}
			}
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]"} {
		if res := head(t, n, "GET /classic HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); res.StatusCode != http.StatusOK {
			t.Errorf("as %s: %d", host, res.StatusCode)
		}
	}
}

// P3, A9: every answer says that it is what its type says, that no frame shows it
// (but those that embedding needs), that no link tells where it was, and whether
// it may be stored. None sets a cookie.
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--open", "--allowed-origins", "https://shop.example")
	_, page := n.Get("/classic")
	asset := regexp.MustCompile(`/assets/[0-9a-f]+/classic\.js`).FindString(page)
	for _, path := range append(paths, asset) {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "TRACE"} {
			res := head(t, n, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path))
			h, what := res.Header, fmt.Sprintf("%s %s: %d", method, path, res.StatusCode)
			policy, cache, found := h.Get("Content-Security-Policy"), h.Get("Cache-Control"), res.StatusCode == 200 && method != "POST"
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h["Set-Cookie"] != nil {
				t.Errorf("%s %v", what, h)
			}
			frames, resources := "frame-ancestors 'none'", "same-origin"
			if found && path == "/embed" {
				frames = "frame-ancestors 'self' https://shop.example"
			}
			if found && path == "/embed.js" {
				resources = "cross-origin"
			}
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy+";", frames+";") {
				t.Errorf("%s %q", what, policy)
			}
			if got := h.Get("Cross-Origin-Resource-Policy"); got != resources {
				t.Errorf("%s may be loaded by %q", what, got)
			}
			if kind := h.Get("Content-Type"); found && strings.HasPrefix(kind, "text/html") && h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
				t.Errorf("%s has openers", what)
			}
			want := "no-store"
			switch {
			case found && path == asset:
				want = "immutable"
			case found && strings.Contains("/ /r/room /classic /embed /embed.js /embed-demo /sw.js /favicon.ico /assets/0000000000000000/base.css /openapi.json", path):
				want = "no-cache"
			}
			if !strings.Contains(cache, want) {
				t.Errorf("%s is kept as %q, want %s", what, cache, want)
			}
		}
	}
}

// P4, P5: many ranges of a file cost no more than the file, and nothing takes one.
func TestRangesAndUploads(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	ranges := "Range: bytes=" + strings.Repeat("0-,", 1000) + "0-1\r\n"
	for _, path := range []string{"/classic", "/favicon.ico", "/openapi.json", "/history/a"} {
		if res := head(t, n, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+ranges+"Connection: close\r\n\r\n"); res.StatusCode != 200 || res.Header.Get("Content-Range") != "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
	const form = "Content-Type: multipart/form-data; boundary=x"
	for _, path := range []string{"/", "/upload", "/assets/", "/r/room", "/api/publish", "/guest"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			if status, body := kit.Read(n.Do(method, path, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../../evil\"\r\n\r\nx\r\n--x--\r\n", form)); status < 400 || strings.Contains(body, "evil") {
				t.Errorf("%s %s: %d %s", method, path, status, body)
			}
		}
	}
}

// A5: what a page of another site can make a browser send, with no question
// before it, orders nothing: neither on an open node nor with a key that a proxy
// would add.
func TestPagesGiveNoOrders(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	open, keyed := kit.Start(t), kit.Start(t, "--api-key", key)
	const publish = `{"channel":"a","data":"bad"}`
	for _, from := range [][]string{
		{"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site"}, {"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"},
		{"Content-Type: text/plain"}, {"Content-Type: application/x-www-form-urlencoded"}, {"Content-Type: multipart/form-data; boundary=x"},
	} {
		for _, method := range []string{"publish", "broadcast", "disconnect", "unsubscribe", "revoke", "batch"} {
			headers := from
			if !strings.HasPrefix(from[0], "Content-Type") {
				headers = append([]string{"Content-Type: application/json"}, from...)
			}
			for n, more := range map[*kit.Node][]string{open: nil, keyed: {"X-API-Key: " + key}} {
				status, body := n.Post("/api/"+method, publish, append(more, headers...)...)
				if status != http.StatusForbidden && status != http.StatusUnsupportedMediaType {
					t.Errorf("%s %v: %d %s", method, from, status, body)
				}
			}
		}
	}
	for _, n := range []*kit.Node{open, keyed} {
		if _, page := n.Get("/history/a"); strings.Contains(page, "bad") {
			t.Error(page)
		}
	}
}

// A10: what clients send reaches the log escaped and cut, at every level of it.
func TestNoLineOfTheLogIsAClients(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--log-level", "debug", "--open")
	const forged, escaped = "\r\n\x1b[31mlevel=ERROR msg=forged\x00\u2028\u202e", "%0d%0a%1b[31mlevel%3DERROR%20msg%3Dforged%00%e2%80%a8%e2%80%ae"
	long := strings.Repeat("y", 12<<10)
	for _, path := range paths {
		for _, request := range []string{
			"GET " + path + "?channel=" + escaped + "&token=" + escaped + " HTTP/1.1\r\nHost: localhost\r\n",
			"GET " + path + escaped + " HTTP/1.1\r\nHost: localhost\r\n",
			"POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nUser-Agent: \x1b[31m" + long + "\r\n",
			"GET " + path + " HTTP/1.1\r\nHost: localhost\r\nOrigin: http://" + long + "\r\nX-Forwarded-For: \x1b[31m\r\n",
		} {
			c := n.Connect()
			io.WriteString(c, request+"Connection: close\r\n\r\n")
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				res.Body.Close()
			}
			c.Close()
		}
	}
	c := n.Centrifuge("")
	c.TrySend(`{"id":2,"subscribe":{"channel":"` + `\r\n\u001b[31mlevel=ERROR msg=forged` + `"}}`)
	c.TrySend(`{"id":3,"rpc":{"method":"\u001b[31m` + long + `"}}`)
	raw := n.Dial("channel=a")
	raw.Send(forged)
	raw.Wait(1)
	for line := range strings.SplitSeq(n.Output(), "\n") {
		if strings.HasPrefix(line, "level=ERROR") || strings.ContainsAny(line, "\x1b\x00\r\u2028\u202e") || len(line) > 2<<10 {
			t.Errorf("%d bytes: %.300q", len(line), line)
		}
	}
}
