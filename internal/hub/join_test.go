package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
)

// filled publishes n messages to a channel that nobody listens to and returns
// the position behind them.
func (f *faulty) filled(t *testing.T, name string, n int) message.Position {
	t.Helper()
	f.publish(t, name, n)
	page, err := f.Engine.History(t.Context(), name, engine.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return page.Top
}

// D2, D3: the first in a channel costs the engine one call, whatever position
// it brings; one that missed more than fits costs one more.
func TestTheFirstJoinIsOneCall(t *testing.T) {
	h, f := setup(t, 0)
	for i, c := range []struct {
		what   string
		missed uint64
		none   bool
		calls  int64
	}{
		{"no position", 0, true, 1}, {"nothing missed", 0, false, 1}, {"all missed", 128, false, 1},
		{"one more", 129, false, 2},
		{"a lot missed", 300, false, 2},
	} {
		name := fmt.Sprint("chat", i)
		top := f.filled(t, name, int(max(c.missed, 5)))
		since := &message.Position{Epoch: top.Epoch, Offset: top.Offset - c.missed}
		if c.none {
			since = nil
		}
		f.historyCalls.Store(0)
		f.otherCalls.Store(0)
		l := join(t, h, name, since)
		if n := f.historyCalls.Load() + f.otherCalls.Load(); n != c.calls {
			t.Errorf("%s: %d calls, want %d", c.what, n, c.calls)
		}
		if l.count() != int(c.missed) {
			t.Errorf("%s: got %d messages, want %d", c.what, l.count(), c.missed)
		}
		f.publish(t, name, 1)
		l.waitOffset(top.Offset + 1)
	}
}

// D2: the opening answers a gap, too.
func TestTheFirstJoinLearnsOfAGap(t *testing.T) {
	h, f := setup(t, 0)
	top := f.filled(t, "short", 20)
	for i, since := range []message.Position{{Epoch: top.Epoch, Offset: 3}, {Epoch: top.Epoch, Offset: 21}, {Epoch: "0000", Offset: 3}} {
		name := "short"
		if i > 0 {
			name = fmt.Sprint("short", i)
			other := f.filled(t, name, 20)
			if since.Epoch == top.Epoch {
				since.Epoch = other.Epoch
			}
		}
		f.historyCalls.Store(0)
		l := join(t, h, name, &since)
		if len(l.gaps) != 1 || l.gaps[0].From != since || l.count() != 0 || l.at.Offset != 20 {
			t.Errorf("since %v: %d messages, gaps %v, at %v", since, l.count(), l.gaps, l.at)
		}
		if n := f.historyCalls.Load(); n != 0 {
			t.Errorf("since %v: %d readings", since, n)
		}
	}
}

// comeback is one client that comes back and what it is told.
type comeback struct {
	since  message.Position
	joined hub.Joined
}

// truth is what the engine says to this position alone.
func truth(t *testing.T, f *faulty, name string, since message.Position) engine.Page {
	t.Helper()
	page, err := f.Engine.History(t.Context(), name, engine.Query{Since: &since, Limit: engine.All})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func (c *comeback) check(t *testing.T, want engine.Page) {
	t.Helper()
	j := c.joined
	if j.Position != want.Top {
		t.Errorf("since %v: at %v, want %v", c.since, j.Position, want.Top)
	}
	if gap := j.Gap; (gap == nil) != (want.Gap == "") || gap != nil && (gap.Reason != want.Gap || gap.From != c.since || gap.Now != want.Top) {
		t.Errorf("since %v: gap %+v, want %q", c.since, j.Gap, want.Gap)
	}
	if want.Gap != "" {
		want.Messages = nil
	}
	if len(j.Missed) != len(want.Messages) {
		t.Errorf("since %v: missed %d, want %d", c.since, len(j.Missed), len(want.Messages))
		return
	}
	for i, m := range j.Missed {
		if m.Position != want.Messages[i].Position {
			t.Errorf("since %v: message %d is %v, want %v", c.since, i, m.Position, want.Messages[i].Position)
			return
		}
	}
}

// D2: a thousand that come back together cost a few readings, and each hears
// exactly what it would have heard alone: what it missed, or of its gap.
func TestAThousandComeBackForAFewReadings(t *testing.T) {
	for what, here := range map[string]bool{"somebody is here": true, "nobody is": false} {
		t.Run(what, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { comeBackTogether(t, here) }) })
	}
}

func comeBackTogether(t *testing.T, here bool) {
	h, f := setup(t, 0)
	top := f.filled(t, "short", 30) // keeps the last five
	if here {
		join(t, h, "short", nil)
	}
	f.slow = make(chan struct{})
	all := make([]*comeback, 1000)
	var joins sync.WaitGroup
	for i := range all {
		since := message.Position{Epoch: top.Epoch, Offset: uint64(20 + i%13)} // trimmed, kept, the top, and past it
		if i%7 == 0 {
			since.Epoch = "0000"
		}
		all[i] = &comeback{since: since}
		joins.Go(func() {
			var err error
			if all[i].joined, err = h.Join(context.Background(), "short", newListener(t), &since); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait() // all have come
	close(f.slow)
	joins.Wait()
	// Each epoch is read apart, and one reading was under way when others came.
	if n := f.historyCalls.Load(); n > 4 {
		t.Errorf("%d readings for %d clients", n, len(all))
	}
	for _, c := range all {
		c.check(t, truth(t, f, "short", c.since))
	}
}

// D1, D2: shared readings while messages come, on a bad wire: nobody sees a hole
// or a repeat (listener checks), and all come to the end.
func TestSharedReadingsUnderTraffic(t *testing.T) {
	h, f := setup(t, 0.1)
	start := f.filled(t, "chat", 50)
	var all sync.WaitGroup
	listeners := make([]*listener, 300)
	publisher := make(chan struct{})
	go func() {
		defer close(publisher)
		for range 300 {
			f.publish(t, "chat", 2)
		}
	}()
	for i := range listeners {
		listeners[i] = newListener(t)
		since := message.Position{Epoch: start.Epoch, Offset: rand.Uint64N(start.Offset)}
		all.Go(func() {
			if err := listeners[i].join(h, "chat", &since); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	<-publisher
	f.mu.Lock()
	f.loss = 0
	f.mu.Unlock()
	f.publish(t, "chat", 1)
	for _, l := range listeners {
		l.waitOffset(651)
		if len(l.gaps) > 0 {
			t.Errorf("gaps %v", l.gaps)
		}
	}
}

// D2: a reading that fails fails all who wait for it, and they leave nothing
// behind; who gives up while it waits is forgotten.
func TestASharedReadingThatFails(t *testing.T) {
	h, f := setup(t, 0)
	top := f.filled(t, "chat", 10)
	here := join(t, h, "chat", nil)
	f.slow = make(chan struct{})
	since := message.Position{Epoch: top.Epoch, Offset: 3}
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- newListener(t).join(h, "chat", &since) }()
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := h.Join(ctx, "chat", newListener(t), &since)
		gone <- err
	}()
	here.wait("all wait", func() bool { return h.Metrics.Subscriptions.Value() == int64(cap(errs)+2) })
	cancel()
	if err := <-gone; !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("who gave up: %v", err)
	}
	f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
	close(f.slow)
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	f.fail(nil)
	here.wait("all have left", func() bool { return h.Metrics.Subscriptions.Value() == 1 })
	back := join(t, h, "chat", &since)
	if back.count() != 7 {
		t.Errorf("missed %d, want 7", back.count())
	}
}

// A room that cannot be opened leaves no subscription behind, whoever waits.
func TestAnOpeningThatFails(t *testing.T) {
	h, f := setup(t, 0)
	f.fail(fmt.Errorf("down: %w", engine.ErrUnavailable))
	var joins sync.WaitGroup
	for range 50 {
		joins.Go(func() {
			if err := newListener(t).join(h, "chat", &message.Position{Epoch: "0000", Offset: 1}); !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	joins.Wait()
	if n := h.Metrics.Subscriptions.Value(); n != 0 {
		t.Errorf("%d subscriptions", n)
	}
	f.fail(nil)
	join(t, h, "chat", nil)
}
