package ws

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
	"magpie/internal/wheel"
)

// recorder is a Handler that notes what it is told.
type recorder struct {
	messages chan string
	closed   chan CloseInfo
	codes    map[fault.Reason]uint16
}

func newRecorder() *recorder {
	return &recorder{messages: make(chan string, 1000), closed: make(chan CloseInfo, 10)}
}

func (r *recorder) Message(_ Op, payload []byte) { r.messages <- string(payload) }
func (r *recorder) Closed(info CloseInfo)        { r.closed <- info }
func (r *recorder) CloseCode(why fault.Reason) (uint16, string) {
	return r.codes[why], string(why)
}

// inBubble runs a conversation over a pipe, with a clock of its own: waits are
// exact and take no time.
func inBubble(t *testing.T, h Handler, f func(s *Server, c *Conn, peer *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if r, ok := h.(*recorder); ok { // its channels have to be of the bubble: else a wait for one is none
			*r = recorder{messages: make(chan string, 1000), closed: make(chan CloseInfo, 10), codes: r.codes}
		}
		w := wheel.New(100 * time.Millisecond)
		go w.Run(t.Context())
		s, err := New(Config{Wheel: w, forcePortable: true})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		c, err := s.over(ours, theirs, h)
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		f(s, c, &client{theirs, t, bufio.NewReader(theirs)})
		theirs.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// over makes a Conn over ours, whose other end is theirs.
func (s *Server) over(ours, theirs net.Conn, h Handler) (*Conn, error) {
	const head = "101"
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.ReadFull(theirs, make([]byte, len(head)))
	}()
	c, err := (&Conn{srv: s, h: h}).takeOver(ours, []byte(head))
	<-read
	return c, err
}

// within checks for d, but for the wheel's grain.
func within(t testing.TB, since time.Time, d time.Duration) {
	t.Helper()
	if took := time.Since(since); took < d-100*time.Millisecond || took > d+300*time.Millisecond {
		t.Errorf("after %v, want %v", took, d)
	}
}

// The silent are pinged after PingEvery; a pong, or any octet, is life; who
// says nothing for PongWait is told the protocol's own code and let go.
func TestLiveness(t *testing.T) {
	h := newRecorder()
	h.codes = map[fault.Reason]uint16{fault.ReasonNoPong: 4002}
	inBubble(t, h, func(_ *Server, c *Conn, peer *client) {
		start := time.Now()
		peer.expect(opPing, "")
		within(t, start, 25*time.Second)

		peer.send(masked(fin|opPong, ""))
		start = time.Now()
		peer.expect(opPing, "")
		within(t, start, 25*time.Second)

		time.Sleep(9 * time.Second)
		peer.send(text("alive")) // no pong, but life
		if m := <-h.messages; m != "alive" {
			t.Errorf("got %q", m)
		}
		start = time.Now()
		peer.expect(opPing, "")
		within(t, start, 25*time.Second)

		if g, err := peer.read(); err != nil || g != closing(4002, "no_pong") {
			t.Errorf("got %v, %v; want 4002", g, err)
		}
		within(t, start, 35*time.Second)
		if info := <-h.closed; info.Reason != fault.ReasonNoPong || info.Code != 4002 {
			t.Errorf("closed with %+v", info)
		}
		within(t, start, 35*time.Second)
		// The peer never answers the close frame: the socket goes after CloseWait.
		if _, err := peer.read(); err != io.EOF {
			t.Errorf("got %v, want the end of the stream", err)
		}
		within(t, start, 40*time.Second)
	})
}

// W6, W7: an unfinished frame or message is given 10 s, however it drips.
func TestSlowMessages(t *testing.T) {
	attacks := map[string][]byte{
		"half a header":      {0x81},
		"header alone":       text("hello")[:6],
		"payload missing":    text(strings.Repeat("x", 1000))[:50],
		"fragment alone":     masked(byte(Text), "never ends"),
		"control frame half": ping("hello")[:4],
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			h := newRecorder()
			inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
				time.Sleep(7 * time.Second) // not in step with the pings
				start := time.Now()
				go peer.send(attack)
				if g, err := peer.read(); err != nil || g != closing(codePolicy, "") {
					t.Errorf("got %v, %v; want %d", g, err, codePolicy)
				}
				within(t, start, 10*time.Second)
				if info := <-h.closed; info.Err != errTooSlow || info.Reason != fault.ReasonProtocol {
					t.Errorf("closed with %+v", info)
				}
			})
		})
	}
}

// W8: a message in too many fragments ends with the same code as one that
// takes too long; the detail says which it was.
func TestTooManyFragments(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
		go func() {
			peer.send(masked(byte(Text), ""))
			for range maxFragments {
				peer.send(masked(0, ""))
			}
		}()
		if g, err := peer.read(); err != nil || g != policy {
			t.Errorf("got %v, %v", g, err)
		}
		if info := <-h.closed; info.Err != errFragments || info.Reason != fault.ReasonProtocol {
			t.Errorf("closed with %+v", info)
		}
	})
}

func TestDrippedMessageIsTooSlow(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
		start := time.Now()
		go func() {
			for _, octet := range text(strings.Repeat("x", 100)) {
				if _, err := peer.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if g, err := peer.read(); err != nil || g != closing(codePolicy, "") {
			t.Errorf("got %v, %v", g, err)
		}
		within(t, start, 10*time.Second)
		if info := <-h.closed; info.Err != errTooSlow {
			t.Errorf("closed with %+v", info)
		}
		peer.Close()
		time.Sleep(2 * time.Second) // lets the dripper see it
	})
}

// Messages of 9 s each, one after the other, are each in time.
func TestAgeIsThatOfOneMessage(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
		go io.Copy(io.Discard, peer.Conn)
		frame := text("in time")
		peer.send(frame[:3])
		for range 5 {
			time.Sleep(9 * time.Second)
			peer.send(append(frame[3:], frame[:3]...)) // the next begins in the same packet
			if m := <-h.messages; m != "in time" {
				t.Fatalf("got %q", m)
			}
		}
	})
}

// CloseWith: one close frame whatever the number of calls, nothing after it,
// Closed at once, the socket when the peer has answered.
func TestCloseWith(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(s *Server, c *Conn, peer *client) {
		go c.CloseWith(4000, "restart")
		peer.expect(opClose, closing(4000, "restart").payload)
		c.CloseWith(4001, "again")
		synctest.Wait()
		if err := c.Write([][]byte{Frame(Text, []byte("late"))}); err != socket.ErrClosed {
			t.Errorf("Write after the close frame: %v", err)
		}
		if _, err := c.TryWrite(Frame(Text, nil)); err != socket.ErrClosed {
			t.Errorf("TryWrite after the close frame: %v", err)
		}
		c.ping()
		peer.SetReadDeadline(time.Now().Add(time.Second))
		if g, err := peer.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the close frame came %v, %v", g, err)
		}
		peer.SetReadDeadline(time.Time{})
		info := <-h.closed
		if info.Reason != fault.ReasonClient || info.Code != 4000 || info.Text != "restart" {
			t.Errorf("closed with %+v", info)
		}
		peer.send(join(text("too late"), bye(4000)))
		if _, err := peer.read(); err != io.EOF {
			t.Errorf("got %v, want the end of the stream", err)
		}
		if len(h.messages) != 0 || len(h.closed) != 0 {
			t.Errorf("%d messages and %d more Closed after the end", len(h.messages), len(h.closed))
		}
		if n := s.Len(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// A reason is cut to what fits a close frame, between two characters.
func TestLongReasonIsCut(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, c *Conn, peer *client) {
		c.CloseWith(4000, strings.Repeat("é", 100))
		peer.expect(opClose, closing(4000, strings.Repeat("é", 61)).payload)
	})
}

// A message that is begun after our close frame does not put off the end.
func TestCloseWaitIsNotPutOff(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, c *Conn, peer *client) {
		start := time.Now()
		go c.CloseWith(4000, "")
		peer.expect(opClose, closing(4000, "").payload)
		peer.send(text("half")[:3])
		if _, err := peer.read(); err != io.EOF {
			t.Errorf("got %v, want the end of the stream", err)
		}
		within(t, start, 5*time.Second)
	})
}

// A peer that does not take even a control frame is slow (D8).
func TestControlFramesHaveATimeout(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, c *Conn, _ *client) {
		start := time.Now()
		c.ping()
		if info := <-h.closed; info.Reason != fault.ReasonSlow || info.Code != codeAbnormal {
			t.Errorf("closed with %+v", info)
		}
		within(t, start, 10*time.Second)
	})
}

// As many pings in a second as are allowed are all answered, second after
// second; one more ends the connection.
func TestPingsUpToTheLimit(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
		for range 3 {
			time.Sleep(1200 * time.Millisecond)
			for range controlsPerSecond {
				peer.send(ping("x"))
				peer.expect(opPong, "x")
			}
		}
		peer.send(ping("x"))
		if info := <-h.closed; info.Err != errFlood {
			t.Errorf("closed with %+v", info)
		}
	})
}

// Octets may come in a tick that begins after the timer has read the clock:
// that is no long silence.
func TestOctetsOfTheNextTick(t *testing.T) {
	c := &Conn{srv: &Server{ages: ages{ping: 10, pong: 5}}}
	c.heard.Store(8)
	if left, ok := c.life(7); !ok || left != 10 {
		t.Errorf("%d ticks left, %t", left, ok)
	}
}

// The end of the stream without a close frame is told at once, with its reason.
func TestLostPeer(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(_ *Server, _ *Conn, peer *client) {
		peer.send(text("last words"))
		peer.Close()
		if m := <-h.messages; m != "last words" {
			t.Errorf("got %q", m)
		}
		if info := <-h.closed; info.Reason != fault.ReasonClient || info.Code != codeAbnormal || !errors.Is(info.Err, io.EOF) {
			t.Errorf("closed with %+v", info)
		}
	})
}

// Server.Close says 1001 to who is left and gives the handlers their Closed.
func TestServerClose(t *testing.T) {
	h := newRecorder()
	inBubble(t, h, func(s *Server, _ *Conn, peer *client) {
		done := make(chan error)
		go func() { done <- s.Close(context.Background()) }()
		peer.expect(opClose, closing(codeGoingAway, "").payload)
		peer.send(bye(codeGoingAway))
		if err := <-done; err != nil {
			t.Error(err)
		}
		if info := <-h.closed; info.Reason != fault.ReasonShutdown {
			t.Errorf("closed with %+v", info)
		}
		ours, theirs := net.Pipe()
		defer theirs.Close()
		if _, err := s.over(ours, theirs, newRecorder()); err != socket.ErrClosed {
			t.Errorf("a connection after Close: %v", err)
		}
	})
}

// Server.Close is over with its context, even when a handler is not.
func TestServerCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{}) // of the bubble: else a wait for it is none
		h := handlerFunc(func(string) { <-release })
		w := wheel.New(100 * time.Millisecond)
		go w.Run(t.Context())
		s, _ := New(Config{Wheel: w, forcePortable: true})
		ours, theirs := net.Pipe()
		c, _ := s.over(ours, theirs, h)
		c.Start()
		theirs.Write(text("stuck"))
		synctest.Wait() // the handler has it
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		within(t, start, 3*time.Second)
		go close(release)
	})
}

type handlerFunc func(string)

func (f handlerFunc) Message(_ Op, payload []byte) { f(string(payload)) }
func (handlerFunc) Closed(CloseInfo)               {}

// A handler that panics costs its own connection, with 1011.
func TestHandlerPanics(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable}, func(func() *Conn) Handler {
			return handlerFunc(func(string) { panic("a fault of ours") })
		})
		bad, good := dial(t, e.addr), dial(t, e.addr)
		bad.send(text("x"))
		if frames := bad.all(); len(frames) != 1 || frames[0] != closing(codeInternal, "") {
			t.Errorf("got %v", frames)
		}
		good.send(ping("alive"))
		good.expect(opPong, "alive")
	})
}
