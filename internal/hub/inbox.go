package hub

import (
	"fmt"
	"runtime/debug"

	"magpie/internal/message"
)

// inbox is what the engine handed over and the worker has not taken yet.
// Guarded by channelState.mu.
type inbox struct {
	messages []*message.Message
	bytes    int  // of their payloads
	check    bool // the log may have more, or another timeline
}

// maxInboxBytes and maxInboxMessages bound an inbox: some seconds of a fast
// channel. Past that the log is read instead.
const (
	maxInboxBytes    = 8 << 20
	maxInboxMessages = 8192
)

// receive queues a message from the engine. It never blocks; when the inbox
// is full the message is left to the log.
func (c *channelState) receive(m *message.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queueLocked(m)
	c.scheduleLocked()
}

// maxInline is how many receivers a publisher's goroutine serves by itself: as
// many as take less time than another goroutine takes to start.
const maxInline = 32

// receiveInline is receive on a publisher's goroutine, which also delivers when
// the receivers are few.
func (c *channelState) receiveInline(m *message.Message) {
	c.mu.Lock()
	c.queueLocked(m)
	if len(c.receivers.list) > maxInline {
		c.scheduleLocked()
		c.mu.Unlock()
		return
	}
	inline := c.claimLocked() && c.hub.track()
	c.mu.Unlock()
	if inline {
		c.turnInline()
		c.hub.running.Done()
	}
}

// turnInline takes one turn and leaves what came meanwhile to a worker. A panic
// ends the process, as it does on a worker: a receiver has missed something,
// and the publisher's goroutine would treat it as a failure of the publisher.
func (c *channelState) turnInline() {
	defer func() {
		if cause := recover(); cause != nil {
			text := fmt.Sprintf("delivery in %q: %v\n%s", c.name, cause, debug.Stack())
			go panic(text)
			select {}
		}
	}()
	if !c.turn() {
		return
	}
	c.mu.Lock()
	c.worker.working = false
	c.scheduleLocked()
	c.mu.Unlock()
}

func (c *channelState) queueLocked(m *message.Message) {
	in := &c.inbox
	if len(in.messages) >= maxInboxMessages || in.bytes+len(m.Payload) > maxInboxBytes && len(in.messages) > 0 {
		c.hub.Metrics.Overflows.Add(1)
		in.check = in.check || m.Logged() // a check that is due already stays due
		return
	}
	in.messages = append(in.messages, m)
	in.bytes += len(m.Payload)
}

// recheck makes a worker compare with the log.
func (c *channelState) recheck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.check = true
	c.scheduleLocked()
}

// scheduleLocked starts a worker if there is work for one.
func (c *channelState) scheduleLocked() {
	if c.claimLocked() {
		c.hub.start(c.run)
	}
}

// claimLocked tells whether there is work that nobody does and that need not
// wait. If so it is the caller's: only one goroutine takes turns at a time.
func (c *channelState) claimLocked() bool {
	w := &c.worker
	if !c.use.ready || w.working || w.retrying || len(c.inbox.messages) == 0 && !c.inbox.check || c.delayLocked() {
		return false
	}
	w.working = true
	return true
}
