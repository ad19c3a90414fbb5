package ws

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// eventually polls until ok, with a deadline.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// conn is the server's side of peer.
func (e *endpoint) conn(t testing.TB, peer *client) *Conn {
	t.Helper()
	var found *Conn
	eventually(t, "the connection", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, c := range e.conns {
			if c.slot.Net.RemoteAddr().String() == peer.LocalAddr().String() {
				found = c
			}
		}
		return found != nil
	})
	return found
}

// smallBuffers makes the kernel take little at once.
func smallBuffers(c *Conn) { c.slot.Net.(*net.TCPConn).SetWriteBuffer(4 << 10) }

// fillUp writes until the socket takes only a part of a frame, and returns the
// frames that were begun and the rest of the last.
func fillUp(t testing.TB, c *Conn, frame []byte) (n int, rest []byte) {
	t.Helper()
	for {
		k, err := c.TryWrite(frame)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case k == 0:
			return n, nil
		case k < len(frame):
			return n + 1, frame[k:]
		}
		n++
	}
}

// TryWrite takes what the kernel takes and no more, Write finishes it, and a
// close frame that came in between goes out after the frame, not inside it.
func TestCloseFrameWaitsForTheFrame(t *testing.T) {
	e := listen(t, Config{CloseWait: time.Hour}, newEcho(nil))
	peer := dial(t, e.addr)
	c := e.conn(t, peer)
	smallBuffers(c)
	frame := Frame(Binary, bytes.Repeat([]byte("0123456789"), 5000))
	n, rest := fillUp(t, c, frame)
	for rest == nil { // stands between two frames by chance: make some room
		if _, err := peer.read(); err != nil {
			t.Fatal(err)
		}
		more, part := fillUp(t, c, frame)
		n, rest = n-1+more, part
	}
	if k, err := c.TryWrite(frame); k != 0 || err != nil {
		t.Errorf("TryWrite inside a frame: %d, %v", k, err)
	}
	c.ping()
	c.CloseWith(4000, "")
	c.CloseWith(4001, "")
	done := make(chan error, 1)
	go func() { done <- c.Write([][]byte{rest, Frame(Text, []byte("after"))}) }()
	frames := peer.all()
	if err := <-done; err != socket.ErrClosed {
		t.Errorf("Write answered %v, want ErrClosed", err)
	}
	if len(frames) < n+2 {
		t.Fatalf("%d frames, want %d", len(frames), n+2)
	}
	for i, g := range frames[:n] {
		if g.op != byte(Binary) {
			t.Fatalf("frame %d is %v", i, g)
		}
	}
	if last := frames[len(frames)-1]; last != closing(4000, "") {
		t.Errorf("last came %v, want the close frame", last)
	}
	if g := frames[len(frames)-2]; g.op != opPing {
		t.Errorf("before it came %v, want the ping", g)
	}
}

// When the rest of a frame is written, the socket stands between two frames
// again: for TryWrite and for what waits.
func TestAfterTheRestOfAFrame(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	peer := dial(t, e.addr)
	c := e.conn(t, peer)
	smallBuffers(c)
	_, rest := fillUp(t, c, Frame(Binary, make([]byte, 1<<20)))
	done := make(chan error, 1)
	go func() { done <- c.Write([][]byte{rest}) }()
	if g, err := peer.read(); err != nil || len(g.payload) != 1<<20 {
		t.Fatalf("got %v, %v", g, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "a TryWrite that is taken", func() bool {
		n, err := c.TryWrite(Frame(Text, []byte("next")))
		return n > 0 && err == nil
	})
	peer.expect(byte(Text), "next")
	c.ping()
	peer.expect(opPing, "")
}

// Who holds the token sends what came to wait meanwhile.
func TestControlsThatCameMeanwhile(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	peer := dial(t, e.addr)
	c := e.conn(t, peer)
	meanwhile := func() {
		c.token.Lock()
		c.ping()
		c.token.Unlock()
	}
	meanwhile()
	if n, err := c.TryWrite(Frame(Text, []byte("x"))); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	peer.expect(byte(Text), "x")
	peer.expect(opPing, "")
	meanwhile()
	if err := c.Write([][]byte{Frame(Text, []byte("y"))}); err != nil {
		t.Fatal(err)
	}
	peer.expect(opPing, "")
	peer.expect(byte(Text), "y")
}

// What waits goes in at the end of the frame that is under way, even when
// every buffer ends inside a frame.
func TestBatchStopsAtTheBoundaryForControls(t *testing.T) {
	frame := Frame(Binary, make([]byte, 5000))
	c := &Conn{}
	b := batch{c: c, frames: socket.NewFrames([][]byte{frame, frame, frame, frame, frame, frame}), boundary: true}
	buf := make([]byte, socket.Chunk)
	out := b.Fill(buf)
	if len(out) != socket.Chunk || socket.Chunk%len(frame) == 0 {
		t.Fatalf("the buffer holds %d octets and should end inside a frame", len(out))
	}
	b.Advance(len(out))
	c.ctl = &controls{ctlPing: pingFrame}
	c.pending.Store(true)
	out = b.Fill(buf)
	if want := len(frame) - socket.Chunk%len(frame); len(out) != want {
		t.Fatalf("%d octets, want the %d that are left of the frame", len(out), want)
	}
	b.Advance(len(out))
	if out = b.Fill(buf); out[0] != fin|opPing {
		t.Error("the ping does not come first")
	}
	// Of a control frame that the socket took in part the rest comes next.
	b.Advance(1)
	c.ctl = &controls{ctlPing: pingFrame}
	c.pending.Store(true)
	if out = b.Fill(buf); out[0] != 0 || out[1] != fin|byte(Binary) {
		t.Errorf("the ping's second octet is not followed by the next frame: %x", out[:2])
	}
}

// outbox is the least a session does: TryWrite when nothing is queued, else a
// queue and a flusher.
type outbox struct {
	c     *Conn
	mu    sync.Mutex
	queue [][]byte
	busy  bool
	done  sync.WaitGroup
}

func (o *outbox) send(frame []byte) {
	o.mu.Lock()
	if o.busy {
		o.queue = append(o.queue, frame)
		o.mu.Unlock()
		return
	}
	o.busy = true
	n, err := o.c.TryWrite(frame)
	if err == nil && n < len(frame) {
		o.queue = append(o.queue, frame[n:])
		o.done.Add(1)
		o.mu.Unlock()
		go o.flush()
		return
	}
	o.busy = false
	o.mu.Unlock()
}

func (o *outbox) flush() {
	defer o.done.Done()
	for {
		o.mu.Lock()
		batch := o.queue
		o.queue = nil
		if len(batch) == 0 {
			o.busy = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if o.c.Write(batch) != nil {
			return
		}
	}
}

// Pongs, pings and data of all sizes, at the same time, to a peer that reads
// by fits: every frame arrives whole, data in order, and the last ping is
// answered.
func TestFramesNeverInterleave(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable}, newEcho(nil))
		peer := dial(t, e.addr)
		c := e.conn(t, peer)
		smallBuffers(c)
		const messages, pings = 2000, 150
		out := &outbox{c: c}
		var all sync.WaitGroup
		all.Go(func() {
			for i := range messages {
				out.send(Frame(Binary, bytes.Repeat([]byte{byte(i)}, 1+i*37%9000)))
				if i%20 == 0 {
					c.ping()
				}
			}
		})
		all.Go(func() {
			for i := range pings {
				peer.send(ping(fmt.Sprintf("ping %d", i)))
			}
		})
		next, lastPong := 0, ""
		for next < messages || lastPong != fmt.Sprintf("ping %d", pings-1) {
			g, err := peer.read()
			if err != nil {
				t.Fatalf("after %d messages: %v", next, err)
			}
			switch g.op {
			case opPing:
			case opPong:
				lastPong = g.payload
			case byte(Binary):
				want := strings.Repeat(string([]byte{byte(next)}), 1+next*37%9000)
				if g.payload != want {
					t.Fatalf("message %d is damaged", next)
				}
				next++
			default:
				t.Fatalf("got %v", g)
			}
		}
		all.Wait()
		out.done.Wait()
	})
}

// A pong comes between two frames of a long Write, not after it.
func TestPongDuringALongWrite(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	peer := dial(t, e.addr)
	c := e.conn(t, peer)
	smallBuffers(c)
	const n = 500
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = Frame(Binary, make([]byte, 20000))
	}
	done := make(chan error, 1)
	go func() { done <- c.Write(frames) }()
	peer.read() // under way
	peer.send(ping("now"))
	at := -1
	for i := 1; i < n+1; i++ {
		g, err := peer.read()
		if err != nil {
			t.Fatal(err)
		}
		if g.op == opPong {
			at = i
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if at < 0 || at >= n {
		t.Errorf("the pong came as frame %d of %d", at, n+1)
	}
}

// D8: a peer that takes nothing for WriteTimeout is given up, and its Closed
// says why; one that takes a little all the time is not.
func TestWriteTimeout(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		closed := make(chan CloseInfo, 1)
		e := listen(t, Config{forcePortable: portable, WriteTimeout: 200 * time.Millisecond}, newEcho(closed))
		peer := dial(t, e.addr)
		peer.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		c := e.conn(t, peer)
		smallBuffers(c)
		err := c.Write([][]byte{Frame(Binary, make([]byte, 8<<20))})
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("Write to a peer that does not read: %v", err)
		}
		if info := <-closed; info.Reason != fault.ReasonSlow {
			t.Errorf("closed with %+v", info)
		}
		if err := c.Write([][]byte{Frame(Text, nil)}); err != socket.ErrClosed {
			t.Errorf("Write after that: %v", err)
		}
	})
}

// Of a peer that keeps taking something a Write is patient: each time it has
// another WriteTimeout, and none is left afterwards.
func TestWriteIsPatientWithProgress(t *testing.T) {
	e := listen(t, Config{WriteTimeout: time.Hour}, newEcho(nil))
	peer := dial(t, e.addr)
	peer.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	c := e.conn(t, peer)
	d := &deadlines{TCPConn: c.slot.Net.(*net.TCPConn)}
	d.SetWriteBuffer(32 << 10)
	c.token.Lock()
	c.slot.Net = d
	c.token.Unlock()
	const size = 4 << 20
	done := make(chan error, 1)
	go func() { done <- c.Write([][]byte{Frame(Binary, make([]byte, size))}) }()
	eventually(t, "a wait", func() bool { return d.set.Load() == 1 })
	for taken := 0; d.set.Load() < 5; taken += 4 << 10 {
		if _, err := io.CopyN(io.Discard, peer.r, 4<<10); err != nil {
			t.Fatalf("%d octets were taken, and the deadline was set %d times: %v", taken, d.set.Load(), err)
		}
	}
	go io.Copy(io.Discard, peer.r)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !d.open.Load() {
		t.Error("the deadline outlives the Write")
	}
}

// deadlines counts how often a write deadline was set.
type deadlines struct {
	*net.TCPConn
	set  atomic.Int32
	open atomic.Bool // there is none now
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.open.Store(at.IsZero())
	if !at.IsZero() {
		d.set.Add(1)
	}
	return d.TCPConn.SetWriteDeadline(at)
}

// What multiplies by receivers allocates nothing.
func TestWritesDoNotAllocate(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	peer := dial(t, e.addr)
	go io.Copy(io.Discard, peer.r)
	c := e.conn(t, peer)
	frame := Frame(Text, []byte("a message of the usual kind"))
	try := func() {
		if _, err := c.TryWrite(frame); err != nil {
			t.Error(err)
		}
	}
	batch := [][]byte{frame, frame, frame, frame}
	write := func() {
		if err := c.Write(batch); err != nil {
			t.Error(err)
		}
	}
	if n := testing.AllocsPerRun(500, try); n != 0 && !raceEnabled {
		t.Errorf("TryWrite: %v allocations", n)
	}
	if n := testing.AllocsPerRun(500, write); n != 0 && !raceEnabled {
		t.Errorf("Write of %d frames: %v allocations", len(batch), n)
	}
}

// A ping flood is answered with a bounded number of pongs and ended.
func TestPingFlood(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		h := newRecorder()
		h.codes = map[fault.Reason]uint16{fault.ReasonFlood: 4006}
		e := listen(t, Config{forcePortable: portable}, func(func() *Conn) Handler { return h })
		peer := dial(t, e.addr)
		stop := peer.sendChopped([][]byte{bytes.Repeat(ping("flood"), 20000)}, 1<<20)
		defer stop()
		frames := peer.all()
		if len(frames) > 2*controlsPerSecond+1 || frames[len(frames)-1] != closing(4006, "flood") {
			t.Errorf("%d frames, last %v", len(frames), frames[len(frames)-1])
		}
		if info := <-h.closed; info.Reason != fault.ReasonFlood {
			t.Errorf("closed with %+v", info)
		}
	})
}
