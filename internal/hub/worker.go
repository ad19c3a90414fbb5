package hub

import (
	"context"
	"math/rand/v2"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// step is one thing to hand to all subscribers, in order: messages, or the
// news that some are lost.
type step struct {
	batch  []*message.Message
	before []byte // the payload before the batch
	gap    *message.Gap
}

// run is a room's worker: it takes turns while there is something to do, then
// ends.
func (r *room) run() {
	for r.turn() && r.more() {
	}
}

// more tells whether there is another turn to take now, or ends the work.
func (r *room) more() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.working = false
	r.working = r.dueLocked()
	return r.working
}

// turn takes what came in and delivers it. False: the log could not be read or
// the hub is closed, and the work has ended. Three phases keep the promise of
// D3. First what came in is put in order against the log, without the lock,
// for that may read it. Then, in one locked moment, the new position and the
// list of receivers are fixed: who joins before is on the list, who joins
// after begins behind. Then it is delivered.
func (r *room) turn() bool {
	at, inbox, check, ok := r.take()
	if !ok {
		return false
	}
	steps, next, err := r.arrange(at, inbox, check)
	r.remember(steps)
	r.deliver(steps, r.commit(next))
	if err != nil {
		r.retryLater()
	}
	return err == nil
}

// remember tells each batch the payload before it, where clients may ask for
// differences. Only payloads are kept, never chains of messages.
func (r *room) remember(steps []step) {
	if !r.rule.Delta {
		return
	}
	for i := range steps {
		steps[i].before = r.before
		if steps[i].gap != nil {
			r.before = nil
		}
		for _, m := range steps[i].batch {
			if m.Kind == message.Published {
				r.before = m.Payload
			}
		}
	}
}

// take empties the inbox, or ends the work when the hub is closed.
func (r *room) take() (at message.Position, inbox []*message.Message, check, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hub.life.Err() != nil {
		r.working = false
		return at, nil, false, false
	}
	inbox, check = r.inbox, r.check
	r.inbox, r.bytes, r.check = nil, 0, false
	r.pace.beganLocked()
	return r.at, inbox, check, true
}

func (r *room) position() message.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *room) commit(next message.Position) []*Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = next
	return r.subs[:len(r.subs):len(r.subs)]
}

// arrange puts the inbox behind at, in offset order, without hole or repeat,
// and reads the log where something is missing (D6). An error says that the
// log could not be read: what follows the hole is left to the next try.
func (r *room) arrange(at message.Position, inbox []*message.Message, check bool) ([]step, message.Position, error) {
	var steps []step
	if check {
		more, next, err := r.fill(at)
		if err != nil {
			return nil, at, err
		}
		steps, at = more, next
	}
	for i := 0; i < len(inbox); i++ {
		m := inbox[i]
		switch {
		case !m.Logged() || r.rule.Log.Size == 0:
			steps = appendMessage(steps, m)
		case m.Epoch == at.Epoch && m.Offset <= at.Offset:
			// Seen already.
		case m.Epoch == at.Epoch && m.Offset == at.Offset+1:
			steps = appendMessage(steps, m)
			at = m.Position
		default:
			more, next, err := r.fill(at)
			if err != nil {
				return steps, at, err
			}
			if next == at {
				continue // of a timeline that the log has left, or not readable yet
			}
			steps = append(steps, more...)
			at = next
			i-- // look at it again from the new position
		}
	}
	return steps, at, nil
}

func appendMessage(steps []step, m *message.Message) []step {
	if n := len(steps); n > 0 && steps[n-1].gap == nil {
		steps[n-1].batch = append(steps[n-1].batch, m)
		return steps
	}
	return append(steps, step{batch: []*message.Message{m}})
}

// fillTimeout bounds one reading of the log; fillPage is how many messages it
// asks for, so that a long log never stands in memory as a whole.
const (
	fillTimeout = 5 * time.Second
	fillPage    = 1000
)

// fill reads what the log has after at.
func (r *room) fill(at message.Position) ([]step, message.Position, error) {
	if r.rule.Log.Size == 0 {
		return nil, at, nil
	}
	r.hub.Metrics.Fills.Add(1)
	var steps []step
	for {
		ctx, cancel := context.WithTimeout(r.hub.life, fillTimeout)
		page, err := r.hub.engine.History(ctx, r.name, engine.Query{Since: &at, Limit: fillPage})
		cancel()
		if err != nil {
			return steps, at, err
		}
		if page.Gap != "" {
			r.hub.Metrics.Gaps.Add(1)
			gap := &message.Gap{Channel: r.name, From: at, Now: page.Top, Reason: page.Gap}
			return append(steps, step{gap: gap}), page.Top, nil
		}
		for _, m := range page.Messages {
			steps = appendMessage(steps, m)
			at = m.Position
		}
		if len(page.Messages) < fillPage {
			// The same place under the log's present name: after a harmless
			// failover the epoch is new and nothing is missing (D10).
			if page.Top.Offset == at.Offset {
				at = page.Top
			}
			return steps, at, nil
		}
	}
}

// retryLater ends the worker and begins it again after a while: the log could
// not be read, and the engine tells when it can be, but may have told already.
func (r *room) retryLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.working, r.retrying, r.check = false, true, true
	wait := 100*time.Millisecond + rand.N(400*time.Millisecond)
	started := r.hub.start(func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.hub.life.Done():
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.retrying = false
		r.scheduleLocked()
	})
	r.retrying = started
}
