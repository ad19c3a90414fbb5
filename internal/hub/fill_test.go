package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
)

// lose decides whether the wire loses what is published and what the engine
// says about re-checks.
func (f *faulty) lose(all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute, f.loss = all, 0
	if all {
		f.loss = 1
	}
}

// removed begins a new timeline that the hub hears nothing of.
func (f *faulty) removed(t *testing.T, name string) {
	t.Helper()
	f.lose(true)
	if err := f.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// D10: the first live message of a new timeline, at an offset that the old one
// had, is not taken for a repeat: what was lost is told, and then it comes.
func TestALowOffsetOfANewTimelineIsNoRepeat(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 3)
	l.waitOffset(3)
	f.removed(t, "chat")
	f.lose(false)
	f.publish(t, "chat", 1)
	l.wait("the gap", func() bool { return len(l.gaps) == 1 })
	if g := l.gaps[0]; g.Reason != message.GapLost || g.From.Offset != 3 || g.Now != l.at || l.at.Epoch == g.From.Epoch {
		t.Errorf("gap %+v, at %v", g, l.at)
	}
	f.publish(t, "chat", 1)
	l.waitOffset(2)
}

// D7, D10: a log at the same offset of another epoch is not the same.
func TestTheSameOffsetOfAnotherTimelineIsRechecked(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 3)
	l.waitOffset(3)
	f.removed(t, "chat")
	f.publish(t, "chat", 3)
	h.Recheck("chat")
	l.wait("the gap", func() bool { return len(l.gaps) == 1 })
	if g := l.gaps[0]; g.Reason != message.GapLost || l.at.Offset != 3 || l.at.Epoch == g.From.Epoch {
		t.Errorf("gap %+v, at %v", g, l.at)
	}
}

// D7: a re-check reads no log that has nothing new, and asks for the channels
// that are named, all when none is.
func TestARecheckReadsWhatHasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		a, b := join(t, h, "a", nil), join(t, h, "b", nil)
		f.lose(true)
		f.publish(t, "a", 2)
		f.publish(t, "b", 2)
		h.Recheck("a", "nobody listens to this one")
		synctest.Wait()
		if a.count() != 2 || b.count() != 0 || f.historyCalls.Load() != 1 {
			t.Errorf("a got %d, b %d, %d readings", a.count(), b.count(), f.historyCalls.Load())
		}
		h.Recheck()
		synctest.Wait()
		if a.count() != 2 || b.count() != 2 || f.historyCalls.Load() != 2 {
			t.Errorf("a got %d, b %d, %d readings", a.count(), b.count(), f.historyCalls.Load())
		}
	})
}

// D10: a client that comes back to a log which has another timeline makes the
// node look, so that all who are there are told.
func TestAJoinThatSeesAnotherTimelineTellsTheOthers(t *testing.T) {
	h, f := setup(t, 0)
	l := join(t, h, "chat", nil)
	f.publish(t, "chat", 3)
	l.waitOffset(3)
	before := l.at
	f.removed(t, "chat")
	back := join(t, h, "chat", &message.Position{Epoch: before.Epoch, Offset: 2})
	if len(back.gaps) != 1 || back.at.Epoch == before.Epoch {
		t.Errorf("who came back: gaps %v, at %v", back.gaps, back.at)
	}
	l.wait("the gap", func() bool { return len(l.gaps) == 1 })
	f.lose(false)
	f.publish(t, "chat", 1)
	l.waitOffset(1)
	back.waitOffset(1)
}

// D6: a log that is longer than what is read at once is read to its end, and
// one that cannot be read is read again.
func TestALongHoleIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		l := join(t, h, "long", nil)
		f.lose(true)
		f.publish(t, "long", 2500)
		f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
		f.lose(false)
		f.publish(t, "long", 1)
		synctest.Wait()
		f.publish(t, "long", 10) // the engine is not asked for each of them
		synctest.Wait()
		if l.count() != 0 || f.historyCalls.Load() != 1 {
			t.Fatalf("%d messages over a hole, %d readings", l.count(), f.historyCalls.Load())
		}
		f.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if l.count() != 2511 || len(l.gaps) > 0 || f.historyCalls.Load() != 4 {
			t.Errorf("got %d messages, gaps %v, %d readings", l.count(), l.gaps, f.historyCalls.Load())
		}
	})
}

// D6, D7: what was taken when the log could not be read is read later, though
// nothing comes after it; a re-check reads a long log to its end.
func TestAHoleIsFilledThoughNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		l := join(t, h, "long", nil)
		f.lose(true)
		f.publish(t, "long", 1)
		f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
		f.lose(false)
		f.publish(t, "long", 1)
		synctest.Wait()
		f.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if l.count() != 2 {
			t.Errorf("got %d messages", l.count())
		}
		f.lose(true)
		f.publish(t, "long", 2500)
		h.Recheck("long")
		synctest.Wait()
		if l.count() != 2502 || len(l.gaps) > 0 {
			t.Errorf("got %d messages, gaps %v", l.count(), l.gaps)
		}
	})
}

// D7: positions are asked for again until the engine answers, and not for ever
// more often.
func TestARecheckOutlivesAnEngineThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		l := join(t, h, "chat", nil)
		f.lose(true)
		f.publish(t, "chat", 2)
		f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
		before := f.otherCalls.Load()
		h.Recheck("chat")
		time.Sleep(time.Minute)
		if n := f.otherCalls.Load() - before; n < 30 || n > 75 {
			t.Errorf("asked %d times in a minute", n)
		}
		f.fail(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if l.count() != 2 {
			t.Errorf("got %d", l.count())
		}
	})
}

// leaving is an engine whose Unsubscribe takes its time, and which notes what it
// was told.
type leaving struct {
	engine.Engine
	told chan string
	let  chan struct{}
}

func (e *leaving) Subscribe(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	e.told <- "subscribe"
	return e.Engine.Subscribe(ctx, name, q)
}

func (e *leaving) Unsubscribe(name string) {
	e.told <- "unsubscribe"
	<-e.let
	e.Engine.Unsubscribe(name)
	e.told <- "unsubscribed"
}

// D3: who comes while the channel is being left waits until the engine was told,
// so that it never hears of both in the wrong order.
func TestAJoinWaitsForAChannelThatIsBeingLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := setup(t, 0)
		e := &leaving{Engine: f, told: make(chan string, 10), let: make(chan struct{})}
		rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
		if err != nil {
			t.Fatal(err)
		}
		h := hub.New(hub.Config{Engine: e, Rules: rules, LeaveAfter: time.Second})
		defer h.Close()
		join(t, h, "chat", nil).sub.Leave()
		time.Sleep(2 * time.Second)
		var l *listener
		var joined sync.WaitGroup
		joined.Go(func() { l = join(t, h, "chat", nil) })
		synctest.Wait()
		close(e.let)
		joined.Wait()
		var told []string
		for len(e.told) > 0 {
			told = append(told, <-e.told)
		}
		if want := []string{"subscribe", "unsubscribe", "unsubscribed", "subscribe"}; !slices.Equal(told, want) {
			t.Errorf("the engine was told %v, want %v", told, want)
		}
		if h.Metrics.Channels.Value() != 1 || l == nil {
			t.Errorf("%d channels", h.Metrics.Channels.Value())
		}
	})
}

// chain is a Subscriber that notes each batch with the payload before it.
type chain struct {
	mu    sync.Mutex
	lines []string
}

func (c *chain) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

func (c *chain) Deliver(b *message.Batch) {
	line := fmt.Sprintf("%q:", b.Before)
	for _, m := range b.Messages {
		line += " " + string(m.Payload)
	}
	c.note(line)
}

func (c *chain) Gap(message.Gap) { c.note("gap") }

// Each batch names the payload before it, for clients that ask for
// differences: that of the last publication, not of a join; none after a gap;
// and the right one for who was not live yet.
func TestABatchNamesThePayloadBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		var first, late chain
		joinDelta := func(c *chain) *hub.Subscription {
			joined, err := h.Join(t.Context(), "delta", c, nil)
			if err != nil {
				t.Fatal(err)
			}
			return joined.Subscription
		}
		joinDelta(&first).Live()
		publish := func(payload string, kind message.Kind) {
			if _, err := f.Publish(t.Context(), engine.Publication{Channel: "delta", Kind: kind, Payload: []byte(payload)}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		publish("a", message.Published)
		later := joinDelta(&late)
		publish("b", message.Published)
		publish("joined", message.Join)
		publish("c", message.Published)
		later.Live()
		publish("d", message.Published)
		f.removed(t, "delta")
		h.Recheck()
		time.Sleep(time.Second)
		f.lose(false)
		publish("e", message.Published)
		publish("f", message.Published)
		if want := []string{`"": a`, `"a": b`, `"b": joined`, `"b": c`, `"c": d`, "gap", `"": e`, `"e": f`}; !slices.Equal(first.lines, want) {
			t.Errorf("first: %q, want %q", first.lines, want)
		}
		if want := []string{`"a": b joined c`, `"c": d`, "gap", `"": e`, `"e": f`}; !slices.Equal(late.lines, want) {
			t.Errorf("late: %q, want %q", late.lines, want)
		}
	})
}

// D2: an answer that does not come in time is an error, not a wait for ever.
func TestAJoinThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := setup(t, 0)
		top := f.filled(t, "chat", 10)
		join(t, h, "chat", nil)
		f.slow = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Join(ctx, "chat", newListener(t), &message.Position{Epoch: top.Epoch, Offset: 3}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if n := h.Metrics.Subscriptions.Value(); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
		close(f.slow)
	})
}
