package kit

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Doors are the ways into a server at an address. Methods that return an error
// or a status are safe for any goroutine; those that fail the test are for the
// goroutine of the test.
type Doors struct {
	Addr string // host:port
	t    testing.TB
}

// At are the doors behind an address that is no node's own, such as a proxy's.
func At(t testing.TB, addr string) Doors { return Doors{Addr: addr, t: t} }

// transport keeps connections for a moment only: they show in what a test
// counts on the server, and as goroutines that are left here.
var transport = &http.Transport{ResponseHeaderTimeout: Patience, IdleConnTimeout: 100 * time.Millisecond}

// client follows no redirect.
var client = &http.Client{Transport: transport, Timeout: Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// URL is the address of a path.
func (d Doors) URL(path string) string { return "http://" + d.Addr + path }

// Do sends a request with headers given as "Name: value". The body of the
// answer is to be closed; reading it ends after Patience.
func (d Doors) Do(method, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequest(method, d.URL(path), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Add(name, value); name == "Host" {
			req.Host = value
		}
	}
	return client.Do(req)
}

// Ask is Do that fails the test when no answer comes.
func (d Doors) Ask(method, path, body string, headers ...string) *http.Response {
	d.t.Helper()
	res, err := d.Do(method, path, body, headers...)
	if err != nil {
		d.t.Fatalf("%s %.80s: %v", method, path, err)
	}
	return res
}

// Get returns status and body; status 0 and the reason when no answer comes.
func (d Doors) Get(path string, headers ...string) (int, string) {
	return Read(d.Do("GET", path, "", headers...))
}

// Post is Get with a body.
func (d Doors) Post(path, body string, headers ...string) (int, string) {
	return Read(d.Do("POST", path, body, headers...))
}

// Publish publishes over HTTP; a refusal fails the test.
func (d Doors) Publish(channel, payload string) {
	d.t.Helper()
	if status, body := d.Post("/publish/"+channel, payload); status != http.StatusOK {
		d.t.Fatalf("publish to %s: %d %s", channel, status, body)
	}
}

// Read returns status and body of an answer, and closes the body.
func Read(res *http.Response, err error) (int, string) {
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(b)
}

// Connect opens a TCP connection, which the test's cleanup closes. Reads and
// writes end after Patience, unless the test sets another deadline.
func (d Doors) Connect() *net.TCPConn {
	d.t.Helper()
	c, err := net.DialTimeout("tcp", d.Addr, Patience)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return c.(*net.TCPConn)
}

// Handshake is a WebSocket upgrade of a path as bytes; more are further header
// lines.
func (d Doors) Handshake(path string, more ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + d.Addr + "\r\n" + strings.Join(append(more, Upgrade...), "\r\n") + "\r\n\r\n"
}

// Upgrade is the header lines of a WebSocket handshake.
var Upgrade = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
