// Package plain puts plain PUBLISHes into logs. One reaches every node that
// listens, and exactly one of them must append it. How:
//
//  1. Every node keeps what it received in a queue per channel, in order, until
//     it sees it come back from the log with via=plain (queue.go).
//  2. The node that holds the channel's lease appends its queue, in order, and
//     drops an entry when Redis says that it is in (append.go).
//  3. A node whose oldest entry waits too long tries to take the lease. Redis
//     grants it when it is free and publishes a fence in the same step. Redis
//     keeps order on one connection: when the new holder sees its own fence,
//     all that others appended has come back before, and what is still in its
//     queue was never appended (lease.go). When the holder appends what follows
//     an entry, it never received that entry: the lease is asked for.
//  4. Each tenure has a token and counts its entries. The log's meta keeps the
//     token and the count of the last append: so a holder whose call got no
//     answer learns what was done, and a call of an older tenure that arrives
//     late is refused.
//  5. A node that lost its subscription has missed echoes. It learns from the log
//     what they were before it appends (replay.go).
//  6. When a channel moves to another master, its nodes follow at different
//     moments. What cannot be appended in order any more is dropped (queue.go).
//
// Why that loses and doubles nothing: docs/adr/0005.
//
// What can be lost is written in docs/redis.md.
//
// Its one goroutine is Run, which the caller starts and ends.
package plain

import (
	"context"
	"sync"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/wire"
)

const (
	// leaseTime is how long a dead holder delays others. Short, because a
	// holder that was only slow loses nothing but its tenure.
	leaseTime = 1500 * time.Millisecond
	// leasePatience is how long an entry waits for the holder before another
	// node asks for the lease, and how often it asks.
	leasePatience = 300 * time.Millisecond
	// youngTime is how long a node that has just subscribed lets others go first
	// when a tenure ended badly (plain_take.lua): for a dead holder's lease, the
	// patience of who has listened all the time, and some more.
	youngTime = leaseTime + 2*leasePatience
	// fencePatience is how long a holder waits for its own fence.
	fencePatience = 2 * time.Second
	// leavePatience bounds how long a channel that was left waits for what is
	// still in its queue.
	leavePatience = 10 * time.Second
	// idleTime is how long an empty queue's state is remembered.
	idleTime = time.Minute
	// Bounds of what waits to be appended: entries per channel and bytes per
	// node. PUBLISH can be faster than appending, so both can be reached.
	mostEntries = 65536
	mostBytes   = 64 << 20
)

// Config is what New needs.
type Config struct {
	script.Env
	// Read reads a channel's log.
	Read     func(ctx context.Context, channel string, q engine.Query) (engine.Page, error)
	Dropped  func(reason string)  // is told of each entry that was not taken in
	Released func(channel string) // is told that a channel that was left waits for nothing any more
}

// Appender owns the queues of all channels. The methods that take what was
// received do not wait: they are called on the client's reader.
type Appender struct {
	Config
	kick    chan struct{}
	lost    throttle.Throttle
	refused throttle.Throttle

	mu      sync.Mutex // guards what follows
	failing int        // queues whose entries wait because Redis failed
	queues  map[string]*queue
	active  map[*queue]struct{} // those that Run must look at
	bytes   int
	tenures uint64
	// uncertain counts entries that were discarded and are not reported yet.
	uncertain int
	ended     chan struct{} // closed and renewed when a queue ended
}

// New returns what is to be run with Run.
func New(c Config) *Appender {
	return &Appender{
		Config: c, kick: make(chan struct{}, 1), ended: make(chan struct{}),
		queues: map[string]*queue{}, active: map[*queue]struct{}{},
	}
}

// Seen takes what came live in a channel, before it goes to the sink.
func (a *Appender) Seen(ch string, e wire.Envelope) {
	switch e.Kind {
	case wire.KindMessage:
		a.echoed(e.Message)
	case wire.KindFence:
		a.fenced(ch, e.Node, e.Token)
	case wire.KindRelease:
		a.freed(ch, e.Node)
	case wire.KindWant:
		a.wanted(ch, e.Node)
	}
}

// Run appends until ctx ends. One batch is in flight at a time: when the next
// is planned nothing is on its way.
func (a *Appender) Run(ctx context.Context) {
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	swept := time.Now()
	for {
		b := a.plan(time.Now())
		a.drop("uncertain", b.lost)
		for _, ch := range b.ended {
			a.Released(ch)
		}
		if len(b.ops) > 0 {
			a.perform(ctx, b.ops)
			b.wait = 0
		}
		for _, q := range b.replays {
			a.replay(ctx, q)
			b.wait = 0
		}
		if time.Since(swept) > idleTime/4 {
			a.sweep()
			swept = time.Now()
		}
		if b.wait == 0 && ctx.Err() == nil {
			continue
		}
		timer.Reset(b.wait)
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
		case <-timer.C:
		}
	}
}

// Left ends a channel that nobody here listens to any more, after its queue. It
// returns false when there is nothing to wait for; else Released is told when
// it is over.
func (a *Appender) Left(ch string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queues[ch]
	if q == nil {
		return false
	}
	a.leaveLocked(q)
	return true
}

func (a *Appender) leaveLocked(q *queue) {
	q.leaving, q.release, q.missed, q.used = true, true, false, time.Now()
	a.activeLocked(q)
}

// Drain ends all queues and waits for it until ctx ends.
func (a *Appender) Drain(ctx context.Context) {
	a.mu.Lock()
	for _, q := range a.queues {
		a.leaveLocked(q)
	}
	a.mu.Unlock()
	for {
		a.mu.Lock()
		left, ended := len(a.queues), a.ended
		a.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Appender) endLocked(q *queue) {
	if a.queues[q.channel] == q {
		delete(a.queues, q.channel)
	}
	delete(a.active, q)
	a.failedLocked(q, false)
	close(a.ended)
	a.ended = make(chan struct{})
}

// sweep forgets channels that have been quiet for long.
func (a *Appender) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.queues {
		if len(q.entries) == 0 && q.role != taking && q.role != fencing && !q.release && time.Since(q.used) > idleTime {
			a.endLocked(q)
		}
	}
}

// activeLocked lets Run look at a queue.
func (a *Appender) activeLocked(q *queue) {
	a.active[q] = struct{}{}
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// drop counts entries that were not taken in.
func (a *Appender) drop(reason string, n int) {
	for range n {
		a.Dropped(reason)
	}
	if n > 0 && a.lost.Allow() {
		a.Log.Warn("plain PUBLISHes may be missing in the log", "reason", reason, "count", n)
	}
}
