package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/fault"
	"magpie/internal/message"
)

// scripted is a memory engine that notes what it is told, and takes its time.
type scripted struct {
	*memory.Engine
	subscribing func() error // in Subscribe, before it listens
	reading     func(engine.Query)
	leaving     func() // in Unsubscribe
	listening   func(context.Context) error

	mu   sync.Mutex
	told []string
}

func (e *scripted) tell(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, what)
}

func (e *scripted) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.told, want) {
		t.Errorf("the engine was told %q, want %q", e.told, want)
	}
}

func (e *scripted) Subscribe(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	if e.subscribing != nil {
		if err := e.subscribing(); err != nil {
			e.tell("no " + name)
			return engine.Page{}, err
		}
	}
	page, err := e.Engine.Subscribe(ctx, name, q)
	e.tell("subscribe " + name)
	return page, err
}

func (e *scripted) Listening(ctx context.Context, name string) error {
	if e.listening != nil {
		return e.listening(ctx)
	}
	return e.Engine.Listening(ctx, name)
}

func (e *scripted) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	if e.reading != nil {
		e.reading(q)
	}
	return e.Engine.History(ctx, name, q)
}

func (e *scripted) Unsubscribe(name string) {
	if e.leaving != nil {
		e.leaving()
	}
	e.Engine.Unsubscribe(name)
	e.tell("unsubscribe " + name)
}

func (e *scripted) Join(name string, m engine.Member) { e.tell("join " + name + " " + m.Session) }
func (e *scripted) Leave(name, session string)        { e.tell("leave " + name + " " + session) }

// scene runs f in a bubble of time with a hub that leaves channels after 5 s.
// Channels whose names begin with "present" keep presence, all others do not;
// "none" keeps no log.
func scene(t *testing.T, f func(t *testing.T, h *Hub, e *scripted)) {
	synctest.Test(t, func(t *testing.T) {
		present := channel.Default(channel.Anyone)
		present.Match, present.Presence = "present*", true
		other := channel.Default(channel.Anyone)
		other.Presence = false
		none := other
		none.Match, none.Log.Size = "none*", 0
		rules, err := channel.NewRules([]channel.Rule{present, none}, other)
		if err != nil {
			t.Fatal(err)
		}
		e := &scripted{Engine: memory.New(memory.Config{Rules: rules})}
		h := New(Config{Engine: e, Rules: rules})
		if err := e.Start(t.Context(), engine.Node{Sink: h}); err != nil {
			t.Fatal(err)
		}
		defer e.Close(t.Context())
		defer h.Close()
		f(t, h, e)
	})
}

func enter(t *testing.T, h *Hub, name string, to Subscriber) *Subscription {
	t.Helper()
	joined, err := h.Join(t.Context(), name, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	joined.Subscription.Live()
	return joined.Subscription
}

// The time after which a channel is left counts from the last one who leaves.
func TestAChannelIsLeftAfterTheLastOne(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		first, second := enter(t, h, "chat", &diary{}), enter(t, h, "chat", &diary{})
		first.Leave()
		time.Sleep(3 * time.Second)
		second.Leave()
		time.Sleep(3 * time.Second)
		third := enter(t, h, "chat", &diary{})
		time.Sleep(time.Second)
		third.Leave()
		time.Sleep(4 * time.Second) // longer than 5 s after any but the third
		e.check(t, "subscribe chat")
		time.Sleep(2 * time.Second)
		e.check(t, "subscribe chat", "unsubscribe chat")
		if h.find("chat") != nil {
			t.Error("the channel is still there")
		}
	})
}

// A timer may fire when it is too late to stop it.
func TestATimerThatFiresLateLeavesNothing(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		s := enter(t, h, "chat", &diary{})
		c := h.find("chat")
		c.leave()
		e.check(t, "subscribe chat")
		s.Leave()
		c.leave()
		c.leave()
		e.check(t, "subscribe chat", "unsubscribe chat")
	})
}

// After Close the engine is told nothing more.
func TestAClosedHubLeavesNothing(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		enter(t, h, "a", &diary{}).Leave()
		b := enter(t, h, "b", &diary{})
		h.Close()
		b.Leave()
		time.Sleep(time.Minute)
		e.check(t, "subscribe a", "subscribe b")
	})
}

// Who gives up while the engine is asked leaves the channel to be left: not
// before the engine has answered, and after the usual time.
func TestAChannelThatNobodyWaitsForIsLeft(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		h.leaveAfter = time.Second
		e.subscribing = func() error { time.Sleep(4 * time.Second); return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Join(ctx, "chat", &diary{}, nil); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("joined: %v", err)
		}
		time.Sleep(2500 * time.Millisecond)
		e.check(t)
		time.Sleep(time.Second)
		e.check(t, "subscribe chat")
		time.Sleep(time.Second)
		e.check(t, "subscribe chat", "unsubscribe chat")
		if n := h.Metrics.Channels.Value(); n != 0 {
			t.Errorf("%d channels", n)
		}
	})
}

// D3: what comes while the channel is opened is delivered when it is open, and
// needs nothing that comes after it.
func TestWhatComesWhileAChannelOpensIsDelivered(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		top, _ := e.Positions(t.Context(), []string{"chat"})
		e.subscribing = func() error {
			h.Receive(&message.Message{Channel: "chat", Position: at(top[0].Epoch, 1)})
			time.Sleep(time.Second) // a worker would have its turn
			return nil
		}
		var d diary
		enter(t, h, "chat", &d)
		synctest.Wait()
		if want := []string{at(top[0].Epoch, 1).String()}; !slices.Equal(d.lines, want) || h.Metrics.Fills.Value() != 0 {
			t.Errorf("got %q, want %q; %d readings", d.lines, want, h.Metrics.Fills.Value())
		}
	})
}

// A channel that could not be opened is left at the engine, and who comes
// meanwhile waits and opens it again.
func TestAChannelThatFailsIsOpenedAgain(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		e.subscribing = func() error { return engine.Unavailable("down") }
		e.leaving = func() { time.Sleep(time.Second) }
		first, second := make(chan error, 1), make(chan error, 1)
		join := func(result chan error) {
			_, err := h.Join(t.Context(), "chat", &diary{}, nil)
			result <- err
		}
		go join(first)
		synctest.Wait()
		e.subscribing, e.leaving = nil, nil
		go join(second)
		synctest.Wait()
		e.check(t, "no chat")
		if err := <-first; !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("the first: %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		e.check(t, "no chat", "unsubscribe chat", "subscribe chat")
	})
}

// Reading while a channel opens is bounded, and a slot that was used is free
// again.
func TestSlotsOfFirstReadsAreFreeAgain(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		for i := range 2 * maxFirstReads {
			if _, err := h.Join(t.Context(), fmt.Sprint("chat", i), &diary{}, &message.Position{Epoch: "0000", Offset: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.firstReads); n != 0 {
			t.Errorf("%d slots are taken", n)
		}
		q, done := h.firstQuery(&firstRead{since: &message.Position{Epoch: "a", Offset: 1}}, &channel.Rule{Log: channel.Log{Size: 1}})
		if q.Since == nil || !q.Resume || q.Limit != firstReadPage || len(h.firstReads) != 1 {
			t.Errorf("asked %+v, %d slots taken", q, len(h.firstReads))
		}
		done()
		for what, c := range map[string]struct {
			since *message.Position
			log   int
		}{"no position": {nil, 1}, "no epoch": {&message.Position{Offset: 1}, 1}, "no log": {&message.Position{Epoch: "a"}, 0}} {
			q, done := h.firstQuery(&firstRead{since: c.since}, &channel.Rule{Log: channel.Log{Size: c.log}})
			if done(); q != (engine.Query{}) {
				t.Errorf("%s: asked %+v", what, q)
			}
		}
	})
}

// member is a Subscriber that shows in presence.
type member struct {
	diary
	name string
}

func (m *member) Member() engine.Member { return engine.Member{Session: m.name} }

// P4, D13: the engine is told of who shows in presence, where the channel keeps
// it, and hears from the hub who is there once the channel is open.
func TestPresenceIsWhoIsThere(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		here := func(name string) (list []string) {
			for m := range h.Members(name) {
				list = append(list, m.Session)
			}
			return list
		}
		e.subscribing = func() error {
			if got := here("present"); len(got) > 0 {
				t.Errorf("before the channel is open: %q", got)
			}
			return nil
		}
		enter(t, h, "present", &diary{})
		e.subscribing = nil
		ann, bo := enter(t, h, "present", &member{name: "ann"}), enter(t, h, "present", &member{name: "bo"})
		cy := enter(t, h, "other", &member{name: "cy"})
		if got := here("present"); !slices.Equal(got, []string{"ann", "bo"}) {
			t.Errorf("there: %q", got)
		}
		for m := range h.Members("present") { // who asks may stop
			if m.Session != "ann" {
				t.Errorf("the first is %q", m.Session)
			}
			break
		}
		ann.Leave()
		ann.Leave()
		if got := here("present"); !slices.Equal(got, []string{"bo"}) || here("other") != nil || here("nowhere") != nil {
			t.Errorf("there: %q, other %q", got, here("other"))
		}
		all, err := h.Presence(t.Context(), "present")
		if _, none := h.Presence(t.Context(), "other"); err != nil || len(all) != 1 || !errors.Is(none, ErrNoPresence) {
			t.Errorf("presence %v, %v; without: %v", all, err, none)
		}
		bo.Leave()
		cy.Leave()
		e.check(t, "subscribe present", "join present ann", "join present bo", "subscribe other", "leave present ann", "leave present bo")
	})
}

// A join that failed was in nobody's presence.
func TestAJoinThatFailsIsNotInPresence(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		e.subscribing = func() error { return engine.Unavailable("down") }
		if _, err := h.Join(t.Context(), "present", &member{name: "ann"}, nil); err == nil {
			t.Error("joined")
		}
		e.check(t, "no present", "unsubscribe present")
	})
}

// The census counts who is there, and the list of receivers is not kept long
// for those who have left.
func TestTheCensusAndTheListFollowWhoLeaves(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		count := func() int {
			for name, n := range h.Census() {
				if name == "chat" {
					return n
				}
			}
			return -1
		}
		var all []*Subscription
		var diaries []*diary
		for range 100 {
			diaries = append(diaries, &diary{})
			all = append(all, enter(t, h, "chat", diaries[len(diaries)-1]))
		}
		c := h.find("chat")
		want := map[int]int{1: 100, 50: 100, 51: 49, 75: 49, 76: 24, 92: 24, 93: 7, 99: 7, 100: 0}
		for i, s := range all {
			s.Leave()
			gone := i + 1
			if n := count(); n != 100-gone {
				t.Fatalf("%d left: the census says %d", gone, n)
			}
			if n, listed := want[gone]; listed && len(c.receivers.list) != n {
				t.Errorf("%d left: the list has %d, want %d", gone, len(c.receivers.list), n)
			}
			if gone == 60 {
				if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for k, d := range diaries {
					if (len(d.lines) == 1) != (k >= gone) {
						t.Errorf("receiver %d got %q after %d left", k, d.lines, gone)
					}
				}
			}
		}
	})
}

// Many receivers are served in parts, each of them once.
func TestFanOutServesEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, receiversPerWorker - 1, receiversPerWorker, 2 * receiversPerWorker, 5*receiversPerWorker + 1} {
		c := &channelState{hub: New(Config{}), rule: &channel.Rule{}}
		to, diaries := make([]*Subscription, n), make([]diary, n)
		for i := range to {
			to[i] = newSubscription(c, &diaries[i])
			to[i].Live()
		}
		c.deliver([]step{{batch: []*message.Message{{Position: at("a", 1)}, {Position: at("a", 2)}}}, {gap: &message.Gap{}}}, to)
		for i := range diaries {
			if len(diaries[i].lines) != 3 {
				t.Fatalf("%d receivers: number %d got %q", n, i, diaries[i].lines)
			}
		}
		if got := c.hub.Metrics.Deliveries.Value(); got != uint64(2*n) {
			t.Errorf("%d receivers: %d deliveries counted", n, got)
		}
	}
}

// A closed hub delivers nothing, whatever the engine still hands over, and
// starts nothing.
func TestAClosedHubDeliversNothing(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		var d diary
		s := enter(t, h, "chat", &d)
		p := h.find("chat").position()
		h.Close()
		h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, 1)})
		h.ReceiveInline(&message.Message{Channel: "chat", Position: at(p.Epoch, 2)})
		h.Recheck()
		time.Sleep(time.Minute)
		if _, err := h.Join(t.Context(), "other", &d, nil); !errors.Is(err, ErrClosed) || h.find("other") != nil {
			t.Errorf("joined: %v", err)
		}
		s.Leave()
		if len(d.lines) != 0 {
			t.Errorf("got %q", d.lines)
		}
	})
}

// Close waits for what is being delivered, and does not wait for an engine that
// is away.
func TestCloseWaitsForDeliveries(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		s := &nested{deliver: func(int64) { time.Sleep(time.Second) }}
		enter(t, h, "chat", s)
		p := h.find("chat").position()
		h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, 1)})
		synctest.Wait()
		h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, 2)}) // comes too late
		e.Close(t.Context())                                                   // positions cannot be had any more
		h.Recheck()
		synctest.Wait()
		began := time.Now()
		h.Close()
		if took := time.Since(began); took != time.Second || s.n.Load() != 1 {
			t.Errorf("closed after %v with %d messages", took, s.n.Load())
		}
	})
}

// nested is a Subscriber that does something in a delivery.
type nested struct {
	deliver func(n int64)
	n       atomic.Int64
	busy    atomic.Bool
	overlap atomic.Bool
}

func (s *nested) Deliver(b *message.Batch) {
	if s.busy.Swap(true) {
		s.overlap.Store(true)
	}
	s.deliver(s.n.Add(int64(len(b.Messages))))
	s.busy.Store(false)
}

func (s *nested) Gap(message.Gap) {}

// D1: what comes while a publisher delivers waits for the end of that, and is
// then delivered without anything that comes after it.
func TestWhatComesInADeliveryWaits(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		p := message.Position{}
		s := &nested{}
		s.deliver = func(n int64) {
			if n == 1 {
				h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, 2)})
				h.ReceiveInline(&message.Message{Channel: "chat", Position: at(p.Epoch, 3)})
				time.Sleep(time.Second)
			}
		}
		enter(t, h, "chat", s)
		p = h.find("chat").position()
		h.ReceiveInline(&message.Message{Channel: "chat", Position: at(p.Epoch, 1)})
		if s.n.Load() == 0 {
			t.Error("nothing was delivered inline")
		}
		synctest.Wait()
		if s.n.Load() != 3 || s.overlap.Load() {
			t.Errorf("got %d messages, overlapping %v", s.n.Load(), s.overlap.Load())
		}
	})
}

// D6: an inbox is bounded in messages and bytes, but takes one message of any
// size.
func TestAnInboxIsBounded(t *testing.T) {
	big := make([]byte, maxInboxBytes/8)
	for what, c := range map[string]struct {
		payload     []byte
		fit         int
		logged, due bool
	}{
		"by bytes":                  {big, 8, true, true},
		"by messages":               {nil, maxInboxMessages, true, true},
		"without a log":             {nil, maxInboxMessages, false, false},
		"one that is larger itself": {make([]byte, maxInboxBytes+1), 1, true, true},
	} {
		ch := &channelState{hub: New(Config{}), rule: &channel.Rule{}}
		m := &message.Message{Payload: c.payload}
		if c.logged {
			m.Offset = 1
		}
		for range c.fit {
			ch.receive(m)
		}
		if n := ch.hub.Metrics.Overflows.Value(); n != 0 || ch.inbox.check || len(ch.inbox.messages) != c.fit {
			t.Errorf("%s: %d overflows, check %v, %d messages", what, n, ch.inbox.check, len(ch.inbox.messages))
		}
		ch.receive(m)
		if n := ch.hub.Metrics.Overflows.Value(); n != 1 || ch.inbox.check != c.due || len(ch.inbox.messages) != c.fit {
			t.Errorf("%s, one more: %d overflows, check %v, %d messages", what, n, ch.inbox.check, len(ch.inbox.messages))
		}
	}
}

// D2: messages that follow a gap in one turn are delivered after it; each gap is
// counted.
func TestWhatFollowsAGapInOneTurn(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		enter(t, h, "chat", &diary{})
		c := h.find("chat")
		old := c.position()
		if err := e.Remove(t.Context(), "chat"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		top := c.position()
		before := h.Metrics.Gaps.Value()
		steps, p, err := c.arrange(at(old.Epoch, 7), []*message.Message{{Position: at(top.Epoch, 1)}, {Position: at(top.Epoch, 2)}}, false)
		if err != nil || len(steps) != 2 || steps[0].gap == nil || *steps[0].gap != (message.Gap{Channel: "chat", From: at(old.Epoch, 7), Now: top, Reason: message.GapLost}) ||
			len(steps[0].batch) != 0 || len(steps[1].batch) != 2 || p != at(top.Epoch, 2) || h.Metrics.Gaps.Value() != before+1 {
			t.Errorf("%+v, %v, %v", steps, p, err)
		}
	})
}

// D9: a channel without a log delivers what comes, also with an offset.
func TestWithoutALogOffsetsMeanNothing(t *testing.T) {
	c := &channelState{rule: &channel.Rule{}}
	steps, p, err := c.arrange(message.Position{}, []*message.Message{{Position: at("a", 5)}, {Position: at("a", 5)}, {}}, true)
	if err != nil || len(steps) != 1 || len(steps[0].batch) != 3 || p != (message.Position{}) {
		t.Errorf("%+v, %v, %v", steps, p, err)
	}
}

// D1: the end of a window takes turns like any other worker.
func TestWhatComesInAWindowsDeliveryWaits(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		h.coalesce = 5 * time.Millisecond
		p := message.Position{}
		receive := func(offset uint64) {
			h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, offset)})
			synctest.Wait()
		}
		s := &nested{}
		s.deliver = func(n int64) {
			if n == 10 { // the window's delivery
				h.Receive(&message.Message{Channel: "chat", Position: at(p.Epoch, 11)})
				time.Sleep(time.Second)
			}
		}
		enter(t, h, "chat", s)
		p = h.find("chat").position()
		for o := range uint64(10) {
			receive(o + 1)
		}
		if n := s.n.Load(); n != burstAfter {
			t.Errorf("%d messages left before the window's end", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.n.Load() != 11 || s.overlap.Load() {
			t.Errorf("got %d messages, overlapping %v", s.n.Load(), s.overlap.Load())
		}
	})
}

// D1: a window that ends while a delivery is under way leaves it alone.
func TestAWindowThatEndsInADelivery(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		h.coalesce = 5 * time.Millisecond
		var p message.Position
		receive := func(count int) {
			for range count {
				p.Offset++
				h.Receive(&message.Message{Channel: "chat", Position: p})
			}
			synctest.Wait()
		}
		s := &nested{}
		s.deliver = func(n int64) {
			if n > enoughMessages {
				time.Sleep(time.Second)
			}
		}
		enter(t, h, "chat", s)
		p = h.find("chat").position()
		for range 10 {
			receive(1)
		}
		receive(enoughMessages)
		receive(1)
		time.Sleep(10 * time.Second)
		if s.n.Load() != 10+enoughMessages+1 || s.overlap.Load() {
			t.Errorf("got %d messages, overlapping %v", s.n.Load(), s.overlap.Load())
		}
	})
}

// What waits for a window's end, and what does not.
func TestWhatWaitsForAWindow(t *testing.T) {
	const window = 5 * time.Millisecond
	burst := pace{quick: burstAfter - 1}
	for what, c := range map[string]struct {
		pace     pace
		ago      time.Duration // the last delivery
		messages int
		bytes    int
		check    bool
		off      bool
		wait     bool
	}{
		"a burst":               {burst, window - 1, 1, 1, false, false, true},
		"the third of a burst":  {pace{quick: burstAfter - 2}, 0, 1, 1, false, false, false},
		"after a window's time": {burst, window, 1, 1, false, false, false},
		"the timer runs":        {pace{set: true}, time.Hour, 1, 1, false, false, true},
		"it has fired":          {pace{set: true, due: true}, 0, 1, 1, false, false, false},
		"the log is to be read": {burst, 0, 1, 1, true, false, false},
		"no windows":            {burst, 0, 1, 1, false, true, false},
		"nearly enough":         {burst, 0, enoughMessages - 1, enoughBytes - 1, false, false, true},
		"enough messages":       {burst, 0, enoughMessages, 1, false, false, false},
		"enough bytes":          {burst, 0, 1, enoughBytes, false, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			ch := &channelState{hub: New(Config{Coalesce: window}), pace: c.pace}
			if c.off {
				ch.hub.coalesce = 0
			}
			ch.pace.last = time.Now().Add(-c.ago)
			ch.inbox = inbox{messages: make([]*message.Message, c.messages), bytes: c.bytes, check: c.check}
			if got := ch.delayLocked(); got != c.wait {
				t.Errorf("%s: waits %v", what, got)
			}
			if ch.pace.timer != nil {
				ch.pace.timer.Stop()
			}
		})
	}
}

// D2: an empty epoch stands for the present one; in a channel without a log no
// position means anything.
func TestAJoinAtAnOffset(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		enter(t, h, "chat", &diary{})
		for range 5 {
			if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat"}); err != nil {
				t.Fatal(err)
			}
		}
		joined, err := h.Join(t.Context(), "chat", &diary{}, &message.Position{Offset: 3})
		if err != nil || len(joined.Missed) != 2 || joined.Gap != nil || joined.Position.Offset != 5 {
			t.Errorf("%+v, %v", joined, err)
		}
		before := h.Metrics.Gaps.Value()
		joined, err = h.Join(t.Context(), "chat", &diary{}, &message.Position{Offset: 6})
		if err != nil || len(joined.Missed) != 0 || joined.Gap == nil || h.Metrics.Gaps.Value() != before+1 {
			t.Errorf("%+v, %v, %d gaps counted", joined, err, h.Metrics.Gaps.Value()-before)
		}
		joined, err = h.Join(t.Context(), "none", &diary{}, &message.Position{Epoch: "a", Offset: 3})
		if err != nil || joined.Gap != nil || joined.Position != (message.Position{}) {
			t.Errorf("without a log: %+v, %v", joined, err)
		}
	})
}

// Who waits for a channel to open when the hub closes is told so.
func TestAJoinThatWaitsWhenTheHubCloses(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		e.subscribing = func() error { time.Sleep(time.Second); return nil }
		result := make(chan error)
		go func() {
			_, err := h.Join(t.Context(), "present", &member{name: "ann"}, nil)
			result <- err
		}()
		synctest.Wait()
		go h.Close()
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("joined: %v", err)
		}
		if n := h.Metrics.Subscriptions.Value(); n != 0 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// D7: all channels stay asked for when one is asked for as well.
func TestRechecksAddUp(t *testing.T) {
	h := New(Config{})
	h.Close() // nobody takes them
	h.Recheck()
	h.Recheck("a")
	h.Recheck("b")
	if r := &h.rechecks; !r.all || len(r.names) != 2 {
		t.Errorf("all %v, %v", r.all, r.names)
	}
}

// D2: who gives up while others are served is forgotten; a position that is
// lost brings no messages over the wire.
func TestWhoGivesUpIsForgotten(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		enter(t, h, "chat", &diary{})
		if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat"}); err != nil {
			t.Fatal(err)
		}
		e.reading = func(q engine.Query) {
			if !q.Resume || q.Limit != engine.All {
				t.Errorf("asked %+v", q)
			}
			time.Sleep(time.Minute)
		}
		var joins sync.WaitGroup
		for range 2 {
			joins.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := h.Join(ctx, "chat", &diary{}, &message.Position{Epoch: "0000", Offset: 1}); !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("joined: %v", err)
				}
			})
			synctest.Wait() // the first is being served
		}
		joins.Wait()
		u := &h.find("chat").catchUp
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.waiting) != 0 {
			t.Errorf("%d still wait", len(u.waiting))
		}
	})
}

// All channels are named, and who asks may stop.
func TestAllChannelsAreNamed(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		for i := range 200 {
			enter(t, h, fmt.Sprint("chat", i), &diary{})
		}
		if all := slices.Collect(h.Channels()); len(all) != 200 {
			t.Errorf("%d channels", len(all))
		}
		n := 0
		for range h.Channels() {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("stopped after %d", n)
		}
	})
}

// D12: while the engine does not hear an open channel nobody is let in as if all
// were well; who is in already stays, and hears what comes.
func TestD12NobodyIsLetIntoAChannelThatIsNotHeard(t *testing.T) {
	scene(t, func(t *testing.T, h *Hub, e *scripted) {
		first := enter(t, h, "chat", &diary{})
		e.listening = func(context.Context) error {
			return &fault.Fault{Kind: fault.Unavailable, Message: "Redis refuses it."}
		}
		_, err := h.Join(t.Context(), "chat", &diary{}, nil)
		if !errors.Is(err, engine.ErrUnavailable) || fault.Of(err).Sentence() != "Redis refuses it." {
			t.Errorf("a newcomer while it is refused: %v", err)
		}
		e.listening = func(ctx context.Context) error { // it was lost and is asked for
			<-ctx.Done()
			return engine.Unavailable("%w", ctx.Err())
		}
		begun := time.Now()
		if _, err = h.Join(t.Context(), "chat", &diary{}, nil); !errors.Is(err, engine.ErrUnavailable) || time.Since(begun) != openTimeout {
			t.Errorf("a newcomer while it is lost: %v after %s", err, time.Since(begun))
		}
		if n := h.Metrics.Subscriptions.Value(); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
		e.listening = nil
		enter(t, h, "chat", &diary{}).Leave()
		first.Leave()
	})
}
