package stream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// eventually polls until ok, with a deadline.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// way is how the server carries a stream.
type way struct {
	name     string
	portable bool // taken over, without a poller
	h2       bool // HTTP/2 over TLS
	managed  bool // net/http has the connection
}

var ways = []way{
	{name: "polled"}, {name: "portable", portable: true},
	{name: "HTTP/2", h2: true, managed: true}, {name: "no takeover", managed: true},
}

// everyWay runs a test over all of them.
func everyWay(t *testing.T, f func(t *testing.T, e *endpoint)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { f(t, listen(t, w)) })
	}
}

// endpoint is an HTTP server whose handler opens a stream and hands it to the
// test.
type endpoint struct {
	way
	srv    *Server
	addr   string
	url    string
	client *http.Client
	conns  chan *Conn
	gone   chan fault.Reason
	ended  chan struct{} // the handler has returned
}

// Gone implements Client.
func (e *endpoint) Gone(r fault.Reason) {
	select {
	case e.gone <- r:
	default: // told before
	}
}

// plain is a ResponseWriter that does not give its connection away.
type plain struct{ http.ResponseWriter }

func (p plain) control() *http.ResponseController {
	return http.NewResponseController(p.ResponseWriter)
}

func (p plain) FlushError() error                   { return p.control().Flush() }
func (p plain) SetReadDeadline(at time.Time) error  { return p.control().SetReadDeadline(at) }
func (p plain) SetWriteDeadline(at time.Time) error { return p.control().SetWriteDeadline(at) }

// requests is how long a request may take here.
const requests = 2 * time.Second

func listen(t testing.TB, w way) *endpoint {
	t.Helper()
	srv, err := New(Config{forcePortable: w.portable})
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{way: w, srv: srv, conns: make(chan *Conn, 1), gone: make(chan fault.Reason, 1), ended: make(chan struct{}, 100)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.managed && !w.h2 {
			rw = plain{rw}
		}
		rw.Header().Set("X-Test", "1")
		rw.Header().Set("Content-Type", "text/event-stream")
		c, err := srv.Open(rw, r, e)
		if err != nil {
			t.Error(err)
			return
		}
		e.conns <- c
		c.Serve(r.Context())
		e.ended <- struct{}{}
	}))
	// Limits for requests, which must not reach into a stream.
	s.Config.ReadTimeout, s.Config.WriteTimeout = requests, requests
	if w.h2 {
		s.EnableHTTP2 = true
		s.Config.ReadTimeout, s.Config.WriteTimeout = 0, 0
		s.StartTLS()
	} else {
		s.Start()
	}
	e.url, e.addr, e.client = s.URL, s.Listener.Addr().String(), s.Client()
	t.Cleanup(func() {
		e.client.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// get opens a stream as a client library does.
func (e *endpoint) get(t testing.TB) (*Conn, *http.Response) {
	t.Helper()
	res, err := e.client.Get(e.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return <-e.conns, res
}

// ask opens a stream by hand.
func (e *endpoint) ask(t testing.TB, request string) (*Conn, net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	return <-e.conns, nc, bufio.NewReader(nc)
}

const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// send is what a session does: try, then write the rest.
func send(t testing.TB, c *Conn, frame string) {
	t.Helper()
	n, err := c.TryWrite([]byte(frame))
	if err == nil && n < len(frame) {
		err = c.Write([][]byte{[]byte(frame[n:])})
	}
	if err != nil {
		t.Fatal(err)
	}
}
