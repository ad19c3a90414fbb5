package memory

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/message"
)

// start returns an engine whose channels keep size messages, for an hour.
func start(t *testing.T, size int) (*Engine, *enginetest.Recorder) {
	t.Helper()
	rule := channel.Default(channel.Anyone)
	rule.Log = channel.Log{Size: size, Age: time.Hour}
	rules, err := channel.NewRules(nil, rule)
	if err != nil {
		t.Fatal(err)
	}
	e, r := New(Config{Rules: rules}), enginetest.NewRecorder()
	if err := e.Start(t.Context(), r.Node()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(t.Context()) })
	return e, r
}

// broken is a log that fails.
type broken struct {
	log
	err error
}

func (b *broken) append(m *message.Message) error {
	if b.err != nil {
		return b.err
	}
	return b.log.append(m)
}

func (b *broken) read(i, count int, reverse bool) ([]*message.Message, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.log.read(i, count, reverse)
}

// D4: what the log did not take is not acknowledged, not delivered, and may be
// published again under the same key. A subscribe that cannot read leaves the
// node as it was.
func TestALogThatFails(t *testing.T) {
	e, r := start(t, 10)
	full := errors.New("disk full")
	b := &broken{log: newRing()}
	e.newLog = func() log { return b }
	if _, err := e.Subscribe(t.Context(), "chat", engine.Query{}); err != nil {
		t.Fatal(err)
	}
	p := engine.Publication{Channel: "chat", Payload: []byte("x"), IdempotencyKey: "k"}
	b.err = full
	if res, err := e.Publish(t.Context(), p); !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, full) || res != (engine.Result{}) {
		t.Errorf("published: %+v, %v", res, err)
	}
	b.err = nil
	if res, err := e.Publish(t.Context(), p); err != nil || res.Duplicate || res.Position.Offset != 1 {
		t.Errorf("published again: %+v, %v", res, err)
	}
	b.err = full
	if _, err := e.Subscribe(t.Context(), "chat", engine.Query{Limit: engine.All}); err == nil {
		t.Error("subscribed without the log")
	}
	b.err = nil
	if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat"}); err != nil || len(r.Messages("chat")) != 2 {
		t.Errorf("%v; %d messages came", err, len(r.Messages("chat")))
	}
	e.Unsubscribe("chat")
	b.err = full
	if _, err := e.Subscribe(t.Context(), "chat", engine.Query{Limit: engine.All}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("subscribed: %v", err)
	}
	b.err = nil
	p.IdempotencyKey = ""
	if _, err := e.Publish(t.Context(), p); err != nil || len(r.Messages("chat")) != 2 {
		t.Errorf("after a subscribe that failed: %v, %d messages came", err, len(r.Messages("chat")))
	}
}

// A ring gives what a plain list would, through all of its turns.
func TestARingIsAList(t *testing.T) {
	r, list := newRing(), []*message.Message(nil)
	for i := range 300 {
		m := &message.Message{Time: int64(i)}
		list = append(list, m)
		r.append(m)
		size, oldest := []int{1000, 40, 3, 0}[i/75], int64(i-50)
		for len(list) > size || len(list) > 0 && list[0].Time < oldest {
			list = list[1:]
		}
		if kept := r.trim(channel.Log{Size: size}, oldest); kept != len(list) {
			t.Fatalf("%d: %d kept, want %d", i, kept, len(list))
		}
		for _, from := range []int{0, len(list) / 2} {
			up, _ := r.read(from, len(list)-from, false)
			if !slices.Equal(up, list[from:]) {
				t.Fatalf("%d: from %d up: %d messages", i, from, len(up))
			}
			down, _ := r.read(len(list)-1, len(list)-from, true)
			slices.Reverse(down)
			if !slices.Equal(down, list[from:]) {
				t.Fatalf("%d: down to %d: %d messages", i, from, len(down))
			}
		}
	}
	if r.(*ring).slots != nil {
		t.Error("an empty ring keeps its slots")
	}
}

// Memory is given back: first of old messages and keys, then of channels that
// nobody has used for a while. Until then the epoch stays: a position of before
// an idle time is not lost.
func TestASweepFreesWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, 10)
		publish := func(name, key string) message.Position {
			res, err := e.Publish(t.Context(), engine.Publication{Channel: name, IdempotencyKey: key})
			if err != nil {
				t.Fatal(err)
			}
			return res.Position
		}
		position := publish("idle", "k")
		publish("heard", "")
		if _, err := e.Subscribe(t.Context(), "heard", engine.Query{}); err != nil {
			t.Fatal(err)
		}
		state := func() string {
			e.mu.RLock()
			defer e.mu.RUnlock()
			s := ""
			for _, name := range []string{"idle", "heard"} {
				if c := e.channels[name]; c != nil {
					c.mu.Lock()
					s += fmt.Sprintf("%s %d %d ", name, c.log.(*ring).count, len(c.results))
					c.mu.Unlock()
				}
			}
			return s
		}
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{time.Minute, "idle 1 1 heard 1 0 "}, {5 * time.Minute, "idle 1 0 heard 1 0 "}, {time.Hour, "idle 0 0 heard 0 0 "},
		} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := state(); got != step.want {
				t.Errorf("after %v: %q, want %q", step.wait, got, step.want)
			}
		}
		if top, _ := e.Positions(t.Context(), []string{"idle"}); top[0] != position {
			t.Errorf("the position of an idle channel went from %v to %v", position, top[0])
		}
		time.Sleep(119 * time.Minute)
		synctest.Wait()
		if got := state(); got != "idle 0 0 heard 0 0 " {
			t.Errorf("before its time: %q", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := state(); got != "heard 0 0 " {
			t.Errorf("at the end: %q", got)
		}
	})
}

// A log is trimmed by who publishes, though nobody reads it.
func TestAPublisherTrims(t *testing.T) {
	e, _ := start(t, 10)
	for range 100 {
		if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.channels["chat"].log.(*ring).count; n != 10 {
		t.Errorf("%d messages are kept", n)
	}
}

// D4: a key that outlives the log keeps its channel.
func TestAKeyKeepsItsChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, 10)
		e.window = 5 * time.Hour
		p := engine.Publication{Channel: "chat", IdempotencyKey: "k"}
		first, err := e.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Hour)
		if again, err := e.Publish(t.Context(), p); err != nil || !again.Duplicate || again.Position != first.Position {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// Who has found a channel that is swept away meanwhile makes a new one.
func TestAChannelThatIsSweptAwayIsMadeAgain(t *testing.T) {
	e, _ := start(t, 10)
	old, err := e.channel("chat")
	if err != nil {
		t.Fatal(err)
	}
	old.dropped = true
	if made, err := e.channel("chat"); err != nil || made == old || e.channels["chat"] != made {
		t.Errorf("the same channel, or an error: %v", err)
	}
}
