package attack

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie/test/kit"
)

// H2, H10, S5, S6, S8, S9, S10, S12, S13: what is not HTTP, or too much of it,
// gets the status that convention has for it, or none.
func TestWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	long := strings.Repeat("a", 20<<10)
	host := "Host: " + n.Addr + "\r\n"
	for name, c := range map[string]struct {
		text string
		want []int
	}{
		"HTTP/0.9":               {"GET /livez\r\n\r\n", []int{400}},
		"HTTP/2.0 in words":      {"GET /livez HTTP/2.0\r\n" + host + "\r\n", []int{505, 400}},
		"HTTP/2 preface":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{505, 400, 403, 404, 0}},
		"TLS hello":              {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []int{400, 0}},
		"no Host":                {"GET /livez HTTP/1.1\r\n\r\n", []int{400}},
		"two Hosts":              {"GET /livez HTTP/1.1\r\n" + host + host + "\r\n", []int{400}},
		"garbage":                {"\x00\x01\x02\x03\r\n\r\n", []int{400}},
		"upgrade in HTTP/1.0":    {strings.Replace(n.Handshake("/websocket"), "HTTP/1.1", "HTTP/1.0", 1), []int{400, 505}},
		"2,000 headers":          {"GET /livez HTTP/1.1\r\n" + host + strings.Repeat("X-A: 0123456789\r\n", 2000) + "\r\n", []int{431}},
		"20 KB header":           {"GET /livez HTTP/1.1\r\n" + host + "X: " + long + "\r\n\r\n", []int{431}},
		"20 KB of subprotocols":  {n.Handshake("/connection/websocket", "Sec-WebSocket-Protocol: b"+strings.Repeat(" ", 20<<10)+"x"), []int{431}},
		"20 KB URI":              {"GET /livez?" + long + " HTTP/1.1\r\n" + host + "\r\n", []int{431, 414}},
		"header folding":         {"GET /livez HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", []int{400, 200}},
		"space before colon":     {"GET /livez HTTP/1.1\r\n" + host + "X : a\r\n\r\n", []int{400}},
		"both lengths":           {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400, 200}},
		"two lengths":            {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", []int{400}},
		"negative length":        {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\n", []int{400}},
		"huge length":            {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: 99999999999\r\n\r\nx", []int{413}},
		"length past 64 bits":    {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: 18446744073709551617\r\n\r\nx", []int{400}},
		"bad chunk":              {"POST /publish/chat HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", []int{400}},
		"chunk past 64 bits":     {"POST /publish/chat HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx", []int{400}},
		"chunks over the limit":  {"POST /publish/chat HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("4000\r\n"+strings.Repeat("x", 0x4000)+"\r\n", 5) + "0\r\n\r\n", []int{413}},
		"gzip":                   {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", []int{415}},
		"gzip as transfer":       {"POST /publish/chat HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []int{501, 400}},
		"TRACE":                  {"TRACE /livez HTTP/1.1\r\n" + host + "\r\n", []int{405}},
		"TRACE of a page":        {"TRACE / HTTP/1.1\r\n" + host + "\r\n", []int{405}},
		"CONNECT":                {"CONNECT " + n.Addr + " HTTP/1.1\r\n" + host + "\r\n", []int{404, 405}},
		"method override":        {"GET /publish/chat HTTP/1.1\r\n" + host + "X-HTTP-Method-Override: POST\r\n\r\n", []int{405}},
		"another's method":       {"FLUSHALL / HTTP/1.1\r\n" + host + "\r\n", []int{405}},
		"expects the impossible": {"POST /publish/chat HTTP/1.1\r\n" + host + "Expect: 200-wonders\r\nContent-Length: 1\r\n\r\nx", []int{417}},
		"CR in a header":         {"POST /publish/chat HTTP/1.1\r\n" + host + "Idempotency-Key: a\rX-Evil: b\r\nContent-Length: 1\r\n\r\nx", []int{400}},
		"NUL in a header":        {"POST /publish/chat HTTP/1.1\r\n" + host + "Idempotency-Key: a\x00b\r\nContent-Length: 1\r\n\r\nx", []int{400}},
		"many parameters":        {"GET /history/chat?" + strings.Repeat("a&", 7<<10) + " HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		"body in a handshake":    {n.Handshake("/websocket", "Content-Length: 5") + "hello", []int{400}},
		"chunked handshake":      {n.Handshake("/websocket", "Transfer-Encoding: chunked") + "0\r\n\r\n", []int{400}},
	} {
		got := say(n, c.text)
		ok := false
		for _, w := range c.want {
			ok = ok || got == w
		}
		if !ok {
			t.Errorf("%s: %d, want %v", name, got, c.want)
		}
	}
	if status, body := n.Get("/history/chat"); status != 200 || strings.Contains(body, "hello") {
		t.Errorf("something got in: %d %s", status, body)
	}
}

// P1, P2: there is no file system behind a path, however it is written.
func TestPathsLeadNowhere(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	for _, path := range []string{
		"/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cetc/passwd", "/%252e%252e/etc/passwd",
		"//evil.example/", "/\\evil.example", "/etc/passwd%00.html", "/assets/", "/assets/../", "/assets/x/../../", "/.git/config", "/.env",
		"/debug/pprof/", "/debug/vars", "/r/../../etc/passwd", "/r/", "/r/a/b", "/assets/0000000000000000/..%2f..%2fweb.go",
		"/index.html", "/app.js.map", "/" + strings.Repeat("a/", 5000), "/api/../publish/chat", "/./websocket/../.git",
	} {
		got := say(n, "GET "+path+" HTTP/1.1\r\nHost: "+n.Addr+"\r\nConnection: close\r\n\r\n")
		if got != 404 && got != 405 && got != 400 && got != 301 && got != 307 && got != 308 {
			t.Errorf("%.60s: %d", path, got)
		}
	}
}

// A redirect that cleans a path must not lead to another host.
func TestNoRedirectLeavesTheHost(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	for _, path := range []string{"//evil.example/..", "//evil.example/../", "/.//evil.example", "/%2f/evil.example", "/\\/evil.example", "///evil.example/a/.."} {
		c := n.Connect()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, n.Addr)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			continue
		}
		if to := res.Header.Get("Location"); strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") || strings.Contains(to, "://") {
			t.Errorf("%s redirects to %q", path, to)
		}
	}
}

// H11, S1, S2, S4: who sends nothing, or a byte now and then, is not waited for
// longer than the bounds say, and meanwhile nobody else waits.
func TestSlowSenders(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	var all sync.WaitGroup
	slow := func(name, begin, drip string, limit time.Duration) {
		c := n.Connect()
		began := time.Now()
		io.WriteString(c, begin)
		over := make(chan struct{})
		all.Go(func() { // what is slow
			tick := time.NewTicker(300 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					io.WriteString(c, drip)
				}
			}
		})
		all.Go(func() {
			defer close(over)
			_ = c.SetReadDeadline(began.Add(limit + 2*kit.Patience))
			io.Copy(io.Discard, c)
			if took := time.Since(began); took > limit+kit.Patience {
				t.Errorf("%s: held for %s", name, took)
			}
		})
	}
	host := "Host: " + n.Addr + "\r\n"
	for range 5 {
		slow("nothing", "", "", 7*time.Second)
		slow("headers", "GET /livez HTTP/1.1\r\n"+host+"X: ", "a", 7*time.Second)
		slow("empty lines", "\r\n", "\r\n", 7*time.Second)
		slow("body", "POST /publish/chat HTTP/1.1\r\n"+host+"Content-Length: 1000\r\n\r\n", "a", 13*time.Second)
		slow("chunks", "POST /publish/chat HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 13*time.Second)
		slow("stream", "POST /connection/http_stream HTTP/1.1\r\n"+host+"Content-Length: 1000\r\n\r\n", "{", 13*time.Second)
		slow("guest", "POST /guest HTTP/1.1\r\n"+host+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n", " ", 13*time.Second)
		slow("body that nobody reads", "GET /livez HTTP/1.1\r\n"+host+"Content-Length: 1000\r\n\r\n", "a", 18*time.Second)
		slow("refused body", "POST /livez HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 18*time.Second)
		slow("never connects", n.Handshake("/connection/websocket"), "", 18*time.Second)
	}
	for range 20 {
		if status, _ := n.Get("/livez"); status != 200 {
			t.Errorf("others: %d", status)
		}
	}
	all.Wait()
}
