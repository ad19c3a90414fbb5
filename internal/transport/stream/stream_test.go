package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

func TestFramesArriveAtOnce(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		c, res := e.get(t)
		if res.StatusCode != 200 || res.Header.Get("X-Test") != "1" || res.Header.Get("Date") == "" || (res.ProtoMajor == 2) != e.h2 {
			t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
		}
		if (c.managed != nil) != e.managed {
			t.Error("not the way that was meant")
		}
		body := bufio.NewReader(res.Body)
		for _, want := range []string{"one\n", "two\n"} {
			n, err := c.TryWrite([]byte(want))
			if direct := !e.managed && !e.portable; err != nil || direct && n != len(want) || !direct && n != 0 {
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
		if err := c.Write([][]byte{[]byte("x")}); !errors.Is(err, socket.ErrClosed) {
			t.Errorf("write after the end: %v", err)
		}
	})
}

// The limits for requests end with the takeover: a stream outlives them, in
// both directions.
func TestLimitsForRequestsEnd(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		t.Parallel()
		c, res := e.get(t)
		limits := time.NewTimer(requests + 500*time.Millisecond)
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
		if r := <-e.gone; r != fault.ReasonClient {
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
			e.srv.cfg.WriteTimeout = 300 * time.Millisecond
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

// Of a slow client that keeps taking something a Write is patient: each time
// it has another WriteTimeout.
func TestAClientThatTakesLittle(t *testing.T) {
	e := listen(t, ways[0])
	e.srv.cfg.WriteTimeout = time.Hour
	c, nc, in := e.ask(t, request)
	d := &deadlines{TCPConn: c.slot.Net.(*net.TCPConn)}
	c.token.Lock()
	c.slot.Net = d
	c.token.Unlock()
	d.SetWriteBuffer(64 << 10)
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	frame := make([]byte, 2<<20)
	for i := range frame {
		frame[i] = byte(i % 251)
	}
	written := make(chan error, 1)
	go func() { written <- c.Write([][]byte{frame}) }()
	eventually(t, "a wait", func() bool { return d.set.Load() == 1 })
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for d.set.Load() < 5 {
		if _, err := io.CopyN(&got, res.Body, 4<<10); err != nil {
			t.Fatalf("%d octets were taken, and the deadline was set %d times: %v", got.Len(), d.set.Load(), err)
		}
	}
	go func() { <-written; c.Close() }()
	if _, err := io.Copy(&got, res.Body); err != nil || !bytes.Equal(got.Bytes(), frame) {
		t.Errorf("%d of %d octets, %v", got.Len(), len(frame), err)
	}
}

// deadlines counts how often a write deadline was set.
type deadlines struct {
	*net.TCPConn
	set atomic.Int32
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() {
		d.set.Add(1)
	}
	return d.TCPConn.SetWriteDeadline(at)
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
			io.WriteString(nc, strings.Repeat("and more", maxDiscarded/8-10))
			send(t, c, "one\n")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := bufio.NewReader(res.Body).ReadString('\n'); got != "one\n" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			nc.Close()
			if r := <-e.gone; r != fault.ReasonClient {
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
			if r := <-e.gone; r != fault.ReasonFlood {
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
			if r := <-e.gone; r != fault.ReasonClient {
				t.Errorf("gone with %q", r)
			}
			if _, err := io.ReadAll(nc); err != nil {
				t.Error(err)
			}
		})
	}
}
