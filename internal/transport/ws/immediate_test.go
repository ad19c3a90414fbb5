package ws

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"magpie/internal/fault"
)

// immediate is a Handler whose two ways are given.
type immediate struct {
	now     func(string) []byte
	message func(string)
	closed  func(CloseInfo)
}

func (p *immediate) Now(_ Op, payload []byte) []byte { return p.now(string(payload)) }
func (p *immediate) Message(_ Op, payload []byte)    { p.message(string(payload)) }
func (p *immediate) Closed(info CloseInfo)           { p.closed(info) }
func (p *immediate) as() func(func() *Conn) Handler  { return func(func() *Conn) Handler { return p } }
func (p *immediate) unexpected(t *testing.T) *immediate {
	p.message = func(s string) { t.Errorf("%q came to Message", s) }
	p.closed = func(CloseInfo) {}
	return p
}

// What a handler takes at once never comes to a worker; what it leaves does,
// before all that comes after it.
func TestImmediateMessagesStayInOrder(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var mu sync.Mutex
		var seen []string
		var inside atomic.Int32
		done := make(chan struct{})
		take := func(s string) {
			if inside.Add(1) != 1 {
				t.Error("two at a time")
			}
			defer inside.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			if seen = append(seen, s); s == "end" {
				close(done)
			}
		}
		p := &immediate{closed: func(CloseInfo) {}}
		p.message = func(s string) {
			for part := range strings.SplitSeq(s, "|") { // whole, when a worker was at it
				take(part)
			}
		}
		p.now = func(s string) []byte {
			head, tail, cut := strings.Cut(s, "|")
			if cut {
				take(head)
				return []byte(tail) // a part
			}
			if strings.HasPrefix(s, "slow") {
				return []byte(s)
			}
			take(s)
			return nil
		}
		e := listen(t, Config{forcePortable: portable}, p.as())
		c := dial(t, e.addr)
		var all []byte
		var want []string
		for range 200 {
			for _, s := range []string{"a", "slow b", "c|d", "e", "slow f"} {
				all = append(all, text(s)...)
				want = append(want, strings.Split(s, "|")...)
			}
		}
		all, want = append(all, text("end")...), append(want, "end")
		c.send(all)
		<-done
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(seen, want) {
			t.Errorf("%d came, %d were sent, or in another order", len(seen), len(want))
		}
	})
}

// A panic at once costs the connection as one on a worker does, and no other.
func TestImmediateHandlerPanics(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		ended := make(chan CloseInfo, 2)
		p := new(immediate).unexpected(t)
		p.now = func(string) []byte { panic("a fault of ours") }
		p.closed = func(info CloseInfo) { ended <- info }
		e := listen(t, Config{forcePortable: portable}, p.as())
		bad, good := dial(t, e.addr), dial(t, e.addr)
		bad.send(text("x"))
		if frames := bad.all(); len(frames) != 1 || frames[0] != closing(codeInternal, "") {
			t.Errorf("got %v", frames)
		}
		if info := <-ended; info.Reason != fault.ReasonError {
			t.Errorf("%+v", info)
		}
		good.send(ping("alive"))
		good.expect(opPong, "alive")
	})
}

// An end that comes while a message is handled at once is told after it, once.
func TestImmediateHandlerEndsTheConnection(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		ended := make(chan CloseInfo, 2)
		var e *endpoint
		p := new(immediate).unexpected(t)
		p.closed = func(info CloseInfo) { ended <- info }
		p.now = func(string) []byte {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.conns[0].CloseWith(4000, "enough")
			if len(ended) > 0 {
				t.Error("Closed came beside Now")
			}
			return nil
		}
		e = listen(t, Config{forcePortable: portable}, p.as())
		c := dial(t, e.addr)
		c.send(text("x"))
		if frames := c.all(); len(frames) != 1 || frames[0] != closing(4000, "enough") {
			t.Errorf("got %v", frames)
		}
		if info := <-ended; info.Reason != fault.ReasonClient || info.Code != 4000 {
			t.Errorf("%+v", info)
		}
	})
}

// Who sends much at once does not keep the others from the reader: after its
// share, workers have the rest.
func TestImmediateMessagesOfOneAreBounded(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var now, later atomic.Int32
		done := make(chan struct{})
		p := new(immediate).unexpected(t)
		p.now = func(string) []byte { now.Add(1); return nil }
		p.message = func(s string) {
			if later.Add(1); s == "end" {
				close(done)
			}
		}
		e := listen(t, Config{forcePortable: portable}, p.as())
		var all []byte
		for range 60 { // few enough for one read
			all = append(all, text("x")...)
		}
		c := dial(t, e.addr, append(all, text("end")...)...)
		defer c.Close()
		<-done
		if now.Load() > 2*fairShare || later.Load() == 0 {
			t.Errorf("%d at once, %d by workers", now.Load(), later.Load())
		}
	})
}
