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
	channel string
	entries []*entry
	used    time.Time
	tenure
	own message.Position // the newest that this node appended

	// How it ends: with release the lease is given back when last is in the
	// log, or no entry is left; a leaving queue then ends.
	release bool
	last    *entry
	leaving bool
}

type entry struct {
	payload string
	at      time.Time
	seq     uint64 // under tenure.sent; 0: never sent
	echoed  bool   // seen to be in the log before Redis's answer came
}

// Arrived queues one plain PUBLISH.
func (a *Appender) Arrived(ch, payload string) {
	now := time.Now()
	a.mu.Lock()
	q := a.queues[ch]
	if q == nil {
		q = &queue{channel: ch}
		a.queues[ch] = q
	}
	q.used, q.leaving = now, false
	full := len(q.entries) >= mostEntries || a.bytes+len(payload) > mostBytes
	if !full {
		q.entries = append(q.entries, &entry{payload: payload, at: now})
		a.bytes += len(payload)
		a.activeLocked(q)
	}
	a.mu.Unlock()
	if full {
		a.drop("overflow", 1)
	}
}

// echoed takes a message that came back from the log.
func (a *Appender) echoed(m *message.Message) {
	if m.Via != message.ViaPlain {
		return
	}
	a.mu.Lock()
	q := a.queues[m.Channel]
	if q == nil || m.Epoch == q.own.Epoch && m.Offset <= q.own.Offset {
		a.mu.Unlock()
		return
	}
	passed := 0
	if q.role == holder {
		q.markEchoLocked(wire.String(m.Payload))
	} else {
		passed = a.matchLocked(q, wire.String(m.Payload))
	}
	a.mu.Unlock()
	a.drop("passed_over", passed)
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

// matchReach bounds how far an echo is looked for in the queue.
const matchReach = 1024

// matchLocked drops the entry that the holder appended, and those before it:
// the holder appends in order, so it never got them.
func (a *Appender) matchLocked(q *queue, payload string) (passed int) {
	for i, e := range q.entries[:min(len(q.entries), matchReach)] {
		if e.payload == payload {
			a.popLocked(q, i+1)
			return i
		}
	}
	return 0
}

// popLocked drops the first n entries.
func (a *Appender) popLocked(q *queue, n int) {
	for _, e := range q.entries[:n] {
		a.forgetLocked(q, e)
	}
	clear(q.entries[:n])
	q.entries = q.entries[n:]
	if len(q.entries) == 0 {
		q.entries = nil
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
		q.entries = slices.Concat(q.entries[:i], q.entries[i+1:])
	}
}

func (a *Appender) forgetLocked(q *queue, e *entry) {
	a.bytes -= len(e.payload)
	if e == q.last {
		q.last = nil
	}
}

// Cut follows the loss of the subscriptions of these channels: echoes may have
// been missed. A holder knows from Redis's answers what is in the log: it appends
// what it has and gives the lease to a node that may have received more. The
// others cannot tell, and lose an entry rather than double it.
func (a *Appender) Cut(of func(ch string) bool) {
	a.mu.Lock()
	lost := 0
	for ch, q := range a.queues {
		if !of(ch) {
			continue
		}
		q.release, q.other = true, false
		if q.role == holder {
			if len(q.entries) > 0 {
				q.last = q.entries[len(q.entries)-1]
			}
		} else {
			q.role, q.fence = follower, false
			lost += len(q.entries)
			a.popLocked(q, len(q.entries))
		}
		a.activeLocked(q)
	}
	a.mu.Unlock()
	a.drop("uncertain", lost)
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
