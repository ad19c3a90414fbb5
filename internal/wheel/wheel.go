// Package wheel is a node's one clock for timers that are many, coarse and
// mostly never due: pings, deadlines, waits. Scheduling and stopping allocate
// nothing and cost the same with ten timers or a million.
//
// It refuses to be precise: a timer fires up to one tick late (never early),
// and a slow callback delays the ones behind it. It starts no goroutine: the
// owner calls Run on one of its own, and ends it with the context.
package wheel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// slots is the number of buckets. With the usual tick of 100 ms a turn takes
// 51 s, longer than the waits that sessions use, so that a bucket holds few
// timers that are not due yet.
const slots = 512

// Ticker is what a Timer calls when it is due.
type Ticker interface {
	// Tick runs on the wheel's goroutine, outside the wheel's lock, and must
	// not block. now is the time of the tick. It returns the wait until it
	// wants to be called again, 0 for never. Add and Stop during the call win
	// over the answer.
	Tick(now time.Time) (next time.Duration)
}

// Timer is one entry of a wheel. Embed it in what it times: the zero value
// with For set is ready. All other fields belong to the wheel.
type Timer struct {
	For Ticker // set before the first Add, not changed afterwards

	// guarded by the wheel's mu
	next, prev *Timer
	due        int64 // tick number while listed, else idle or firing
}

const (
	idle   = 0
	firing = -1
)

// Wheel is a hashed timing wheel. All methods are safe for concurrent use.
type Wheel struct {
	// set at construction
	tick  time.Duration
	start time.Time

	now atomic.Int64 // the number of the last tick that was started, from 1

	mu      sync.Mutex
	buckets [slots]Timer // sentinels of rings
	due     Timer        // sentinel of the ring that waits for its callbacks
}

// New makes a wheel that turns once per tick. Nothing fires before Run.
func New(tick time.Duration) *Wheel {
	if tick <= 0 {
		panic("wheel: tick must be positive")
	}
	w := &Wheel{tick: tick, start: time.Now()}
	w.now.Store(1)
	for i := range w.buckets {
		w.buckets[i].ring()
	}
	w.due.ring()
	return w
}

// Run fires timers until ctx ends; a callback under way is waited for, and
// nothing fires afterwards. Call it once. If the machine was held up, the
// ticks that were missed follow at once.
func (w *Wheel) Run(ctx context.Context) {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			w.advance(ctx, now)
		}
	}
}

// Add schedules t to fire once, d from now; a timer that is scheduled already
// is moved. It neither blocks nor allocates.
func (w *Wheel) Add(t *Timer, d time.Duration) {
	at := time.Since(w.start) + d
	w.mu.Lock()
	if t.next != nil {
		t.unlink()
	}
	w.insertLocked(t, at)
	w.mu.Unlock()
}

// Stop takes t off the wheel and tells whether it was waiting there. When it
// was not, a callback may still be running, which then is not repeated.
func (w *Wheel) Stop(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := t.next != nil
	if waiting {
		t.unlink()
	}
	t.due = idle
	return waiting
}

// Ticks is the number of the present tick: a clock that costs one load. It
// starts at 1 and stands still unless Run runs.
func (w *Wheel) Ticks() uint32 { return uint32(w.now.Load()) }

// Tick is the wheel's resolution.
func (w *Wheel) Tick() time.Duration { return w.tick }

// insertLocked lists t in the first tick that begins at or after at.
func (w *Wheel) insertLocked(t *Timer, at time.Duration) {
	due := int64((at+w.tick-1)/w.tick) + 1
	if now := w.now.Load(); due <= now {
		due = now + 1 // this tick's bucket has been emptied already
	}
	t.due = due
	t.link(&w.buckets[due%slots])
}

func (w *Wheel) advance(ctx context.Context, now time.Time) {
	last := int64(now.Sub(w.start)/w.tick) + 1
	for n := w.now.Load() + 1; n <= last && ctx.Err() == nil; n++ {
		w.collect(n)
		w.fire(ctx, now)
	}
}

// collect moves what is due in tick n into the due ring.
func (w *Wheel) collect(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Store(n)
	bucket := &w.buckets[n%slots]
	for t := bucket.next; t != bucket; {
		next := t.next
		if t.due <= n {
			t.unlink()
			t.link(&w.due)
		}
		t = next
	}
}

// fire calls back one timer after the other. The due ones wait in a ring of
// the wheel, so that Stop and Add still reach them.
func (w *Wheel) fire(ctx context.Context, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.due.next != &w.due && ctx.Err() == nil {
		t := w.due.next
		t.unlink()
		t.due = firing
		w.mu.Unlock()
		next := t.For.Tick(now)
		w.mu.Lock()
		if t.due != firing {
			continue // stopped or added anew meanwhile
		}
		t.due = idle
		if next > 0 {
			w.insertLocked(t, time.Since(w.start)+next)
		}
	}
}

func (t *Timer) ring() { t.next, t.prev = t, t }

// link puts t at the end of the ring.
func (t *Timer) link(ring *Timer) {
	t.next, t.prev = ring, ring.prev
	ring.prev.next = t
	ring.prev = t
}

func (t *Timer) unlink() {
	t.next.prev, t.prev.next = t.prev, t.next
	t.next, t.prev = nil, nil
}
