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
	"testing/synctest"
	"time"

	"magpie/internal/transport/socket"
)

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

// The close message comes behind what was written, and the answer ends in order.
func TestFinishSendsAMessage(t *testing.T) {
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

// The close message waits for a write that is under way.
func TestTheCloseMessageWaitsForAWrite(t *testing.T) {
	e := listen(t, ways[0])
	e.srv.cfg.endWait = time.Hour
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

// A client that never ends its direction does not hold the socket.
func TestAnEndIsNotWaitedForLong(t *testing.T) {
	e := listen(t, ways[0])
	e.srv.cfg.endWait = 50 * time.Millisecond
	c, _, _ := e.ask(t, request)
	c.Close()
	eventually(t, "the end", func() bool { return e.srv.Len() == 0 })
}

// What a client sends while the close message is on its way does not take that
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

// The end has a bound of its own: not the deadline of a Write long ago. A
// connection that cannot end one direction ends whole, at once.
func TestTheEndHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{forcePortable: true})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		all := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(theirs)
			all <- string(b)
		}()
		c := &Conn{srv: s, client: &endpoint{}, bare: true}
		if err := s.conns.Add((*watched)(c), ours, []byte("head,")); err != nil {
			t.Fatal(err)
		}
		if err := c.Write([][]byte{[]byte("one,")}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		start := time.Now()
		c.Finish([]byte("last"))
		if got := <-all; got != "head,one,last" || time.Since(start) != 0 {
			t.Errorf("%q after %v", got, time.Since(start))
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(endWait) // its timer
	})
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
			if _, err := e.srv.Open(&hijacked{t: t}, httptest.NewRequest("GET", "/", nil), e); !errors.Is(err, socket.ErrClosed) {
				t.Errorf("opened after Close: %v", err)
			}
		})
	}
}

// A Close that may not wait cuts off who does not end.
func TestServerCloseIsBounded(t *testing.T) {
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
