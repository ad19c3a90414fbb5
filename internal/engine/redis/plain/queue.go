package plain

import (
	"slices"
	"time"

	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

// queue is what one channel's plain PUBLISHes wait in, and how this node stands
// with the channel's lease.
type queue struct {
	channel  string
	entries  []*entry
	used     time.Time
	born     time.Time      // when this node came to listen, at the latest
	payloads map[string]int // how many entries have it
	tenure
	echoes
	own message.Position // the newest that this node appended

	// How it ends: with release the lease is given back when last is in the
	// log, or no entry is left; a leaving queue then ends.
	release bool
	missed  bool // with release: something may have been missed
	last    *entry
	leaving bool

	failing bool // its entries wait because Redis failed
}

type entry struct {
	payload string
	at      time.Time
	seq     uint64 // under tenure.sent; 0: never sent
	echoed  bool   // seen to be in the log before Redis's answer came

	// Its channel moved to another master: order comes before completeness.
	moved bool // it had just come: dropped when a later one is in the log
	held  bool // it was received before, by the holder: dropped with the tenure
}

// Arrived queues one plain PUBLISH. moved says that its channel has just come
// from another master: nodes follow at different moments, and have different
// first entries.
func (a *Appender) Arrived(ch, payload string, moved bool) {
	now := time.Now()
	a.mu.Lock()
	q := a.queues[ch]
	if q == nil {
		q = &queue{channel: ch, born: now, payloads: map[string]int{}}
		a.queues[ch] = q
	}
	q.used, q.leaving = now, false
	full := len(q.entries) >= mostEntries || a.bytes+len(payload) > mostBytes
	if !full {
		q.entries = append(q.entries, &entry{payload: payload, at: now, moved: moved})
		a.bytes += len(payload)
		q.payloads[payload]++
		a.activeLocked(q)
	}
	a.mu.Unlock()
	if full {
		a.drop("overflow", 1)
	}
}

// echoed takes a message that came back from the log.
func (a *Appender) echoed(m *message.Message) {
	if !m.Logged() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queues[m.Channel]
	if q == nil || a.heardLocked(q, m.Position) {
		return
	}
	a.echoLocked(q, m)
}

// echoLocked takes the log's next message.
func (a *Appender) echoLocked(q *queue, m *message.Message) {
	q.seen = m.Position
	switch {
	case m.Via != message.ViaPlain, m.Epoch == q.own.Epoch && m.Offset <= q.own.Offset:
	case q.role == holder:
		q.markEchoLocked(wire.String(m.Payload))
	default:
		a.matchLocked(q, wire.String(m.Payload))
	}
}

// markEchoLocked marks an entry whose answer is still on its way: should it
// never come, the entry must not be appended again.
func (q *queue) markEchoLocked(payload string) {
	for _, e := range q.entries {
		if e.seq == 0 {
			return
		}
		if !e.echoed && e.payload == payload {
			e.echoed = true
			return
		}
	}
}

// matchLocked drops the entry that another node appended. Those before it that
// are still there wait on: the holder appends in order, so it never received
// them, and they are not in the log. The next echo is most likely that of the
// entry behind.
func (a *Appender) matchLocked(q *queue, payload string) {
	if q.payloads[payload] == 0 {
		return
	}
	for n := range len(q.entries) {
		i := (q.at + n) % len(q.entries)
		if q.entries[i].payload == payload {
			for ; i > 0 && q.entries[0].moved; i-- {
				a.discardLocked(q)
			}
			q.at, q.passed = i, i > 0
			a.removeLocked(q, q.entries[i])
			return
		}
	}
}

// discardLocked drops the queue's first entry, which cannot be appended in order
// any more.
func (a *Appender) discardLocked(q *queue) {
	a.popLocked(q, 1)
	a.uncertain++
	a.activeLocked(q) // Run reports it
}

// popLocked drops the first n entries.
func (a *Appender) popLocked(q *queue, n int) {
	for _, e := range q.entries[:n] {
		a.forgetLocked(q, e)
	}
	clear(q.entries[:n])
	q.entries = q.entries[n:]
	if q.at = max(0, q.at-n); len(q.entries) == 0 {
		q.entries, q.passed, q.unsure = nil, false, false
		a.activeLocked(q) // it may be waiting to end
	}
}

// removeLocked drops one entry wherever it is.
func (a *Appender) removeLocked(q *queue, e *entry) {
	switch i := slices.Index(q.entries, e); {
	case i == 0:
		a.popLocked(q, 1)
	case i > 0:
		a.forgetLocked(q, e)
		q.entries = slices.Delete(q.entries, i, i+1)
	}
}

func (a *Appender) forgetLocked(q *queue, e *entry) {
	a.bytes -= len(e.payload)
	if q.payloads[e.payload]--; q.payloads[e.payload] == 0 {
		delete(q.payloads, e.payload)
	}
	if e == q.last {
		q.last = nil
	}
}

// newest is the newest entry, or nil.
func (q *queue) newest() *entry {
	if len(q.entries) == 0 {
		return nil
	}
	return q.entries[len(q.entries)-1]
}

// Cut follows the loss of the subscriptions of these channels: echoes may have
// been missed, and plain PUBLISHes. So the node appends what it has and no other
// has appended, and then lets others go first: they may have received more.
// A holder knows from Redis's answers what is in the log; the others learn it
// from the log. A node that never saw where the log stood cannot tell, and loses
// an entry rather than double it.
func (a *Appender) Cut(of func(ch string) bool) {
	a.mu.Lock()
	lost := 0
	for ch, q := range a.queues {
		if !of(ch) {
			continue
		}
		if q.role != holder && q.seen.Epoch == "" {
			lost += len(q.entries)
			a.popLocked(q, len(q.entries))
		}
		a.cutLocked(q)
	}
	a.mu.Unlock()
	a.drop("uncertain", lost)
}

// Moved follows these channels to another master. Others may have followed before,
// and have appended there what is younger. So what waits is lost rather than
// appended late, but for what a holder has: nobody appends before it gives the
// lease back.
func (a *Appender) Moved(of func(ch string) bool) {
	a.mu.Lock()
	lost := 0
	for ch, q := range a.queues {
		if !of(ch) {
			continue
		}
		if q.role != holder {
			lost += len(q.entries)
			a.popLocked(q, len(q.entries))
		}
		for _, e := range q.entries {
			e.held = true
		}
		a.cutLocked(q)
	}
	a.mu.Unlock()
	a.drop("uncertain", lost)
}

// cutLocked has the lease given back when what waits is in the log.
func (a *Appender) cutLocked(q *queue) {
	if q.role != holder {
		q.role, q.fence = follower, false
	}
	q.release, q.missed, q.last, q.other, q.retry = true, true, q.newest(), false, time.Time{}
	q.born, q.echoes = time.Now(), echoes{seen: q.seen, unsure: len(q.entries) > 0, cuts: q.cuts + 1}
	a.activeLocked(q)
}

// State is how this node stands with a channel's plain PUBLISHes.
type State struct {
	Waiting int  // entries that are not known to be in the log
	Holds   bool // it has the lease, and appends
	Fencing bool // it has the lease, and does not append yet
	Refused bool // another node has the lease, as far as is known
}

// State tells it to operators and tests.
func (a *Appender) State(ch string) State {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queues[ch]
	if q == nil {
		return State{}
	}
	return State{Waiting: len(q.entries), Holds: q.role == holder, Fencing: q.role == fencing, Refused: q.other}
}
