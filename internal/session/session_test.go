package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a Link whose kernel takes room bytes at once, and whose Write waits
// until there is room again.
type pipe struct {
	mu      sync.Mutex
	more    *sync.Cond
	room    int // -1: endless
	written []byte
	writers int // in TryWrite or Write now
	overlap bool
	during  func() // called inside TryWrite, once
	broken  error
	reasons []fault.Reason
}

func newPipe(room int) *pipe {
	p := &pipe{room: room}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) enterLocked() func() {
	p.writers++
	p.overlap = p.overlap || p.writers > 1
	return func() { p.writers-- }
}

func (p *pipe) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.enterLocked()()
	if during := p.during; during != nil {
		p.during = nil
		p.mu.Unlock()
		during()
		p.mu.Lock()
	}
	n := len(b)
	if p.room >= 0 {
		n = min(n, p.room)
		p.room -= n
	}
	p.written = append(p.written, b[:n]...)
	return n, p.broken
}

func (p *pipe) Write(frames [][]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.enterLocked()()
	for _, f := range frames {
		for p.room >= 0 && p.room < len(f) && p.broken == nil {
			p.more.Wait()
		}
		if p.broken != nil {
			return p.broken
		}
		p.written = append(p.written, f...)
	}
	return nil
}

func (p *pipe) CloseLink(r fault.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reasons = append(p.reasons, r)
	p.broken = os.ErrClosed
	p.more.Broadcast()
}

// open lets everything through from now on.
func (p *pipe) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room = -1
	p.more.Broadcast()
}

func (p *pipe) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.written)
}

const outbox = 100

func newNode(t *testing.T) *stack.Stack {
	t.Helper()
	return stack.New(t, stack.Options{Limits: node.Limits{Payload: 50, Outbox: outbox, Subscriptions: 2}})
}

func open(t *testing.T, n *stack.Stack, p *pipe) *session.Session {
	t.Helper()
	s := new(session.Session)
	if err := n.Node.Open(s, p, auth.Identity{Kind: auth.Guest}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// Outbox rule 3: what the kernel takes leaves on the sender's goroutine.
func TestSendWritesAtOnce(t *testing.T) {
	n, p := newNode(t), newPipe(-1)
	s := open(t, n, p)
	s.Attach()
	s.Send([]byte("a"))
	s.Send([]byte("b"))
	if p.text() != "ab" || n.Node.Flushed().Value() != 0 {
		t.Errorf("wrote %q with %d flushers", p.text(), n.Node.Flushed().Value())
	}
}

// Outbox rule 1: whole frames, in order, never two writes at a time, however
// little the kernel takes.
func TestFramesLeaveWholeAndInOrder(t *testing.T) {
	n, p := newNode(t), newPipe(7)
	s := open(t, n, p)
	s.SendBacklog([]byte("first,"))
	s.Attach()
	want := "first,"
	for i := range 15 {
		frame := fmt.Sprintf("%05d,", i)
		s.Send([]byte(frame))
		want += frame
	}
	p.open()
	eventually(t, "not all written", func() bool { return p.text() == want })
	eventually(t, "a flusher stays", func() bool {
		before := n.Node.Flushed().Value()
		s.Send([]byte("."))
		return n.Node.Flushed().Value() == before // written at once again
	})
	if p.overlap {
		t.Error("two writes at a time")
	}
}

func TestConcurrentSendersKeepFramesWhole(t *testing.T) {
	n := newNode(t)
	p := newPipe(40)
	s := open(t, n, p)
	s.Attach()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { s.Send(bytes.Repeat([]byte{'a' + byte(i)}, 9)) })
	}
	wg.Wait()
	p.open()
	eventually(t, "not all written", func() bool { return len(p.text()) == 72 })
	for text := p.text(); len(text) > 0; text = text[9:] {
		if text[:9] != string(bytes.Repeat([]byte{text[0]}, 9)) {
			t.Fatalf("torn frame in %q", p.text())
		}
	}
	if p.overlap {
		t.Error("two writes at a time")
	}
}

// What the kernel left of a frame goes before what was queued meanwhile.
func TestTheRestOfAFrameComesFirst(t *testing.T) {
	n, p := newNode(t), newPipe(2)
	s := open(t, n, p)
	s.Attach()
	p.during = func() {
		s.Send([]byte("second"))
		s.Send([]byte("third"))
	}
	s.Send([]byte("first"))
	p.open()
	eventually(t, "not all written", func() bool { return len(p.text()) == len("firstsecondthird") })
	if p.text() != "firstsecondthird" || p.overlap {
		t.Errorf("wrote %q, two at a time: %v", p.text(), p.overlap)
	}
}

// D8: the outbox is bounded in bytes; past it the session ends as slow.
func TestASlowSessionIsCut(t *testing.T) {
	n, p := newNode(t), newPipe(0)
	s := open(t, n, p)
	s.Attach()
	for range outbox / 10 {
		s.Send(make([]byte, 10))
	}
	if s.Reason() != "" {
		t.Fatalf("closed at the bound: %s", s.Reason())
	}
	s.Send([]byte("x"))
	if s.Reason() != fault.ReasonSlow || len(p.reasons) != 1 || p.reasons[0] != fault.ReasonSlow {
		t.Errorf("reason %q, reasons %v", s.Reason(), p.reasons)
	}
	s.Send([]byte("x")) // no harm after the end
	if got := n.Node.Metrics.Closed()[fault.ReasonSlow]; got != 1 {
		t.Errorf("counted %d", got)
	}
}

// A session that fetches what it missed is not slow for that.
func TestBacklogDoesNotCountAsSlow(t *testing.T) {
	n, p := newNode(t), newPipe(0)
	s := open(t, n, p)
	s.SendBacklog(make([]byte, 10*outbox))
	s.Attach()
	s.Send(make([]byte, outbox))
	if s.Reason() != "" {
		t.Fatalf("closed: %s", s.Reason())
	}
	s.Send([]byte("x"))
	if s.Reason() != fault.ReasonSlow {
		t.Errorf("not cut past the bound behind a backlog")
	}
}

// A backlog may come at any time: it goes behind what waits, at once when
// nothing does, and does not count.
func TestABacklogMayComeLater(t *testing.T) {
	n, p := newNode(t), newPipe(1)
	s := open(t, n, p)
	s.Attach()
	s.Send([]byte("ab")) // the kernel takes the first half
	s.SendBacklog(bytes.Repeat([]byte("c"), 10*outbox))
	s.Send(make([]byte, outbox-1))
	if s.Reason() != "" {
		t.Fatalf("closed: %s", s.Reason())
	}
	if w := s.Waiting(); w != 1+10*outbox+outbox-1 {
		t.Errorf("%d bytes wait", w)
	}
	p.open()
	eventually(t, "all is written", func() bool { return s.Waiting() == 0 })
	if text := p.text(); len(text) != 1+11*outbox || text[:3] != "abc" {
		t.Errorf("%d bytes: %.10q", len(text), text)
	}
	s.SendBacklog([]byte("z"))
	eventually(t, "a backlog alone is written", func() bool { return p.text()[len(p.text())-1] == 'z' })
}

// A session may learn later who is behind it.
func TestASessionBecomesSomebody(t *testing.T) {
	n, p := newNode(t), newPipe(-1)
	s := open(t, n, p)
	n.Node.Identify(s, auth.Identity{Kind: auth.User, User: "42", Info: []byte(`{"a":1}`)})
	if m := s.Member(); s.Who().User != "42" || m.User != "42" || string(m.ConnInfo) != `{"a":1}` {
		t.Errorf("%v, %v", s.Who(), m)
	}
}

// Nor does it make the bound wider for what comes after it.
func TestTheBoundHoldsAfterABacklog(t *testing.T) {
	n, p := newNode(t), newPipe(-1)
	s := open(t, n, p)
	s.SendBacklog(make([]byte, 10*outbox))
	s.Attach()
	eventually(t, "backlog not written", func() bool { return len(p.text()) == 10*outbox })
	p.mu.Lock()
	p.room = 0
	p.mu.Unlock()
	s.Send(make([]byte, outbox))
	s.Send([]byte("x"))
	if s.Reason() != fault.ReasonSlow {
		t.Error("not cut past the bound")
	}
}

func TestABrokenLinkEndsTheSession(t *testing.T) {
	n, p := newNode(t), newPipe(-1)
	p.broken = errors.New("reset")
	s := open(t, n, p)
	s.Attach()
	s.Send([]byte("x"))
	if s.Reason() != fault.ReasonClient || n.Node.Metrics.Sessions.Value() != 0 {
		t.Errorf("reason %q, %d sessions", s.Reason(), n.Node.Metrics.Sessions.Value())
	}
}

// receiver sends what it gets to its session.
type receiver struct{ *session.Session }

var asText = message.NewEncoding(func(m *message.Message) []byte { return m.Payload })

func (r receiver) Deliver(b *message.Batch) { r.Send(asText.OfBatch(b)) }
func (r receiver) Gap(message.Gap)          {}

func TestSubscriptionsEndWithTheSession(t *testing.T) {
	n, p := newNode(t), newPipe(-1)
	s := open(t, n, p)
	s.Attach()
	joined, err := n.Gate.Subscribe(t.Context(), s, "chat", receiver{s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	joined.Subscription.Live()
	if _, err := n.Gate.Publish(t.Context(), node.ClientActor(s), engine.Publication{Channel: "chat", Payload: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not delivered", func() bool { return p.text() == "hi" })
	s.Close(fault.ReasonClient)
	if got := n.Hub.Metrics.Subscriptions.Value(); got != 0 {
		t.Errorf("%d subscriptions stay", got)
	}
	if _, err := n.Gate.Subscribe(t.Context(), s, "news", receiver{s}, nil); !errors.Is(err, session.ErrClosed) {
		t.Errorf("subscribe after the end: %v", err)
	}
}

func TestSubscriptionLimit(t *testing.T) {
	n := newNode(t)
	s := open(t, n, newPipe(-1))
	for i := range 3 {
		_, err := n.Gate.Subscribe(t.Context(), s, fmt.Sprint("c", i), receiver{s}, nil)
		if want := i == 2; (err != nil) != want {
			t.Errorf("subscription %d: %v", i+1, err)
		} else if err != nil && fault.KindOf(err) != fault.Limit {
			t.Errorf("fault %v", err)
		}
	}
}

// A token's end ends its session.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), new(session.Session)
		if err := n.Node.Open(s, newPipe(-1), auth.Identity{Kind: auth.User, User: "42", Expires: time.Now().Add(time.Minute)}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second) // synctest's clock
		if s.Reason() != "" {
			t.Fatal("closed too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.Reason() != fault.ReasonExpired {
			t.Errorf("reason %q", s.Reason())
		}
	})
}

// Hot path: a delivery to a session whose kernel takes it allocates nothing.
func TestSendAllocatesNothing(t *testing.T) {
	n := newNode(t)
	s := open(t, n, newPipe(-1))
	s.Attach()
	frame := []byte("x")
	if got := testing.AllocsPerRun(100, func() { s.Send(frame[:0]) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestExpiryIsSetAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		s := new(session.Session)
		if err := n.Node.Open(s, newPipe(-1), auth.Identity{Kind: auth.User, User: "42", Expires: time.Now().Add(time.Minute)}, nil); err != nil {
			t.Fatal(err)
		}
		s.ExpireAt(time.Now().Add(time.Hour))
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if r := s.Reason(); r != "" {
			t.Fatalf("ended (%s) at its first time", r)
		}
		s.ExpireAt(time.Time{})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if r := s.Reason(); r != "" {
			t.Fatalf("ended (%s), though it was to last for ever", r)
		}
		s.ExpireAt(time.Now().Add(-time.Second))
		synctest.Wait()
		if r := s.Reason(); r != fault.ReasonExpired {
			t.Fatalf("still open (%q) after a time in the past", r)
		}
	})
}
