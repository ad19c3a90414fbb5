package plain

import (
	"context"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// replayMost bounds how much of a log one replay reads.
const replayMost = 4096

// replayFresh is how long what was read counts as what the log has.
const replayFresh = 20 * time.Millisecond

// echoes is how far a queue has followed the log.
type echoes struct {
	seen message.Position // up to here
	at   int              // where in the queue the next echo is looked for first
	// passed: the holder appended what followed the first entry, and so never
	// received that.
	passed bool

	// After a cut echoes are taken from the log, until they come live without a
	// gap.
	unsure bool
	cuts   int
	heard  bool             // something came live since the cut
	top    message.Position // the newest message that came live since
	read   time.Time        // when the log was last read
	failed time.Time        // when that failed
}

// heardLocked notes that something came live, and tells whether it is left to
// the replay.
func (a *Appender) heardLocked(q *queue, at message.Position) bool {
	if !q.unsure {
		return false
	}
	q.heard = true
	if at.Epoch != "" {
		q.top = at
	}
	a.activeLocked(q)
	return true
}

// seenLocked notes a position that is further than what was seen.
func (q *queue) seenLocked(p message.Position) {
	if p.Epoch != q.seen.Epoch || p.Offset > q.seen.Offset {
		q.seen = p
	}
}

// replayDue returns how long to wait before the log is read. Once something has
// come live no echo can fall between the log and live; a node that has the lease
// finds in the log all that was ever appended; and one that asks for the lease
// says how old its oldest entry is, which must not be one that the log has.
func (q *queue) replayDue(now time.Time) time.Duration {
	due := q.failed.Add(leasePatience).Sub(now)
	if q.heard || q.role == fencing {
		return due
	}
	return max(due, q.takeDue(now), q.read.Add(replayFresh).Sub(now))
}

// replay takes echoes from the log.
func (a *Appender) replay(ctx context.Context, q *queue) {
	a.mu.Lock()
	r := replay{since: q.seen, cuts: q.cuts, heard: q.heard}
	if q.role == fencing {
		r.token = q.token
	}
	ch := q.channel
	a.mu.Unlock()
	page, err := a.Read(ctx, ch, engine.Query{Since: &r.since, Limit: replayMost})
	a.mu.Lock()
	lost := a.replayedLocked(q, r, page, err)
	a.mu.Unlock()
	a.drop("uncertain", lost)
}

// replay is how a queue stood when it began to read the log.
type replay struct {
	since message.Position
	cuts  int
	heard bool
	token string // of a lease that it had
}

func (a *Appender) replayedLocked(q *queue, r replay, page engine.Page, err error) (lost int) {
	a.activeLocked(q)
	if !q.unsure || q.role == holder || len(q.entries) == 0 {
		return 0 // its end or its tenure came first
	}
	if err != nil {
		q.failed = time.Now()
		return 0
	}
	q.read = time.Now()
	if page.Gap != "" {
		// What stood there cannot be known any more.
		lost = len(q.entries)
		a.popLocked(q, lost)
		q.seen = page.Top
		return lost
	}
	for _, m := range page.Messages {
		a.echoLocked(q, m)
	}
	if len(page.Messages) == replayMost {
		return 0
	}
	q.seen = page.Top
	// What came live before this reading is in it, unless it came meanwhile.
	if r.heard && q.cuts == r.cuts && (q.top.Epoch != q.seen.Epoch || q.top.Offset <= q.seen.Offset) {
		q.unsure = false
	}
	if r.token != "" && q.role == fencing && q.token == r.token {
		q.promoteLocked()
	}
	return 0
}
