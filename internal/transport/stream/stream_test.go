package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

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
	kept     bool // net/http has the connection
}

var ways = []way{
	{name: "polled"}, {name: "portable", portable: true},
	{name: "HTTP/2", h2: true, kept: true}, {name: "no takeover", kept: true},
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
	gone   chan session.Reason
	ended  chan struct{} // the handler has returned
}

// Gone implements Client.
func (e *endpoint) Gone(r session.Reason) {
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

func listen(t testing.TB, w way) *endpoint {
	t.Helper()
	srv, err := New(Config{WriteTimeout: 500 * time.Millisecond, forcePortable: w.portable, headTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{way: w, srv: srv, conns: make(chan *Conn, 1), gone: make(chan session.Reason, 1), ended: make(chan struct{}, 100)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.kept && !w.h2 {
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
	s.Config.ReadTimeout, s.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
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

func TestFramesArriveAtOnce(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		c, res := e.get(t)
		if res.StatusCode != 200 || res.Header.Get("X-Test") != "1" || res.Header.Get("Date") == "" || (res.ProtoMajor == 2) != e.h2 {
			t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
		}
		if (c.kept != nil) != e.kept {
			t.Error("not the way that was meant")
		}
		body := bufio.NewReader(res.Body)
		for _, want := range []string{"one\n", "two\n"} {
			n, err := c.TryWrite([]byte(want))
			if direct := !e.kept && !e.portable; err != nil || direct && n != len(want) || !direct && n != 0 {
				t.Errorf("TryWrite took %d, %v", n, err)
			}
			if n == 0 {
				if err := c.Write([][]byte{[]byte(want[:1]), []byte(want[1:])}); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := body.ReadString('\n'); got != want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
		c.Close()
		c.Close()
		if rest, err := io.ReadAll(body); len(rest) != 0 || err != nil {
			t.Errorf("an orderly end gives %q, %v", rest, err)
		}
		<-e.ended
		if err := c.Write([][]byte{[]byte("x")}); !errors.Is(err, ErrClosed) {
			t.Errorf("write after the end: %v", err)
		}
	})
}

// The limits for requests end with the takeover: a stream outlives them, in
// both directions.
func TestLimitsForRequestsEnd(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		c, res := e.get(t)
		limits := time.NewTimer(700 * time.Millisecond)
		defer limits.Stop()
		select {
		case <-limits.C:
		case r := <-e.gone:
			t.Fatalf("ended with %q", r)
		}
		send(t, c, "late\n")
		if got, err := bufio.NewReader(res.Body).ReadString('\n'); got != "late\n" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAClientThatGoesEndsTheStream(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		_, res := e.get(t)
		res.Body.Close()
		e.client.CloseIdleConnections()
		if r := <-e.gone; r != session.ReasonClient {
			t.Errorf("gone with %q", r)
		}
		<-e.ended
		eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
	})
}

// A client that takes nothing is given up after the timeout (D8), and a Close
// meanwhile does not wait for it.
func TestAClientThatTakesNothing(t *testing.T) {
	for _, w := range ways {
		if w.h2 {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			c, nc, _ := e.ask(t, request)
			nc.(*net.TCPConn).SetReadBuffer(4 << 10)
			frame := make([]byte, 1<<20)
			var err error
			for err == nil {
				err = c.Write([][]byte{frame})
			}
			if !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
				t.Errorf("gave up with %v", err)
			}
			c.Close()
			<-e.ended
			eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
		})
	}
}

// Of a slow client that keeps taking something a Write is patient, however
// long it takes in all.
func TestAClientThatTakesLittle(t *testing.T) {
	e := listen(t, ways[0])
	c, nc, in := e.ask(t, request)
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.nc.(*net.TCPConn).SetWriteBuffer(64 << 10)
	frame := make([]byte, 2<<20)
	for i := range frame {
		frame[i] = byte(i % 251)
	}
	written := make(chan error, 1)
	go func() { written <- c.Write([][]byte{frame}) }()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for start := time.Now(); time.Since(start) < 1200*time.Millisecond; <-pause.C { // more than two WriteTimeouts
		if _, err := io.CopyN(&got, res.Body, 4<<10); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-written:
		t.Fatalf("nothing was waited for: %v", err)
	default:
	}
	go func() { <-written; c.Close() }()
	if _, err := io.Copy(&got, res.Body); err != nil || !bytes.Equal(got.Bytes(), frame) {
		t.Errorf("%d of %d octets, %v", got.Len(), len(frame), err)
	}
}

// A Close cuts a write short that waits for a client which takes nothing.
func TestCloseCutsAWriteShort(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			e.srv.cfg.WriteTimeout, e.srv.cfg.endWait = time.Hour, 50*time.Millisecond
			c, _, _ := e.ask(t, request)
			written := make(chan error, 1)
			go func() { written <- c.Write([][]byte{make([]byte, 64<<20)}) }()
			eventually(t, "a write", func() bool {
				if c.token.TryLock() {
					c.token.Unlock()
					return false
				}
				return true
			})
			c.Finish([]byte("never heard"))
			if err := <-written; err == nil {
				t.Error("64 MB were written to nobody")
			}
			eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
		})
	}
}

// The last word comes behind what was written, and the answer ends in order.
func TestFinishSaysALastWord(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		c, res := e.get(t)
		send(t, c, "one,")
		c.Finish([]byte("last"))
		c.Finish([]byte("not this")) // the first counts
		c.Close()
		if all, err := io.ReadAll(res.Body); string(all) != "one,last" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		<-e.ended
		eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
	})
}

// The last word waits for a write that is under way.
func TestTheLastWordWaitsForAWrite(t *testing.T) {
	e := listen(t, ways[0])
	c, _, in := e.ask(t, request)
	const size = 32 << 20
	written := make(chan error, 1)
	go func() { written <- c.Write([][]byte{make([]byte, size)}) }()
	eventually(t, "a write that waits", func() bool {
		if c.token.TryLock() {
			c.token.Unlock()
			return false
		}
		return true
	})
	c.Finish([]byte("last"))
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(res.Body)
	if err != nil || len(all) != size+4 || !bytes.HasSuffix(all, []byte("last")) {
		t.Errorf("%d octets, %v", len(all), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// An old client gets a body without chunks, and the end of the connection is
// its end. Proxies ask like this, too.
func TestHTTP10(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			c, _, in := e.ask(t, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
			send(t, c, "one,")
			send(t, c, strings.Repeat("x", 100_000))
			c.Finish([]byte("last"))
			all, err := io.ReadAll(in)
			head, body, _ := strings.Cut(string(all), "\r\n\r\n")
			if err != nil || body != "one,"+strings.Repeat("x", 100_000)+"last" {
				t.Errorf("%d octets, %v", len(body), err)
			}
			if !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") || strings.Contains(head, "chunked") || !strings.Contains(head, "\r\nX-Test: 1") {
				t.Error(head)
			}
		})
	}
}

// The head says how the body travels, once, and that nothing is answered
// behind it, whatever the handler and the client said.
func TestTheHeadIsWhole(t *testing.T) {
	e := listen(t, ways[0])
	c, _, in := e.ask(t, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
	c.Close()
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if body != "0\r\n\r\n" {
		t.Errorf("an empty body is %q", body)
	}
	for _, line := range []string{"Transfer-Encoding: chunked", "Connection: close", "Content-Type: text/event-stream", "X-Test: 1", "Date: "} {
		if n := strings.Count(head, "\r\n"+line); n != 1 {
			t.Errorf("%d times %q in\n%s", n, line, head)
		}
	}
}

// What a client sends behind its request is thrown away: a second request, or
// anything. The stream goes on, and its client's end is still seen. (net/http
// stops reading at the first octet.)
func TestOctetsBehindTheRequest(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			c, nc, in := e.ask(t, request+request)
			io.WriteString(nc, "and more")
			send(t, c, "one\n")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := bufio.NewReader(res.Body).ReadString('\n'); got != "one\n" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			nc.Close()
			if r := <-e.gone; r != session.ReasonClient {
				t.Errorf("gone with %q", r)
			}
		})
	}
}

// A client that talks and talks is cut off: it could keep a poller busy.
func TestAFloodEndsTheStream(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			_, nc, _ := e.ask(t, request)
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				for range 1000 {
					if _, err := nc.Write(make([]byte, 4<<10)); err != nil {
						return
					}
				}
			}()
			if r := <-e.gone; r != session.ReasonFlood {
				t.Errorf("gone with %q", r)
			}
			eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
			<-flooded
		})
	}
}

// A client that ends its own direction has gone, as with net/http. Its body
// ends in order.
func TestAHalfClosedClientHasGone(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			_, nc, _ := e.ask(t, request)
			nc.(*net.TCPConn).CloseWrite()
			if r := <-e.gone; r != session.ReasonClient {
				t.Errorf("gone with %q", r)
			}
			if _, err := io.ReadAll(nc); err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that never ends its direction does not hold the socket.
func TestAnEndIsNotWaitedForLong(t *testing.T) {
	e := listen(t, ways[0])
	e.srv.cfg.endWait = 50 * time.Millisecond
	c, _, _ := e.ask(t, request)
	c.Close()
	eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
}

// What a client sends while the last word is on its way does not take that
// from it: closed at once, the socket would answer with a reset.
func TestAnEndWaitsForTheClients(t *testing.T) {
	e := listen(t, ways[0])
	e.srv.cfg.endWait = time.Hour
	c, nc, in := e.ask(t, request)
	c.Finish([]byte("last"))
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, "meanwhile")
	if all, err := io.ReadAll(res.Body); string(all) != "last" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	if e.srv.Len() != 1 {
		t.Error("closed before the client had ended")
	}
	nc.Close()
	eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
}

// A frame that breaks off in its middle is no orderly end: the client must not
// take the body for whole.
func TestABrokenFrameBreaksTheBody(t *testing.T) {
	e := listen(t, ways[0])
	c, _, in := e.ask(t, request)
	frame := make([]byte, 64<<10)
	n := len(frame)
	for n == len(frame) {
		var err error
		if n, err = c.TryWrite(frame); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, res.Body, 64<<10) // there is room again
	if m, err := c.TryWrite(bytes.Repeat([]byte("x"), 10)); m != 0 || err != nil {
		t.Errorf("inside a frame TryWrite took %d, %v", m, err)
	}
	c.Finish([]byte("last"))
	rest, err := io.ReadAll(res.Body)
	if err == nil || strings.Trim(string(rest), "\x00") != "" {
		t.Errorf("a broken body looks whole, or has more than what was written: %v", err)
	}
}

// A server that closes ends the streams that are left, opens none, and waits.
func TestServerClose(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			_, res := e.get(t)
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(res.Body)
				ended <- err
			}()
			if err := e.srv.Close(t.Context()); err != nil || e.srv.Len() != 0 {
				t.Errorf("%v, %d left", err, e.srv.Len())
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if _, err := e.srv.Open(&hijacked{t: t}, httptest.NewRequest("GET", "/", nil), e); !errors.Is(err, ErrClosed) {
				t.Errorf("opened after Close: %v", err)
			}
		})
	}
}

// A Close that may not wait cuts off who does not end.
func TestServerCloseWithoutPatience(t *testing.T) {
	e := listen(t, ways[0])
	e.ask(t, request)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.srv.Close(ctx); !errors.Is(err, context.Canceled) || e.srv.Len() != 0 {
		t.Errorf("%v, %d left", err, e.srv.Len())
	}
}

// hijacked is a ResponseWriter that hands over one end of a pipe.
type hijacked struct {
	t *testing.T
	http.ResponseWriter
}

func (h *hijacked) Header() http.Header { return http.Header{} }

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	ours, theirs := net.Pipe()
	h.t.Cleanup(func() { theirs.Close() })
	return ours, bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours)), nil
}

// Streams come and go in all ways at once: every client is told or had asked
// for it, and nothing is left.
func TestChurn(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, w)
			go func() {
				for c := range e.conns {
					go func() {
						c.TryWrite([]byte("hello\n"))
						c.Write([][]byte{make([]byte, 100<<10)})
					}()
					if len(e.ended)%3 == 0 {
						go c.Finish([]byte("bye"))
					}
				}
			}()
			all := make(chan error, 8)
			for worker := range 8 {
				go func() { all <- churn(e.addr, worker) }()
			}
			for range 8 {
				if err := <-all; err != nil {
					t.Error(err)
				}
			}
			eventually(t, "the end of all", func() bool { return e.srv.Len() == 0 })
			for range 8 * 40 {
				<-e.ended
			}
			close(e.conns)
		})
	}
}

func churn(addr string, worker int) error {
	for i := range 40 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		io.WriteString(nc, request)
		one := make([]byte, 1)
		nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Read(one); err != nil {
			return fmt.Errorf("worker %d: %w", worker, err)
		}
		switch i % 4 {
		case 0:
			nc.(*net.TCPConn).SetLinger(0)
		case 1:
			nc.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, nc)
		case 2:
			io.WriteString(nc, request)
		}
		nc.Close()
	}
	return nil
}
