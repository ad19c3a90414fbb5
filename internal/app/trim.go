package app

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"magpie/internal/node"
	"magpie/internal/wheel"
)

// Connecting takes more memory than being connected: requests, buffers, stacks.
// The Go runtime keeps what such a wave needed for the next one, up to as much
// again as is in use. trimmer gives it back once the wave is over.
const (
	trimEvery = time.Second
	// trimLeast is how many sessions have to have come or gone since the last
	// time, and trimShare the share of those that are there: a collection looks
	// at all of them.
	trimLeast = 500
	trimShare = 10 // 1 in so many
	// trimCalm is the share that may come or go within trimEvery while we call
	// it calm.
	trimCalm = 100 // 1 in so many
)

// trimmer watches sessions come and go. It lives on the wheel; the work runs on
// a goroutine that stop waits for.
type trimmer struct {
	count func() (now, moves int64) // sessions there are, and how many came or went ever
	free  func()
	timer wheel.Timer

	// owned by the wheel's goroutine
	last    int64 // moves at the last look
	trimmed int64 // moves at the last trim

	running sync.WaitGroup
	busy    sync.Mutex
}

func newTrimmer(n *node.Node) *trimmer {
	t := &trimmer{free: debug.FreeOSMemory}
	t.count = func() (int64, int64) {
		now := n.Metrics.Sessions.Value()
		return now, 2*int64(n.Metrics.Opened.Value()) - now
	}
	t.timer.For = t
	return t
}

// Tick implements wheel.Ticker.
func (t *trimmer) Tick(time.Time) time.Duration {
	now, moves := t.count()
	lately, since := moves-t.last, moves-t.trimmed
	t.last = moves
	if since >= max(trimLeast, now/trimShare) && lately <= now/trimCalm && t.busy.TryLock() {
		t.trimmed = moves
		t.running.Go(func() {
			defer t.busy.Unlock()
			t.free()
		})
	}
	return trimEvery
}

// stop is called when the wheel stands.
func (t *trimmer) stop(context.Context) error {
	t.running.Wait()
	return nil
}
