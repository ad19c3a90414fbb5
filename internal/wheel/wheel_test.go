package wheel

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tick = 100 * time.Millisecond

// probe records when it fired and answers what it was told to.
type probe struct {
	timer Timer
	fired []time.Duration
	since time.Time
	next  func() time.Duration
}

func (p *probe) Tick(now time.Time) time.Duration {
	p.fired = append(p.fired, time.Since(p.since))
	if p.next == nil {
		return 0
	}
	return p.next()
}

func newProbe() *probe {
	p := &probe{since: time.Now()}
	p.timer.For = p
	return p
}

// inBubble runs f against a running wheel under a clock of its own.
func inBubble(t *testing.T, f func(w *Wheel)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, end := running()
		f(w)
		end()
	})
}

// running returns a wheel that runs, and what ends its run and waits for it.
func running() (w *Wheel, end func()) {
	w = New(tick)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	return w, func() { cancel(); <-ended }
}

func sleep(d time.Duration) {
	time.Sleep(d) // the bubble's clock: exact and at once
	synctest.Wait()
}

// A timer fires once, never early and at most one tick late, for waits within
// a turn of the wheel, of several turns, and when added between two ticks.
func TestFiresOnTime(t *testing.T) {
	waits := []time.Duration{0, 1, tick, tick + 1, 10 * time.Second, slots * tick, 3*slots*tick + 7, time.Hour}
	for _, offset := range []time.Duration{0, 33 * time.Millisecond, 99 * time.Millisecond} {
		for _, d := range waits {
			inBubble(t, func(w *Wheel) {
				sleep(time.Second + offset)
				p := newProbe()
				w.Add(&p.timer, d)
				sleep(d + 2*slots*tick)
				if len(p.fired) != 1 {
					t.Fatalf("wait %v: fired %d times", d, len(p.fired))
				}
				if at := p.fired[0]; at < d || at > d+tick {
					t.Errorf("wait %v at offset %v: fired after %v", d, offset, at)
				}
			})
		}
	}
}

func TestStopBeforeItFires(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		p := newProbe()
		w.Add(&p.timer, time.Second)
		sleep(500 * time.Millisecond)
		if !w.Stop(&p.timer) {
			t.Error("Stop says that nothing waited")
		}
		if w.Stop(&p.timer) {
			t.Error("the second Stop says that something waited")
		}
		sleep(time.Minute)
		if len(p.fired) != 0 {
			t.Errorf("fired at %v after Stop", p.fired)
		}
	})
}

func TestAddMovesAWaitingTimer(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		p := newProbe()
		w.Add(&p.timer, time.Second)
		w.Add(&p.timer, 5*time.Second)
		sleep(time.Minute)
		if len(p.fired) != 1 || p.fired[0] < 5*time.Second {
			t.Errorf("fired at %v, want once after 5s", p.fired)
		}
	})
}

func TestAnswerRepeats(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		p, left := newProbe(), 3
		p.next = func() time.Duration { left--; return time.Duration(left) * time.Second }
		w.Add(&p.timer, time.Second)
		sleep(time.Minute)
		if len(p.fired) != 3 {
			t.Fatalf("fired %d times, want 3", len(p.fired))
		}
		if gap := p.fired[1] - p.fired[0]; gap < 2*time.Second || gap > 2*time.Second+tick {
			t.Errorf("second came %v after the first, want 2s", gap)
		}
	})
}

// Stop and Add during the callback win over its answer.
func TestStopAndAddInsideTheCallback(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		stopped, moved := newProbe(), newProbe()
		stopped.next = func() time.Duration { w.Stop(&stopped.timer); return time.Second }
		moved.next = func() time.Duration {
			if len(moved.fired) == 1 {
				w.Add(&moved.timer, 10*time.Second)
			}
			return 0
		}
		w.Add(&stopped.timer, time.Second)
		w.Add(&moved.timer, time.Second)
		sleep(time.Minute)
		if len(stopped.fired) != 1 {
			t.Errorf("stopped inside its callback, fired %d times", len(stopped.fired))
		}
		if len(moved.fired) != 2 || moved.fired[1] < 11*time.Second {
			t.Errorf("added inside its callback, fired at %v", moved.fired)
		}
	})
}

// A callback may stop another timer that is due in the very same tick.
func TestStopReachesATimerOfTheSameTick(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		a, b := newProbe(), newProbe()
		a.next = func() time.Duration { w.Stop(&b.timer); return 0 }
		w.Add(&a.timer, time.Second)
		w.Add(&b.timer, time.Second)
		sleep(time.Minute)
		if len(a.fired) != 1 || len(b.fired) != 0 {
			t.Errorf("a fired %d times, b %d; want 1 and 0", len(a.fired), len(b.fired))
		}
	})
}

// A callback that holds up the wheel delays timers but loses none.
func TestCatchesUpAfterAHoldUp(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		slow := newProbe()
		slow.next = func() time.Duration { time.Sleep(time.Minute); return 0 }
		w.Add(&slow.timer, time.Second)
		var others []*probe
		for i := range 100 {
			p := newProbe()
			w.Add(&p.timer, time.Second+time.Duration(i)*tick)
			others = append(others, p)
		}
		sleep(3 * time.Minute)
		for i, p := range others {
			if len(p.fired) != 1 {
				t.Fatalf("timer %d fired %d times", i, len(p.fired))
			}
			if at := p.fired[0]; at > 61*time.Second+2*tick {
				t.Errorf("timer %d fired after %v, want right after the hold-up", i, at)
			}
		}
	})
}

func TestNothingFiresAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := running()
		p := newProbe()
		w.Add(&p.timer, time.Second)
		end()
		sleep(time.Minute)
		if len(p.fired) != 0 {
			t.Error("fired after the end")
		}
	})
}

// Run waits for a callback under way; what was due together with it is not
// called any more, and neither is what became due meanwhile.
func TestEndDuringACallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := running()
		slow, behind, later := newProbe(), newProbe(), newProbe()
		slow.next = func() time.Duration { time.Sleep(time.Minute); return 0 }
		w.Add(&slow.timer, time.Second)
		w.Add(&behind.timer, time.Second)
		w.Add(&later.timer, 30*time.Second)
		sleep(2 * time.Second)
		start := time.Now()
		end()
		if took := time.Since(start); took < 58*time.Second {
			t.Errorf("the end took %v, with a callback under way", took)
		}
		sleep(time.Minute)
		if len(behind.fired)+len(later.fired) != 0 {
			t.Error("a timer fired after the end")
		}
	})
}

func TestTicksCount(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		before := w.Ticks()
		sleep(10 * time.Second)
		if n := w.Ticks() - before; n != 100 {
			t.Errorf("10s are %d ticks, want 100", n)
		}
	})
}

// Any mix of Add and Stop from many goroutines: whoever is added last fires
// once, whoever is stopped last does not.
func TestConcurrentUse(t *testing.T) {
	inBubble(t, func(w *Wheel) {
		const n = 200
		var probes [n]*probe
		done := make(chan struct{})
		for i := range n {
			probes[i] = newProbe()
			go func() {
				defer func() { done <- struct{}{} }()
				for range 50 {
					w.Add(&probes[i].timer, time.Hour+time.Duration(rand.IntN(1e9)))
					w.Stop(&probes[i].timer)
				}
				if i%2 == 0 {
					w.Add(&probes[i].timer, time.Second)
				}
			}()
		}
		for range n {
			<-done
		}
		sleep(2 * time.Hour)
		for i, p := range probes {
			if want := 1 - i%2; len(p.fired) != want {
				t.Errorf("timer %d fired %d times, want %d", i, len(p.fired), want)
			}
		}
	})
}

// Sessions embed a timer each: its size is part of what an idle one costs.
func TestTimerIsSmallAndFree(t *testing.T) {
	if size := unsafe.Sizeof(Timer{}); size > 40 {
		t.Errorf("a Timer takes %d bytes, want at most 40", size)
	}
	w, p := New(tick), newProbe()
	if n := testing.AllocsPerRun(100, func() { w.Add(&p.timer, time.Second); w.Stop(&p.timer) }); n != 0 {
		t.Errorf("%v allocations per Add and Stop", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	w := New(tick)
	timers := make([]Timer, 1<<16)
	for b.Loop() {
		i := rand.IntN(len(timers))
		w.Add(&timers[i], time.Duration(rand.IntN(30))*time.Second)
	}
}
