package ws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// While a handler waits (for Redis, say) its connection is read ahead within
// bounds only, its pings are answered, the others do not notice, and in the
// end every message has come once and in order.
func TestBackpressure(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		release := make(chan struct{})
		var mu sync.Mutex
		var seen []string
		e := listen(t, Config{forcePortable: portable}, func(func() *Conn) Handler {
			return handlerFunc(func(m string) {
				if m == "other" {
					return
				}
				<-release
				mu.Lock()
				seen = append(seen, m)
				mu.Unlock()
			})
		})
		const count, size = 3000, 10000
		filler := strings.Repeat("x", size)
		busy, other := dial(t, e.addr), dial(t, e.addr)
		c := e.conn(t, busy)
		busy.send(text("0" + filler))
		busy.send(ping("meanwhile"))
		busy.expect(opPong, "meanwhile")
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := 1; i < count; i++ {
				busy.send(text(strconv.Itoa(i) + filler))
			}
		}()
		eventually(t, "a pause", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.paused
		})
		c.mu.Lock()
		if n := len(c.inbox.items) - c.inbox.first; n > inboxMessages || c.inbox.bytes > c.srv.cfg.MaxMessage+size+10 {
			t.Errorf("%d messages of %d octets were read ahead", n, c.inbox.bytes)
		}
		c.mu.Unlock()
		other.send(text("other"))
		other.send(ping("fine"))
		other.expect(opPong, "fine")

		close(release)
		<-sent
		eventually(t, "all messages", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) == count
		})
		for i, m := range seen {
			if m != strconv.Itoa(i)+filler {
				t.Fatalf("message %d is %.20q", i, m)
			}
		}
		busy.send(ping("after"))
		busy.expect(opPong, "after")
	})
}

// Many tiny messages in one packet fill an inbox by number: what is left of
// the packet is not lost, nor what follows it.
func TestManyMessagesInOnePacket(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable}, newEcho(nil))
		peer := dial(t, e.addr)
		const count = 20000
		var all bytes.Buffer
		for i := range count {
			all.Write(text(strconv.Itoa(i)))
		}
		stop := peer.sendChopped([][]byte{all.Bytes()}, 1<<20)
		defer stop()
		for i := range count {
			peer.expect(byte(Text), strconv.Itoa(i))
		}
	})
}

// While a connection is paused its peer's silence is our doing: no ping goes
// unanswered because we do not read. Afterwards silence counts again.
func TestPausedIsNotSilent(t *testing.T) {
	h := &waiting{}
	inBubble(t, h, func(_ *Server, c *Conn, peer *client) {
		*h = waiting{make(chan struct{}), make(chan CloseInfo, 1)} // of the bubble
		for range inboxMessages {
			peer.send(text("x"))
		}
		synctest.Wait() // the handler has the first
		c.mu.Lock()
		paused := c.paused // before it took the first
		c.mu.Unlock()
		if !paused {
			peer.send(text("x"))
		}
		go io.Copy(io.Discard, peer.Conn)
		time.Sleep(time.Hour)
		c.mu.Lock()
		if !c.paused || c.closing != nil {
			t.Errorf("paused %t, closing %+v", c.paused, c.closing)
		}
		c.mu.Unlock()
		close(h.release)
		start := time.Now()
		if info := <-h.closed; info.Err != errSilent {
			t.Errorf("closed with %+v", info)
		}
		within(t, start, 35*time.Second)
	})
}

type waiting struct {
	release chan struct{}
	closed  chan CloseInfo
}

func (w *waiting) Message(Op, []byte)    { <-w.release }
func (w *waiting) Closed(info CloseInfo) { w.closed <- info }

// W6, W7 on sockets: an unfinished message is given its time and no more.
func TestSlowMessageOnASocket(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{forcePortable: portable, CloseWait: 50 * time.Millisecond}, newEcho(nil))
		e.ages.message = 20 // of 10 ms
		slow, idle := dial(t, e.addr), dial(t, e.addr)
		slow.send(text("never finished")[:9])
		start := time.Now()
		if frames := slow.all(); len(frames) != 1 || frames[0] != policy {
			t.Errorf("got %v", frames)
		}
		if took := time.Since(start); took < 180*time.Millisecond {
			t.Errorf("after %v", took)
		}
		idle.send(text("still here"))
		idle.expect(byte(Text), "still here")
	})
}

// Connections come and go in all ways at once, descriptors are used again and
// again: every handler has its Closed exactly once, after its messages, and
// nothing is left.
func TestChurn(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var closed, late atomic.Int64
		cfg := Config{forcePortable: portable, CloseWait: 50 * time.Millisecond}
		e := listen(t, cfg, func(conn func() *Conn) Handler {
			return &tally{echo: echo{conn: conn}, closed: &closed, late: &late}
		})
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 60 {
					churn(t, e, worker*1000+i)
				}
			})
		}
		all.Wait()
		opened := func() int64 { e.mu.Lock(); defer e.mu.Unlock(); return int64(len(e.conns)) }
		eventually(t, "the end of all", func() bool { return e.Len() == 0 && closed.Load() == opened() })
		if n := opened(); n < 100 {
			t.Errorf("%d opened only", n)
		}
		if late.Load() != 0 {
			t.Errorf("%d calls after Closed", late.Load())
		}
	})
}

// churn is one connection's life; kind picks its end.
func churn(t *testing.T, e *endpoint, kind int) {
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write(append([]byte(upgrade()), text(strconv.Itoa(kind))...))
	switch kind % 6 {
	case 0: // away at once
	case 1: // in the middle of a message
		nc.Write(text("unfinished")[:7])
	case 2: // close frame
		nc.Write(bye(1000))
		io.Copy(io.Discard, nc)
	case 3: // a violation, and then more
		nc.Write(join([]byte{0xff, 0xff}, bytes.Repeat([]byte("x"), 5000)))
		io.Copy(io.Discard, nc)
	case 4: // a reset
		nc.(*net.TCPConn).SetLinger(0)
	case 5: // the server closes, from many sides at once
		e.mu.Lock()
		conns := e.conns[max(0, len(e.conns)-3):]
		e.mu.Unlock()
		for _, c := range conns {
			go c.CloseWith(4000, "")
			go c.TryWrite(Frame(Text, []byte("x")))
		}
	}
}

// tally counts calls that come after Closed.
type tally struct {
	echo
	over         atomic.Bool
	closed, late *atomic.Int64
}

func (t *tally) Now(op Op, payload []byte) []byte {
	if len(payload)%2 == 0 {
		return payload
	}
	t.Message(op, payload)
	return nil
}

func (t *tally) Message(op Op, payload []byte) {
	if t.over.Load() {
		t.late.Add(1)
	}
	t.echo.Message(op, payload)
}

func (t *tally) Closed(CloseInfo) {
	if t.over.Swap(true) {
		t.late.Add(1)
	}
	t.closed.Add(1)
}

// What an idle connection costs, everything counted: at most 1.5 KB of heap,
// and no goroutine.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const count = 2000
	e := listen(t, Config{}, func(func() *Conn) Handler { return nobody{} })
	dialMany(t, e, 10)
	goroutines, heap := footprint(e)
	dialMany(t, e, count)
	moreGoroutines, moreHeap := footprint(e)
	per := (int64(moreHeap) - int64(heap)) / count
	t.Logf("%d idle connections: %d bytes of heap each, %d goroutines more", count, per, moreGoroutines-goroutines)
	if per > 1536 {
		t.Errorf("an idle connection takes %d bytes of heap, want at most 1536", per)
	}
	if moreGoroutines-goroutines > 5 {
		t.Errorf("%d goroutines for %d idle connections", moreGoroutines-goroutines, count)
	}
}

type nobody struct{}

func (nobody) Message(Op, []byte) {}
func (nobody) Closed(CloseInfo)   {}

// dialMany connects without net.Conns on this side: the client's descriptors
// live in a process of their own.
func dialMany(t *testing.T, e *endpoint, count int) {
	t.Helper()
	before := e.Len()
	script := fmt.Sprintf(`
const net = require("net");
const [host, port] = %q.split(":");
const hello = %q;
for (let i = 0; i < %d; i++) setTimeout(() => { const s = net.connect(port, host, () => s.write(hello)); s.on("error", () => {}); s.resume(); }, i / 2);
`, e.addr, upgrade(), count)
	cmd := exec.Command("node", "-e", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "all connections", func() bool { return e.Len() == before+count })
}

func footprint(e *endpoint) (goroutines int, heap uint64) {
	e.mu.Lock()
	e.conns = nil // the test's own list is not the server's cost
	e.mu.Unlock()
	http, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	<-http.Done() // net/http's handler goroutines end
	var m runtime.MemStats
	for range 3 { // pools give back what they hold after two
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}
