package ws

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"magpie/internal/fault"
)

// A Conn is most of what an idle connection costs us: look twice before it grows.
func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 288 {
		t.Errorf("a Conn takes %d bytes, want at most 288", size)
	}
}

// No more handlers run than there are Workers, and all run in the end.
func TestWorkersAreBounded(t *testing.T) {
	var mu sync.Mutex
	running, most, done := 0, 0, 0
	release := make(chan struct{})
	e := listen(t, Config{Workers: 3}, func(func() *Conn) Handler {
		return handlerFunc(func(string) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-release
			mu.Lock()
			running--
			done++
			mu.Unlock()
		})
	})
	const peers = 12
	for range peers {
		dial(t, e.addr).send(text("x"))
	}
	at := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return running == n
		}
	}
	eventually(t, "three at work", at(3))
	waiting := func() (n int) {
		e.workers.mu.Lock()
		defer e.workers.mu.Unlock()
		for c := e.workers.head; c != nil; c = c.next {
			n++
		}
		return n
	}
	eventually(t, "the others in the queue", func() bool { return waiting() == peers-3 })
	close(release)
	eventually(t, "all done", func() bool { mu.Lock(); defer mu.Unlock(); return done == peers })
	if most > 3 {
		t.Errorf("%d handlers ran at once", most)
	}
}

// One connection with endless work leaves the others their turn, even with a
// single worker.
func TestWorkIsFair(t *testing.T) {
	handled := make(chan struct{})
	e := listen(t, Config{Workers: 1}, func(func() *Conn) Handler {
		return handlerFunc(func(m string) {
			if m == "other" {
				close(handled)
				return
			}
			time.Sleep(time.Millisecond) // the work itself
		})
	})
	greedy, other := dial(t, e.addr), dial(t, e.addr)
	var flood []byte
	for range 20000 {
		flood = append(flood, text("more")...)
	}
	stop := greedy.sendChopped([][]byte{flood}, 1<<20)
	defer stop()
	c := e.conn(t, greedy)
	eventually(t, "a full inbox", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.paused })
	c.mu.Lock()
	if in := c.inbox; in != nil && len(in.items)-in.first > inboxMessages {
		t.Errorf("%d messages were read ahead", len(in.items)-in.first)
	}
	c.mu.Unlock()
	other.send(text("other"))
	select {
	case <-handled:
	case <-time.After(5 * time.Second): // the flood takes 20 s
		t.Error("the other connection had no turn")
	}
}

// What is sent after a violation is thrown away, and only so much of it.
func TestDiscardIsBounded(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable, CloseWait: time.Hour, PingEvery: time.Hour}, newEcho(nil))
		peer := dial(t, e.addr)
		peer.send([]byte{0xff, 0xff})
		peer.expect(opClose, broken.payload)
		if e.Len() != 1 {
			t.Error("closed before the peer could see the close frame")
		}
		stop := peer.sendChopped(slices.Repeat([][]byte{make([]byte, 64<<10)}, 8*maxDiscarded/(64<<10)), 0)
		defer stop()
		eventually(t, "the end", func() bool { return e.Len() == 0 })
	})
}

// RFC 6455 section 7.1.1: the close is clean for a peer whose frame was too
// large. The socket's end comes behind the peer's own close frame, which stands
// behind the rest of that frame. Who never sends the rest reads the end soon.
func TestTooLargeIsClosedCleanly(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		cfg := Config{forcePortable: portable, MaxMessage: testLimit, CloseWait: time.Hour, PingEvery: time.Hour, framedWait: time.Hour}
		e := listen(t, cfg, newEcho(nil))
		frames := slices.Concat(text(strings.Repeat("x", testLimit+1)), masked(fin|opPing, "x"), text("more"), header(0x82, 0x80, 1, 2, 3, 4))
		for _, cut := range []int{10, 14, 15, testLimit, len(frames) - 7, len(frames) - 1} {
			c := dial(t, e.addr, frames[:cut]...)
			c.expect(opClose, tooBig.payload)
			for piece := range slices.Chunk(frames[cut:], 4999) {
				c.send(piece)
			}
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := c.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("cut at %d: ended before the peer's close frame: %v", cut, err)
			}
			c.SetReadDeadline(time.Now().Add(patience))
			for _, octet := range bye(1009) {
				c.send([]byte{octet})
			}
			if _, err := c.read(); err != io.EOF {
				t.Errorf("cut at %d: %v", cut, err)
			}
		}
		cfg.framedWait = 50 * time.Millisecond
		half := dial(t, listen(t, cfg, newEcho(nil)).addr, frames[:20]...)
		half.expect(opClose, tooBig.payload)
		if _, err := half.read(); err != io.EOF {
			t.Errorf("half a frame: %v", err)
		}
	})
}

// A peer that never answers the close frame is cut off after CloseWait.
func TestCloseWait(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		closed := make(chan CloseInfo, 1)
		e := listen(t, Config{forcePortable: portable, CloseWait: 100 * time.Millisecond}, newEcho(closed))
		peer := dial(t, e.addr)
		e.conn(t, peer).CloseWith(4000, "")
		<-closed
		eventually(t, "the end", func() bool { return e.Len() == 0 })
		peer.expect(opClose, closing(4000, "").payload)
	})
}

// When both sides have sent a close frame the socket is closed, without a wait.
func TestBothSentCloseFrames(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable, CloseWait: time.Hour}, newEcho(nil))
		peer := dial(t, e.addr)
		e.conn(t, peer).CloseWith(4000, "")
		peer.expect(opClose, closing(4000, "").payload)
		peer.send(bye(4000))
		eventually(t, "the end", func() bool { return e.Len() == 0 })
	})
}

// A peer that sends a close frame and ends its direction still gets the answers to
// what it sent before, and the close frame.
func TestHalfClosedPeerGetsItsAnswers(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		release := make(chan struct{})
		e := listen(t, Config{forcePortable: portable}, func(conn func() *Conn) Handler {
			return &slowEcho{echo{conn: conn}, release}
		})
		peer := dial(t, e.addr)
		peer.send(join(text("question"), bye(1000)))
		peer.Conn.(*net.TCPConn).CloseWrite()
		c := e.conn(t, peer)
		eventually(t, "the end of the stream", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.done })
		close(release)
		checkAnswers(t, peer.all(), []got{echoed("question"), normal}, false)
	})
}

// D15: what came before a violation is handled and answered, and then the peer
// is told.
func TestAViolationWaitsForTheAnswers(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		release := make(chan struct{})
		e := listen(t, Config{forcePortable: portable}, func(conn func() *Conn) Handler {
			return &slowEcho{echo{conn: conn}, release}
		})
		peer := dial(t, e.addr)
		peer.send(join(text("question"), []byte{0xff, 0xff}))
		c := e.conn(t, peer)
		eventually(t, "the violation", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.closing != nil })
		close(release)
		checkAnswers(t, peer.all(), []got{echoed("question"), broken}, false)
	})
}

type slowEcho struct {
	echo
	release chan struct{}
}

// Now leaves all to Message, which waits.
func (e *slowEcho) Now(_ Op, payload []byte) []byte { return payload }

func (e *slowEcho) Message(op Op, payload []byte) {
	<-e.release
	e.echo.Message(op, payload)
}

// A connection that was accepted and never started can be ended.
func TestCloseBeforeStart(t *testing.T) {
	e := listen(t, Config{CloseWait: 100 * time.Millisecond}, newEcho(nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs := dialRaw(t, ln.Addr().String())
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	h := newRecorder()
	c, err := e.over(ours, theirs, h)
	if err != nil {
		t.Fatal(err)
	}
	c.CloseWith(4000, "")
	theirs.expect(opClose, closing(4000, "").payload)
	<-h.closed
	eventually(t, "the end", func() bool { return e.Len() == 0 })
	c.Start() // too late, and without effect
}

// A server that closes refuses handshakes while HTTP can still say so.
func TestHandshakeWhileClosing(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": goldenKey} {
		r.Header.Set(name, value)
	}
	if f := fault.Of(e.Check(r)); f == nil || f.Kind != fault.HandshakeShutdown || f.Wait == 0 {
		t.Errorf("got %v, want a shutdown with a wait", f)
	}
}

// RFC 6455 7.1.1: after our close frame the socket stays open until the peer's
// own has come: a browser says else that the close was not clean.
func TestTheSocketStaysOpenForTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable, CloseWait: time.Hour}, newEcho(nil))
		peer := dial(t, e.addr)
		e.conn(t, peer).CloseWith(4000, "")
		peer.expect(opClose, "\x0f\xa0")
		peer.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := peer.Conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("before the answer: %v", err)
		}
		peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		peer.send(bye(4000))
		if _, err := peer.Conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the answer: %v", err)
		}
	})
}
