package redis

import (
	"context"
	"sync"
	"time"

	"magpie/internal/message"
)

// A plain PUBLISH reaches every node that listens, and exactly one of them
// must put it into the log. How:
//
//  1. Every node keeps what it received in a queue (hold), in order, until it
//     sees it come back from the log with via=plain.
//  2. The node that holds the channel's lease appends its queue, in order, and
//     drops an entry when Redis says that it is in.
//  3. A node whose oldest entry waits too long tries to take the lease. Redis
//     grants it when it is free and publishes a fence in the same step. Redis
//     keeps order on one connection: when the new holder sees its own fence,
//     all that others appended has come back before, and what is still in its
//     queue was never appended.
//  4. Each tenure has a token and counts its entries. The log's meta keeps the
//     token and the count of the last append: so a holder whose call got no
//     answer learns what was done, and a call of an older tenure that arrives
//     late is refused.
//
// What can be lost is written in docs/redis.md.
const (
	// plainLease is how long a dead holder delays others. Short, because a
	// holder that was only slow loses nothing but its tenure.
	plainLease = 1500 * time.Millisecond
	// plainPatience is how long an entry waits for the holder before another
	// node asks for the lease, and how often it asks.
	plainPatience = 300 * time.Millisecond
	// fencePatience is how long a holder waits for its own fence.
	fencePatience = 2 * time.Second
	// Bounds of what waits to be appended: entries per channel and bytes per
	// node. PUBLISH can be faster than appending, so both can be reached.
	maxHoldEntries = 65536
	maxHoldBytes   = 64 << 20
	// idleHold is how long an empty queue's state is remembered.
	idleHold = time.Minute
	// leavePatience bounds how long a channel that was left waits for what is
	// still in its queue.
	leavePatience = 10 * time.Second
	// appendRound entries are appended in one round trip, appendEach at most of
	// one channel.
	appendRound = 1024
	appendEach  = 256
)

// plainAppender owns the queues of all channels. Callbacks of the subscriber
// fill and match them, its one goroutine (run) talks to Redis.
type plainAppender struct {
	e          *Engine
	kick       chan struct{}
	maxEntries int // maxHoldEntries but in tests

	mu      sync.Mutex // guards what follows
	holds   map[string]*hold
	active  map[*hold]struct{} // those that run must look at
	bytes   int
	tenures uint64
	ended   chan struct{} // closed and renewed when a hold ended
}

// tenure says where a node stands with a channel's lease.
type tenure int

const (
	follower tenure = iota
	taking          // asked for the lease; no answer yet
	fencing         // has the lease; its fence has not come back yet
	holder          // appends
)

// hold is one channel's queue and lease.
type hold struct {
	channel string
	queue   []*heldPlain
	role    tenure
	token   string           // of the present tenure, or of the one asked for
	fence   bool             // the fence of token has come back
	since   time.Time        // when the present role began
	tried   time.Time        // when the lease was last asked for
	other   bool             // another node holds the lease, as far as is known
	seq     uint64           // entries numbered in this tenure
	sent    string           // the token under which entries were last sent
	own     message.Position // the newest that this node appended
	used    time.Time

	// How it ends: with release the lease is given back when last is in the
	// log, or the queue is empty; a leaving hold then ends.
	release bool
	last    *heldPlain
	leaving bool
}

type heldPlain struct {
	payload string
	at      time.Time
	seq     uint64 // under hold.sent; 0: never sent
	echoed  bool   // seen to be in the log before Redis's answer came
}

func newPlainAppender(e *Engine) *plainAppender {
	return &plainAppender{
		e: e, kick: make(chan struct{}, 1), maxEntries: maxHoldEntries, ended: make(chan struct{}),
		holds: map[string]*hold{}, active: map[*hold]struct{}{},
	}
}

// arrived queues one plain PUBLISH. Called on the client's reader.
func (p *plainAppender) arrived(ch, payload string) {
	now := time.Now()
	p.mu.Lock()
	h := p.holds[ch]
	if h == nil {
		h = &hold{channel: ch}
		p.holds[ch] = h
	}
	h.used, h.leaving = now, false
	full := len(h.queue) >= p.maxEntries || p.bytes+len(payload) > maxHoldBytes
	if !full {
		h.queue = append(h.queue, &heldPlain{payload: payload, at: now})
		p.bytes += len(payload)
		p.activeLocked(h)
	}
	p.mu.Unlock()
	if full {
		p.dropped("overflow", 1)
	}
}

// activeLocked lets run look at a hold.
func (p *plainAppender) activeLocked(h *hold) {
	p.active[h] = struct{}{}
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *plainAppender) dropped(reason string, n int) {
	for range n {
		p.e.cfg.Metrics.plainDropped(reason)
	}
	if n > 0 && p.e.lostPlain.allow() {
		p.e.cfg.Log.Warn("plain PUBLISHes may be missing in the log", "reason", reason, "count", n)
	}
}

// echoed takes a message that came back from the log. Called on the client's
// reader, before the message goes to the sink.
func (p *plainAppender) echoed(m *message.Message) {
	p.mu.Lock()
	h := p.holds[m.Channel]
	if h == nil || m.Epoch == h.own.Epoch && m.Offset <= h.own.Offset {
		p.mu.Unlock()
		return
	}
	passed := 0
	if h.role == holder {
		h.noteEchoLocked(stringOf(m.Payload))
	} else {
		passed = p.matchLocked(h, stringOf(m.Payload))
	}
	p.mu.Unlock()
	p.dropped("passed_over", passed)
}

// noteEchoLocked marks an entry whose answer is still on its way: should it
// never come, the entry must not be appended again.
func (h *hold) noteEchoLocked(payload string) {
	for _, entry := range h.queue {
		if entry.seq == 0 {
			return
		}
		if !entry.echoed && entry.payload == payload {
			entry.echoed = true
			return
		}
	}
}

// matchReach bounds how far an echo is looked for in the queue.
const matchReach = 1024

// matchLocked drops the entry that the holder appended, and those before it:
// the holder appends in order, so it never got them.
func (p *plainAppender) matchLocked(h *hold, payload string) (passed int) {
	for i, entry := range h.queue[:min(len(h.queue), matchReach)] {
		if entry.payload == payload {
			p.popLocked(h, i+1)
			return i
		}
	}
	return 0
}

// popLocked drops the first n entries.
func (p *plainAppender) popLocked(h *hold, n int) {
	for _, entry := range h.queue[:n] {
		p.bytes -= len(entry.payload)
		if entry == h.last {
			h.last = nil
		}
	}
	clear(h.queue[:n])
	h.queue = h.queue[n:]
	if len(h.queue) == 0 {
		h.queue = nil
		p.activeLocked(h) // it may be waiting to end
	}
}

// fenced takes a fence. Called on the client's reader.
func (p *plainAppender) fenced(ch, node, token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.holds[ch]
	switch {
	case h == nil:
	case node != p.e.node:
		h.other = true
		if h.role == holder || h.role == fencing {
			p.demoteLocked(h)
		}
	case token == h.token:
		h.fence = true
		if h.role == fencing {
			h.promoteLocked()
			p.activeLocked(h)
		}
	}
}

// freed takes the notice that a lease was given back. Whoever has something
// to append asks for it at once.
func (p *plainAppender) freed(ch, node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.holds[ch]; h != nil && node != p.e.node {
		h.other, h.tried = false, time.Time{}
		p.activeLocked(h)
	}
}

// promoteLocked begins to append: nothing in the queue is in the log.
func (h *hold) promoteLocked() {
	h.role, h.seq, h.other, h.since = holder, 0, false, time.Now()
	for _, entry := range h.queue {
		entry.seq, entry.echoed = 0, false
	}
}

// demoteLocked stops appending. What was seen in the log goes; the rest waits
// for its echo or for the next tenure.
func (p *plainAppender) demoteLocked(h *hold) {
	h.role, h.since = follower, time.Now()
	kept := h.queue[:0:0]
	for _, entry := range h.queue {
		if entry.echoed {
			p.bytes -= len(entry.payload)
			continue
		}
		kept = append(kept, entry)
	}
	h.queue = kept
	p.activeLocked(h)
}

// cut follows the loss of the subscriber connection of these channels: echoes
// may have been missed. A holder knows from Redis's answers what is in the log: it appends
// what it has and gives the lease to a node that may have received more. The
// others cannot tell, and rather lose an entry than double it.
func (p *plainAppender) cut(of func(ch string) bool) {
	p.mu.Lock()
	lost := 0
	for ch, h := range p.holds {
		if !of(ch) {
			continue
		}
		h.release, h.other = true, false
		if h.role == holder {
			if len(h.queue) > 0 {
				h.last = h.queue[len(h.queue)-1]
			}
		} else {
			h.role, h.fence = follower, false
			lost += len(h.queue)
			p.popLocked(h, len(h.queue))
		}
		p.activeLocked(h)
	}
	p.mu.Unlock()
	p.dropped("uncertain", lost)
}

// leave ends a channel that nobody here listens to any more, after its queue.
// It returns false when there is nothing to wait for; else the subscriber is
// told (released) when it is over.
func (p *plainAppender) leave(ch string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.holds[ch]
	if h == nil {
		return false
	}
	p.leaveLocked(h)
	return true
}

func (p *plainAppender) leaveLocked(h *hold) {
	h.leaving, h.release, h.used = true, true, time.Now()
	p.activeLocked(h)
}

// drain ends all holds and waits for it until ctx ends.
func (p *plainAppender) drain(ctx context.Context) {
	p.mu.Lock()
	for _, h := range p.holds {
		p.leaveLocked(h)
	}
	p.mu.Unlock()
	for {
		p.mu.Lock()
		left, ended := len(p.holds), p.ended
		p.mu.Unlock()
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
