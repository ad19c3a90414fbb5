package hub_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/message"
)

// timed notes when each message came, and how many deliveries brought them.
type timed struct {
	mu      sync.Mutex
	calls   int
	at      []time.Time
	offsets []uint64
	answer  func() // to a delivery, on a goroutine of its own
}

func (l *timed) Deliver(b *message.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	for _, m := range b.Messages {
		l.at = append(l.at, time.Now())
		l.offsets = append(l.offsets, m.Offset)
	}
	if l.answer != nil {
		go l.answer()
	}
}

func (l *timed) Gap(message.Gap) {}

func (l *timed) state() (calls int, at []time.Time, offsets []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls, l.at, l.offsets
}

// paced runs f with a hub in which time is virtual, and one subscriber.
func paced(t *testing.T, f func(h *hub.Hub, e engine.Engine, l *timed)) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
		if err != nil {
			t.Fatal(err)
		}
		e := memory.New(memory.Config{Rules: rules})
		h := hub.New(hub.Config{Engine: e, Rules: rules, Coalesce: window})
		if err := e.Start(t.Context(), engine.Node{Sink: h}); err != nil {
			t.Fatal(err)
		}
		l := &timed{}
		enroll(t, h, l)
		f(h, e, l)
		h.Close()
		e.Close(context.Background())
	})
}

func enroll(t *testing.T, h *hub.Hub, to hub.Subscriber) *hub.Subscription {
	t.Helper()
	joined, err := h.Join(t.Context(), "chat", to, nil)
	if err != nil {
		t.Fatal(err)
	}
	joined.Subscription.Live()
	return joined.Subscription
}

func say(t *testing.T, e engine.Engine) {
	t.Helper()
	if _, err := e.Publish(context.Background(), engine.Publication{Channel: "chat", Payload: []byte("x")}); err != nil {
		t.Error(err)
	}
}

// delays are how late each message came, and the test fails if one is lost,
// twice or out of order (D1, D5).
func (l *timed) delays(t *testing.T, sent []time.Time) (worst time.Duration, calls int) {
	t.Helper()
	calls, at, offsets := l.state()
	if len(at) != len(sent) {
		t.Fatalf("%d of %d messages came", len(at), len(sent))
	}
	for i := range sent {
		if offsets[i] != uint64(i+1) {
			t.Fatalf("message %d has offset %d", i+1, offsets[i])
		}
		worst = max(worst, at[i].Sub(sent[i]))
	}
	return worst, calls
}

// A message that comes alone leaves at once, and so does each of a few.
func TestALoneMessageDoesNotWait(t *testing.T) {
	paced(t, func(_ *hub.Hub, e engine.Engine, l *timed) {
		var sent []time.Time
		for i := range 100 {
			sent = append(sent, time.Now())
			say(t, e)
			if i%4 < 3 {
				time.Sleep(time.Millisecond) // three together, and then a pause
			} else {
				time.Sleep(window)
			}
		}
		synctest.Wait()
		if worst, calls := l.delays(t, sent); worst != 0 || calls != len(sent) {
			t.Errorf("%v late, %d deliveries", worst, calls)
		}
	})
}

// A burst leaves in few deliveries, none later than the window allows, and
// with its last message, too.
func TestABurstLeavesTogether(t *testing.T) {
	paced(t, func(_ *hub.Hub, e engine.Engine, l *timed) {
		var sent []time.Time
		for range 1000 {
			sent = append(sent, time.Now())
			say(t, e)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(window)
		synctest.Wait()
		worst, calls := l.delays(t, sent)
		if worst > window || calls > 220 {
			t.Errorf("%v late, %d deliveries", worst, calls)
		}
	})
}

// What is enough to be worth a delivery does not wait for the tick.
func TestMuchDoesNotWait(t *testing.T) {
	paced(t, func(_ *hub.Hub, e engine.Engine, l *timed) {
		for range 10 + 256 {
			say(t, e)
		}
		synctest.Wait()
		if _, at, _ := l.state(); len(at) < 256 {
			t.Errorf("%d messages came at once", len(at))
		}
	})
}

// Two that answer each other are not slowed down to one answer in a window.
func TestAnswersHardlyWait(t *testing.T) {
	paced(t, func(_ *hub.Hub, e engine.Engine, l *timed) {
		const rounds = 1000
		left, done := rounds, make(chan struct{})
		l.answer = func() {
			if left--; left == 0 {
				close(done)
				return
			}
			time.Sleep(100 * time.Microsecond)
			say(t, e)
		}
		began := time.Now()
		say(t, e)
		<-done
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("%d answers took %v", rounds, took)
		}
	})
}

// A hub that closes in the middle of a window leaves nothing running.
func TestCloseEndsAWindow(t *testing.T) {
	paced(t, func(h *hub.Hub, e engine.Engine, l *timed) {
		for range 20 {
			say(t, e)
		}
		h.Close()
		_, before, _ := l.state()
		time.Sleep(2 * window)
		synctest.Wait()
		if _, after, _ := l.state(); len(after) != len(before) || len(after) >= 20 {
			t.Errorf("%d messages came after Close, %d before", len(after)-len(before), len(before))
		}
	})
}

// Who publishes to a few has delivered when the engine answers; who publishes
// to many does not work for them all.
func TestAFewAreServedByThePublisher(t *testing.T) {
	h, f := setup(t, 0)
	few := &timed{}
	enroll(t, h, few)
	say(t, f)
	if calls, _, _ := few.state(); calls != 1 {
		t.Errorf("%d deliveries when Publish returned", calls)
	}
	gate := make(chan struct{})
	waits := stuck{newListener(t), gate}
	joined, err := h.Join(t.Context(), "chat", waits, nil)
	if err != nil {
		t.Fatal(err)
	}
	waits.at = joined.Position
	joined.Subscription.Live()
	for range 40 {
		enroll(t, h, &timed{})
	}
	say(t, f) // would not return
	close(gate)
}

// broken is a receiver with a fault of ours.
type broken struct{ timed }

func (*broken) Deliver(*message.Batch) { panic("a fault of ours") }

// A delivery that panics ends the process wherever it runs; else its channel
// would stand still, and nobody would know.
func TestADeliveryThatPanicsIsNotHidden(t *testing.T) {
	if os.Getenv("HUB_TEST_PANIC") != "" {
		h, f := setup(t, 0)
		enroll(t, h, &broken{})
		func() {
			defer func() { recover() }() // as a server of requests does
			say(t, f)
		}()
		t.Fatal("it was hidden")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestADeliveryThatPanicsIsNotHidden$")
	cmd.Env = append(os.Environ(), "HUB_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(`delivery in "chat": a fault of ours`)) {
		t.Errorf("%v\n%s", err, out)
	}
}
