package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is the memory engine behind a bad wire: what it hands over may be
// lost, repeated or late, and calls may fail. The log stays true (D6).
type faulty struct {
	*memory.Engine
	sink engine.Sink

	mu           sync.Mutex
	rand         *rand.Rand
	loss         float64 // of messages lost, as many repeated, as many swapped
	mute         bool    // the engine asks for no re-check
	held         *message.Message
	down         error // what calls answer
	unsubscribed []string
	historyCalls atomic.Int64
	otherCalls   atomic.Int64  // Subscribe and Positions
	slow         chan struct{} // when not nil a reading waits for it
}

func (f *faulty) Start(ctx context.Context, node engine.Node) error {
	f.sink = node.Sink
	node.Sink = wire{node.Sink, f}
	return f.Engine.Start(ctx, node)
}

type wire struct {
	engine.Sink
	f *faulty
}

func (w wire) Receive(m *message.Message) {
	for _, m := range w.f.bend(m) {
		w.Sink.Receive(m)
	}
}

func (w wire) ReceiveInline(m *message.Message) {
	for _, m := range w.f.bend(m) {
		w.Sink.ReceiveInline(m)
	}
}

func (w wire) Recheck(names ...string) {
	w.f.mu.Lock()
	mute := w.f.mute
	w.f.mu.Unlock()
	if !mute {
		w.Sink.Recheck(names...)
	}
}

func (f *faulty) bend(m *message.Message) []*message.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	var late []*message.Message
	if f.held != nil && f.held.Channel == m.Channel {
		late, f.held = []*message.Message{f.held}, nil
	}
	switch x := f.rand.Float64(); {
	case x < f.loss:
		return late
	case x < 2*f.loss:
		return append(late, m, m)
	case x < 3*f.loss && late == nil:
		f.held = m
		return nil
	}
	return append([]*message.Message{m}, late...)
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

func (f *faulty) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

func (f *faulty) Subscribe(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	f.otherCalls.Add(1)
	if err := f.failure(); err != nil {
		return engine.Page{}, err
	}
	return f.Engine.Subscribe(ctx, name, q)
}

func (f *faulty) Unsubscribe(name string) {
	f.mu.Lock()
	f.unsubscribed = append(f.unsubscribed, name)
	f.mu.Unlock()
	f.Engine.Unsubscribe(name)
}

func (f *faulty) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	f.historyCalls.Add(1)
	if f.slow != nil {
		select {
		case <-f.slow:
		case <-ctx.Done():
			return engine.Page{}, ctx.Err()
		}
	}
	if err := f.failure(); err != nil {
		return engine.Page{}, err
	}
	return f.Engine.History(ctx, name, q)
}

func (f *faulty) Positions(ctx context.Context, names []string) ([]message.Position, error) {
	f.otherCalls.Add(1)
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.Engine.Positions(ctx, names)
}

// window is as it is by default: all tests run with it.
const window = 5 * time.Millisecond

func rule(match string, size int) channel.Rule {
	r := channel.Default(channel.Anyone)
	r.Match, r.Log.Size, r.Delta = match, size, match == "delta*"
	return r
}

// setup starts an engine and a hub. Channels keep 1,000 messages, those whose
// names begin with short five, with none no message, with long 10,000.
func setup(t *testing.T, loss float64) (*hub.Hub, *faulty) {
	t.Helper()
	rules, err := channel.NewRules([]channel.Rule{rule("short*", 5), rule("none*", 0), rule("long*", 10_000), rule("delta*", 100)}, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{Engine: memory.New(memory.Config{Rules: rules}), rand: rand.New(rand.NewPCG(1, 2)), loss: loss}
	h := hub.New(hub.Config{Engine: f, Rules: rules, Coalesce: window})
	if err := f.Start(context.Background(), engine.Node{Sink: h}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		f.Close(context.Background())
	})
	return h, f
}

func (f *faulty) publish(t *testing.T, name string, n int) {
	t.Helper()
	for i := range n {
		if _, err := f.Publish(context.Background(), engine.Publication{Channel: name, Payload: fmt.Append(nil, i)}); err != nil {
			t.Error(err)
		}
	}
}

// listener is a Subscriber that checks D1 as it listens: offsets go up by one
// within an epoch, from the position it joined at.
type listener struct {
	t    *testing.T
	sub  *hub.Subscription
	busy atomic.Bool

	mu   sync.Mutex
	at   message.Position
	got  int
	gaps []message.Gap
	news chan struct{}
}

func newListener(t *testing.T) *listener { return &listener{t: t, news: make(chan struct{}, 1)} }

func (l *listener) Deliver(b *message.Batch) {
	if l.busy.Swap(true) {
		l.t.Error("two deliveries to one subscription at once")
	}
	runtime.Gosched()
	defer l.busy.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range b.Messages {
		l.take(m)
	}
	l.tell()
}

func (l *listener) take(m *message.Message) {
	if m.Logged() && m.Offset != l.at.Offset+1 {
		l.t.Errorf("message at %v after %v", m.Position, l.at)
	}
	l.at = m.Position
	l.got++
}

func (l *listener) Gap(g message.Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.From != l.at {
		l.t.Errorf("gap from %v, the listener is at %v", g.From, l.at)
	}
	l.gaps = append(l.gaps, g)
	l.at = g.Now
	l.tell()
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}

func (l *listener) tell() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func join(t *testing.T, h *hub.Hub, name string, since *message.Position) *listener {
	t.Helper()
	l := newListener(t)
	if err := l.join(h, name, since); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *listener) join(h *hub.Hub, name string, since *message.Position) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	joined, err := h.Join(ctx, name, l, since)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.sub = joined.Subscription
	if since != nil {
		l.at = *since
	} else {
		l.at = joined.Position
	}
	for _, m := range joined.Missed {
		l.take(m)
	}
	if joined.Gap != nil {
		l.gaps = append(l.gaps, *joined.Gap)
	}
	if l.at.Offset != joined.Position.Offset && joined.Gap == nil {
		l.t.Errorf("what was missed ends at %v, live begins after %v", l.at, joined.Position)
	}
	l.at = joined.Position
	l.mu.Unlock()
	joined.Subscription.Live()
	return nil
}

// wait blocks until ok holds of the listener.
func (l *listener) wait(what string, ok func() bool) {
	l.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-l.news:
		case <-again.C:
		case <-deadline.C:
			l.t.Fatalf("%s: not in time; at %v with %d messages and gaps %v", what, l.at, l.got, l.gaps)
		}
	}
}

func (l *listener) waitOffset(n uint64) {
	l.t.Helper()
	l.wait(fmt.Sprint("offset ", n), func() bool { return l.at.Offset >= n })
}

// D1, D5: everybody gets everything, in order; 5,000 receivers are walked by
// several workers.
func TestEverySubscriberGetsEveryMessageInOrder(t *testing.T) {
	h, f := setup(t, 0)
	var all []*listener
	for range 5000 {
		all = append(all, join(t, h, "chat", nil))
	}
	f.publish(t, "chat", 20)
	for _, l := range all {
		l.waitOffset(20)
		if l.got != 20 || len(l.gaps) != 0 {
			t.Fatalf("got %d messages, %d gaps", l.got, len(l.gaps))
		}
	}
}

// D6: Pub/Sub is a hint, the log is the truth.
func TestLostRepeatedAndLateMessagesAreMended(t *testing.T) {
	h, f := setup(t, 0.2)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 900)
	h.Recheck("chat") // the last ones may be lost, and nothing follows them
	l.waitOffset(900)
	if l.got != 900 || len(l.gaps) != 0 {
		t.Fatalf("got %d messages, gaps %v", l.got, l.gaps)
	}
}

// D3: there is no window between the log and live messages, wherever a
// session joins and whatever comes meanwhile.
func TestJoinsUnderTrafficHaveNoWindow(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			h, f := setup(t, loss)
			f.publish(t, "chat", 10)
			tops, _ := f.Positions(t.Context(), []string{"chat"})
			const total = 800
			var wg sync.WaitGroup
			wg.Go(func() { f.publish(t, "chat", total-10) })
			listeners := make([]*listener, 100)
			for i := range listeners {
				wg.Go(func() {
					l := newListener(t)
					listeners[i] = l
					var since *message.Position
					if i%2 == 0 {
						since = &message.Position{Epoch: tops[0].Epoch, Offset: uint64(i % 10)}
					}
					if err := l.join(h, "chat", since); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			h.Recheck("chat")
			for i, l := range listeners {
				l.waitOffset(total)
				if len(l.gaps) != 0 {
					t.Errorf("listener %d: gaps %v", i, l.gaps)
				}
				if i%2 == 0 && l.got != total-i%10 {
					t.Errorf("listener %d: %d messages, want %d", i, l.got, total-i%10)
				}
			}
		})
	}
}

// Between Join and Live nothing is delivered, and nothing is lost.
func TestNothingIsDeliveredBeforeLive(t *testing.T) {
	h, f := setup(t, 0)
	witness := join(t, h, "chat", nil)
	l := newListener(t)
	joined, err := h.Join(t.Context(), "chat", l, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t, "chat", 5)
	witness.waitOffset(5)
	if l.got != 0 {
		t.Fatalf("%d messages before Live", l.got)
	}
	joined.Subscription.Live()
	l.waitOffset(5)
	f.publish(t, "chat", 1)
	l.waitOffset(6)
}

// D2: what the log no longer has is told, to those who come back and to those
// who are there.
func TestWhatCannotBeHadIsTold(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "short", nil)
	start := l.at
	f.publish(t, "short", 20)
	l.waitOffset(20)
	late := join(t, h, "short", &start)
	if len(late.gaps) != 1 || late.gaps[0].Reason != message.GapTrimmed || late.at.Offset != 20 {
		t.Errorf("late comer: gaps %v, at %v", late.gaps, late.at)
	}
	f.mu.Lock()
	f.loss = 1 // nothing comes through
	f.mu.Unlock()
	f.publish(t, "short", 20)
	h.Recheck()
	for _, l := range []*listener{l, late} {
		l.wait("gap", func() bool { return l.at.Offset == 40 })
		if last := l.gaps[len(l.gaps)-1]; last.From.Offset != 20 || last.Reason != message.GapTrimmed {
			t.Errorf("gap %+v", last)
		}
	}
}

// D10: a log that begins again never passes for the one before.
func TestALostLogIsTold(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 3)
	l.waitOffset(3)
	before := l.at
	if err := f.Remove(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	l.wait("gap", func() bool { return len(l.gaps) == 1 })
	f.publish(t, "chat", 4)
	l.waitOffset(4)
	if l.gaps[0].Reason != message.GapLost || l.at.Epoch == before.Epoch || l.got != 7 {
		t.Errorf("gaps %v, at %v, %d messages", l.gaps, l.at, l.got)
	}
	back := join(t, h, "chat", &before)
	if len(back.gaps) != 1 || back.gaps[0].Reason != message.GapLost {
		t.Errorf("with the old position: gaps %v", back.gaps)
	}
}

// D9: without a log messages come as they come.
func TestChannelWithoutALog(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "none", nil)
	f.publish(t, "none", 3)
	l.wait("three", func() bool { return l.got == 3 })
	if l.at != (message.Position{}) {
		t.Errorf("position %v", l.at)
	}
}

// A fresh join, and one from where the node is, ask the engine nothing: cost
// is by channel, never by client.
func TestJoinsOfAKnownChannelCostNoCall(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 3)
	l.waitOffset(3)
	before := f.historyCalls.Load()
	here := l.at
	for range 50 {
		join(t, h, "chat", nil)
		join(t, h, "chat", &here)
	}
	if n := f.historyCalls.Load() - before; n != 0 {
		t.Errorf("%d calls", n)
	}
}

// An engine that is away: joins get its error, and it heals.
func TestEngineAway(t *testing.T) {
	h, f := setup(t, 0)
	there := join(t, h, "chat", nil)
	f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
	if err := newListener(t).join(h, "other", nil); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("join while away: %v", err)
	}
	f.mu.Lock()
	f.loss = 1
	f.mu.Unlock()
	f.publish(t, "chat", 5)
	h.Recheck()
	f.fail(nil)
	there.waitOffset(5)
	other := join(t, h, "other", nil)
	f.mu.Lock()
	f.loss = 0
	f.mu.Unlock()
	f.publish(t, "other", 1)
	other.waitOffset(1)
}

// Leaving: the engine is left late, a page reload costs nothing, and a
// channel that was left can be joined again.
func TestTheLastOneLeavesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		l := join(t, h, "chat", nil)
		l.sub.Leave()
		l.sub.Leave()
		time.Sleep(3 * time.Second) // synctest's clock
		synctest.Wait()
		reload := join(t, h, "chat", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(f.unsubscribed) != 0 {
			t.Fatalf("left %v while somebody listened", f.unsubscribed)
		}
		reload.sub.Leave()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !slices.Equal(f.unsubscribed, []string{"chat"}) || h.Metrics.Channels.Value() != 0 {
			t.Fatalf("unsubscribed %v, %d channels", f.unsubscribed, h.Metrics.Channels.Value())
		}
		again := join(t, h, "chat", nil)
		f.publish(t, "chat", 1)
		synctest.Wait()
		if again.got != 1 || l.got != 0 || reload.got != 0 {
			t.Errorf("got %d, and those who left %d and %d", again.got, l.got, reload.got)
		}
		h.Close()
		f.Close(t.Context())
	})
}

// Joining and leaving in a storm leaves nothing behind.
func TestJoinAndLeaveStorm(t *testing.T) {
	h, f := setup(t, 0)
	stay := join(t, h, "chat", nil)
	var wg sync.WaitGroup
	wg.Go(func() { f.publish(t, "chat", 500) })
	for range 8 {
		wg.Go(func() {
			for range 100 {
				l := newListener(t)
				if err := l.join(h, "chat", nil); err != nil {
					t.Error(err)
					return
				}
				l.sub.Leave()
			}
		})
	}
	wg.Wait()
	stay.waitOffset(500)
	if n := h.Metrics.Subscriptions.Value(); n != 1 {
		t.Errorf("%d subscriptions, want 1", n)
	}
	if got := slices.Collect(h.Channels()); !slices.Equal(got, []string{"chat"}) {
		t.Errorf("channels %v", got)
	}
}

func TestJoinAfterClose(t *testing.T) {
	h, _ := setup(t, 0)
	h.Close()
	if err := newListener(t).join(h, "chat", nil); !errors.Is(err, hub.ErrClosed) {
		t.Errorf("join after close: %v", err)
	}
}

// stuck is a receiver that does not return from its first delivery until it
// is let go.
type stuck struct {
	*listener
	gate chan struct{}
}

func (s stuck) Deliver(b *message.Batch) {
	<-s.gate
	s.listener.Deliver(b)
}

// D1: no message overtakes another at any receiver, with several walkers too.
func TestABatchWaitsForTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		first := stuck{newListener(t), make(chan struct{})}
		joined, err := h.Join(t.Context(), "chat", first, nil)
		if err != nil {
			t.Fatal(err)
		}
		first.at = joined.Position
		joined.Subscription.Live()
		var last *listener
		for range 5000 {
			last = join(t, h, "chat", nil)
		}
		f.publish(t, "chat", 1)
		synctest.Wait()
		f.publish(t, "chat", 1)
		synctest.Wait()
		if last.count() > 1 {
			t.Errorf("the second message is out while the first is not")
		}
		close(first.gate)
		synctest.Wait()
		if first.count() != 2 || last.count() != 2 {
			t.Errorf("got %d and %d", first.count(), last.count())
		}
		h.Close()
		f.Close(t.Context())
	})
}

// halted is a listener whose first delivery waits.
type halted struct {
	*listener
	once  sync.Once
	begun chan struct{}
	let   chan struct{}
}

func (s *halted) Deliver(b *message.Batch) {
	s.once.Do(func() {
		close(s.begun)
		<-s.let
	})
	s.listener.Deliver(b)
}

// D6: a channel whose inbox overflowed reads the log afterwards, also when what
// overflowed last was nothing that the log knows, and nothing comes any more
// that would show the hole.
func TestAnOverflowIsNotForgotten(t *testing.T) {
	h, f := setup(t, 0)
	slow := &halted{listener: newListener(t), begun: make(chan struct{}), let: make(chan struct{})}
	joined, err := h.Join(t.Context(), "chat", slow, nil)
	if err != nil {
		t.Fatal(err)
	}
	slow.at = joined.Position
	joined.Subscription.Live()
	for range 40 { // else the publisher would deliver by itself, and wait
		enroll(t, h, &timed{})
	}
	f.publish(t, "chat", 1)
	<-slow.begun
	const inbox = 8192
	f.publish(t, "chat", inbox+1) // the last one overflows
	if _, err := f.Publish(t.Context(), engine.Publication{Channel: "chat", SkipLog: true}); err != nil {
		t.Fatal(err)
	}
	if n := h.Metrics.Overflows.Value(); n != 2 {
		t.Fatalf("%d overflows, want 2", n)
	}
	close(slow.let)
	slow.waitOffset(inbox + 2)
}

// D1, D2, D10: joins with and without a position, on a bad wire, while the log is
// lost again and again: nobody sees an offset twice or a hole that was not told,
// and nobody passes from one timeline to another without being told.
func TestJoinsWhileTheLogIsLost(t *testing.T) {
	h, f := setup(t, 0.1)
	var all sync.WaitGroup
	over := make(chan struct{})
	all.Go(func() {
		defer close(over)
		for i := range 60 {
			f.publish(t, "chat", 20)
			runtime.Gosched()
			if i%6 == 5 {
				if err := f.Remove(context.Background(), "chat"); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 8 {
		all.Go(func() {
			var back *message.Position
			for {
				select {
				case <-over:
					return
				default:
				}
				l := &strict{listener: newListener(t)}
				if err := l.join(h, back); err != nil {
					t.Error(err)
					return
				}
				for l.count() < 5 {
					select {
					case <-over:
						return
					default:
						runtime.Gosched()
					}
				}
				l.sub.Leave()
				l.mu.Lock()
				at := l.at
				l.mu.Unlock()
				if back = &at; at.Offset%3 == 0 {
					back = nil
				}
			}
		})
	}
	all.Wait()
	f.mu.Lock()
	f.loss = 0
	f.mu.Unlock()
	last := join(t, h, "chat", nil)
	end, err := f.Publish(t.Context(), engine.Publication{Channel: "chat"})
	if err != nil {
		t.Fatal(err)
	}
	last.wait("the end", func() bool { return last.at == end.Position }) // itself, or the gap that it is in
}

// strict is a listener that minds timelines, too.
type strict struct{ *listener }

func (s *strict) join(h *hub.Hub, since *message.Position) error {
	joined, err := h.Join(context.Background(), "chat", s, since)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.sub = joined.Subscription
	if s.at = joined.Position; since != nil && joined.Gap == nil && len(joined.Missed) > 0 {
		if first := joined.Missed[0]; first.Offset != since.Offset+1 || joined.Missed[len(joined.Missed)-1].Position != joined.Position {
			s.t.Errorf("missed %v to %v, from %v", first.Position, joined.Position, since)
		}
	}
	s.mu.Unlock()
	joined.Subscription.Live()
	return nil
}

func (s *strict) Deliver(b *message.Batch) {
	s.mu.Lock()
	for _, m := range b.Messages {
		if m.Epoch != s.at.Epoch {
			s.t.Errorf("%v after %v, and nothing was told", m.Position, s.at)
		}
	}
	s.mu.Unlock()
	s.listener.Deliver(b)
}

// All who listen to a channel share its name, and none keeps the request alive
// that it was cut out of.
func TestNamesAreShared(t *testing.T) {
	h, _ := setup(t, 0)
	request := "GET /websocket?channel=chat HTTP/1.1"
	cut := request[23:27]
	first := h.Intern(cut)
	if first != "chat" || unsafe.StringData(first) == unsafe.StringData(cut) {
		t.Fatalf("%q is a part of the request", first)
	}
	join(t, h, first, nil)
	if again := h.Intern(cut); unsafe.StringData(again) != unsafe.StringData(first) {
		t.Error("the name was copied again")
	}
}
