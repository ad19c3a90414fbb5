package plain

import (
	"strconv"
	"strings"
	"time"

	"magpie/internal/engine/redis/script"
	"magpie/internal/message"
)

// role says where a node stands with a channel's lease.
type role int

const (
	follower role = iota
	taking        // asked for the lease; no answer yet
	fencing       // has the lease; its fence has not come back yet
	holder        // appends
)

// tenure is the time in which a node has a channel's lease.
type tenure struct {
	role  role
	token string    // of the present tenure, or of the one asked for
	fence bool      // the fence of token has come back
	since time.Time // when the present role started
	tried time.Time // when the lease was last asked for
	other bool      // another node holds the lease, as far as is known
	seq   uint64    // entries numbered in this tenure
	sent  string    // the token under which entries were last sent
	retry time.Time // not to be asked for again before
}

// takeDue returns how long to wait before asking for the lease.
func (q *queue) takeDue(now time.Time) time.Duration {
	if !q.retry.IsZero() {
		return q.retry.Sub(now)
	}
	left := leasePatience - now.Sub(q.tried)
	if q.other {
		left = max(left, leasePatience-now.Sub(q.entries[0].at))
	}
	return left
}

// takeLocked asks for the lease.
func (a *Appender) takeLocked(q *queue, now time.Time) op {
	a.tenures++
	// Unique among all nodes: the node's random part and a counter.
	token := a.Node[len(a.Node)-8:] + "." + strconv.FormatUint(a.tenures, 36)
	q.role, q.token, q.fence, q.tried, q.since, q.retry = taking, token, false, now, now, time.Time{}
	return op{kind: opTake, queue: q, token: token, words: q.words(now), age: now.Sub(q.entries[0].at)}
}

// words are what is said of this node to Redis when it asks for the lease
// (plain_take.lua).
func (q *queue) words(now time.Time) (words string) {
	if now.Sub(q.born) < youngTime {
		words = "young"
		if q.cuts > 0 {
			words = "young cut"
		}
	}
	if q.passed && now.Sub(q.entries[0].at) > leasePatience {
		words += " want"
	}
	return words
}

// takenLocked applies the answer to a request for the lease.
func (a *Appender) takenLocked(op op, r script.Reply) {
	q := op.queue
	if q.role != taking || q.token != op.token {
		return // the subscriptions were cut meanwhile
	}
	q.role, q.since = follower, time.Now()
	granted, last := r.Number(), r.Text()
	if err := r.Err(); err != nil {
		if script.Missing(err) {
			q.tried = time.Time{}
		}
		return
	}
	q.other = granted != 1
	if q.other {
		if again, ok := strings.CutPrefix(last, "- "); ok {
			ms, _ := strconv.Atoi(again)
			q.retry = time.Now().Add(time.Duration(ms) * time.Millisecond)
		}
		return
	}
	token, count, _ := strings.Cut(last, " ")
	switch {
	case token != "" && token == q.sent:
		// Nobody appended since this node did: the count says how far it got.
		done, _ := strconv.ParseUint(count, 10, 64)
		a.resolveLocked(q, done)
		q.promoteLocked()
	case q.fence && !q.unsure:
		q.promoteLocked()
	default:
		q.role = fencing
	}
}

// resolveLocked drops what was appended in the last tenure, up to count.
func (a *Appender) resolveLocked(q *queue, count uint64) {
	for len(q.entries) > 0 && q.entries[0].seq > 0 && q.entries[0].seq <= count {
		a.popLocked(q, 1)
	}
}

// fenced takes a fence.
func (a *Appender) fenced(ch, node, token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queues[ch]
	switch {
	case q == nil:
	case node != a.Node:
		a.heardLocked(q, message.Position{})
		q.other = true
		if q.role == holder || q.role == fencing {
			a.demoteLocked(q)
		}
	case token == q.token:
		q.fence = true
		a.heardLocked(q, message.Position{})
		if q.role == fencing && !q.unsure {
			q.promoteLocked()
			a.activeLocked(q)
		}
	}
}

// freed takes the notice that a lease was given back. Whoever has something
// to append asks for it at once.
func (a *Appender) freed(ch, node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.queues[ch]; q != nil && node != a.Node {
		a.heardLocked(q, message.Position{})
		q.other, q.tried, q.retry = false, time.Time{}, time.Time{}
		a.activeLocked(q)
	}
}

// wanted takes the notice that another node has what this one never received.
// A holder appends what it has and gives the lease back.
func (a *Appender) wanted(ch, node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.queues[ch]; q != nil && node != a.Node && q.role == holder {
		q.release, q.missed, q.last = true, false, q.newest()
		a.activeLocked(q)
	}
}

// promoteLocked starts to append: nothing in the queue is in the log.
func (q *queue) promoteLocked() {
	q.role, q.seq, q.other, q.since = holder, 0, false, time.Now()
	q.passed, q.at = false, 0
	for _, e := range q.entries {
		e.seq, e.echoed = 0, false
	}
}

// demoteLocked stops appending. What was seen in the log goes, and what was held
// through a move of the channel; the rest waits for its echo or for the next
// tenure.
func (a *Appender) demoteLocked(q *queue) {
	q.role, q.since = follower, time.Now()
	kept := q.entries[:0:0]
	for _, e := range q.entries {
		if e.echoed {
			a.forgetLocked(q, e)
			continue
		}
		kept = append(kept, e)
	}
	q.entries, q.at = kept, 0
	for len(q.entries) > 0 && q.entries[0].held {
		a.discardLocked(q)
	}
	a.activeLocked(q)
}

// releasedLocked applies the answer to a release. Without one the lease ends by
// itself.
func (a *Appender) releasedLocked(q *queue, r script.Reply) {
	if script.Missing(r.Err()) {
		q.release = true
	}
	if q.role == holder {
		a.demoteLocked(q)
		q.tried = time.Now() // others first: they may have received more
	}
	a.activeLocked(q)
}
