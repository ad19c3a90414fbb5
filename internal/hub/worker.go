package hub

import (
	"magpie/internal/message"
)

// worker is what a channel's deliveries need from one turn to the next.
type worker struct {
	// Guarded by channelState.mu.
	at       message.Position // all receivers have everything up to here
	working  bool             // a goroutine takes turns
	retrying bool             // a goroutine waits to read the log again

	before []byte // the payload delivered last; owned by who takes turns
}

// run takes turns while there is something to do.
func (c *channelState) run() {
	for c.turn() && c.more() {
	}
}

// more tells whether there is another turn to take now, or ends the work.
func (c *channelState) more() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worker.working = false
	return c.claimLocked()
}

// turn takes what came in and delivers it. False: the log could not be read or
// the hub is closed, and the work has ended. Three phases keep the promise of
// D3. First what came in is put in order against the log, without the lock,
// for that may read it. Then the new position and the list of receivers are
// fixed in one locked moment: who joined before is on the list, who joins
// after is told the new position. Then it is delivered.
func (c *channelState) turn() bool {
	at, inbox, ok := c.takeInbox()
	if !ok {
		return false
	}
	steps, next, err := c.arrange(at, inbox.messages, inbox.check)
	c.setBefore(steps)
	c.deliver(steps, c.commit(next))
	if err != nil {
		c.retryLater()
	}
	return err == nil
}

// takeInbox empties the inbox, or ends the work when the hub is closed.
func (c *channelState) takeInbox() (at message.Position, taken inbox, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hub.life.Err() != nil {
		return at, taken, false
	}
	taken, c.inbox = c.inbox, inbox{}
	c.pace.startedLocked()
	return c.worker.at, taken, true
}

// setBefore tells each batch the payload before it, where clients may ask for
// differences. Only payloads are kept, never chains of messages.
func (c *channelState) setBefore(steps []step) {
	if !c.rule.Delta {
		return
	}
	w := &c.worker
	for i := range steps {
		steps[i].before = w.before
		if steps[i].gap != nil {
			w.before = nil
		}
		for _, m := range steps[i].batch {
			if m.Kind == message.Published {
				w.before = m.Payload
			}
		}
	}
}

func (c *channelState) commit(next message.Position) []*Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worker.at = next
	return c.receivers.snapshotLocked()
}

func (c *channelState) position() message.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worker.at
}
