package attack

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
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
		"both lengths":           {"POST /publish/chat HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []int{400}},
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

// A later request of a connection may have both lengths, too. Its chunks are read,
// and what lies behind them is never taken for a request.
func TestNothingBehindChunksIsARequest(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	c := n.Connect()
	defer c.Close()
	host := " HTTP/1.1\r\nHost: " + n.Addr + "\r\n"
	hidden := "POST /publish/chat" + host + "Content-Length: 6\r\n\r\nhidden"
	go io.WriteString(c, "GET /livez"+host+"\r\n"+
		"POST /publish/chat"+host+"Content-Length: "+strconv.Itoa(15+len(hidden))+"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"+hidden)
	answers, err := io.ReadAll(c) // the end: the server closes
	if got := strings.Count(string(answers), "HTTP/1.1 200"); err != nil || got != 2 {
		t.Errorf("%v, %d answers: %s", err, got, answers)
	}
	if _, body := n.Get("/history/chat"); !strings.Contains(body, "hello") || strings.Contains(body, "hidden") {
		t.Errorf("published: %s", body)
	}
}

// Who sends chunks and no length keeps the connection.
func TestChunksKeepTheConnection(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	c := n.Connect()
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range 3 {
		fmt.Fprintf(c, "POST /publish/chat HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", n.Addr)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("request %d: %v, %v", i, res, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// S2, S5: a body that breaks off is not published, also when what came of it is
// whole in itself.
func TestHalfABodyPublishesNothing(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	const command = `{"channel":"chat","data":"broken off"}`
	for path, body := range map[string]string{
		"/publish/chat": "broken off",
		"/api/publish":  command,
		"/api/batch":    `{"commands":[{"method":"publish","params":` + command + `}]}`,
		"/api":          `{"method":"publish","params":` + command + "}\n",
	} {
		head := "POST " + path + " HTTP/1.1\r\nHost: " + n.Addr + "\r\nContent-Type: application/json\r\n"
		for name, text := range map[string]string{
			"a length":     fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body)+1, body),
			"a chunk":      fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", head, len(body)+1, body),
			"chunks":       fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, len(body), body),
			"the last one": fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0", head, len(body), body),
		} {
			c := n.Connect()
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			_ = c.CloseWrite()
			if got := status(bufio.NewReader(c)); got == 200 {
				t.Errorf("%s breaks off in %s: taken", path, name)
			}
			c.Close()
		}
		if got := say(n, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), strings.ReplaceAll(body, "broken off", "whole as it"))); path != "/publish/chat" && got != 200 {
			t.Errorf("%s: the whole body answers %d", path, got)
		}
	}
	if _, body := n.Get("/history/chat"); strings.Contains(body, "broken off") {
		t.Errorf("published: %s", body)
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
