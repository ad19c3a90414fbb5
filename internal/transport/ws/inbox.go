package ws

import (
	"fmt"
	"runtime/debug"
	"sync"

	"magpie/internal/fault"
)

// fairShare is how many messages of one connection a worker, or its reader,
// handles before it looks at the others.
const fairShare = 16

type item struct {
	op       Op
	deflated bool
	payload  []byte
}

// inbox is what waits for the handler. A connection has one only while
// something does.
type inbox struct {
	items []item
	first int
	bytes int
}

var inboxes = sync.Pool{New: func() any { return new(inbox) }}

// pop takes the first item and tells whether it was the last.
func (in *inbox) pop() (it item, last bool) {
	it = in.items[in.first]
	in.items[in.first] = item{}
	in.first++
	in.bytes -= len(it.payload)
	return it, in.first == len(in.items)
}

func (in *inbox) release() {
	in.items, in.first = in.items[:0], 0
	inboxes.Put(in)
}

// push handles a message at once, if that needs no waiting, no work and none is
// before it, or else hands it to the workers. It tells whether the inbox is full
// then. After the connection's end messages are dropped.
func (c *Conn) push(it item) (full bool) {
	h, immediate := c.h.(Immediate)
	c.mu.Lock()
	if c.closedLocked() {
		c.mu.Unlock()
		return false
	}
	if immediate && !it.deflated && !c.running && c.immediate < fairShare {
		c.immediate++
		c.running = true // the handler is ours now, as it is a worker's otherwise
		c.mu.Unlock()
		it.payload = c.now(h, it)
		c.mu.Lock()
		if it.payload == nil {
			c.yieldLocked()
			return false
		}
		c.running = false
	}
	return c.queueLocked(it)
}

// now runs the handler on the reader's goroutine.
func (c *Conn) now(h Immediate, it item) (rest []byte) {
	defer c.caught()
	return h.Now(it.op, it.payload)
}

// yieldLocked gives the handler back, to a worker if there is something for
// it. It unlocks mu.
func (c *Conn) yieldLocked() {
	c.running = false
	if c.inbox != nil || c.paused || c.closedLocked() && !c.reported {
		c.workLocked()
		return
	}
	c.mu.Unlock()
}

// workLocked hands c to a worker, unless one has it. It unlocks mu.
func (c *Conn) workLocked() {
	start := !c.running
	c.running = true
	c.mu.Unlock()
	if start {
		c.srv.workers.add(c)
	}
}

// queueLocked puts a message into the inbox. It unlocks mu.
func (c *Conn) queueLocked(it item) (full bool) {
	if c.inbox == nil {
		c.inbox = inboxes.Get().(*inbox)
	}
	in := c.inbox
	in.items = append(in.items, it)
	in.bytes += len(it.payload)
	full = len(in.items)-in.first >= inboxMessages || in.bytes >= c.srv.cfg.MaxMessage
	c.workLocked()
	return full
}

// work handles some of what waits and returns c if more does, else nil. It runs
// on a worker, never twice at a time for one connection.
func (c *Conn) work() (again *Conn) {
	again = c // in case of a panic
	defer c.caught()
	for range fairShare {
		if !c.step() {
			return nil
		}
	}
	return c
}

// caught ends the connection when its handler panicked. To be deferred.
func (c *Conn) caught() {
	if r := recover(); r != nil {
		c.srv.cfg.Log.Error("websocket handler panicked", "panic", r, "stack", string(debug.Stack()))
		c.fail(&violation{fault.ReasonError, codeInternal, fmt.Sprint("handler panicked: ", r), false}, false)
	}
}

// message gives a message to the handler. One that cannot be inflated ends the
// connection, and those behind it are not handled.
func (c *Conn) message(it item) {
	if it.deflated {
		var v *violation
		if it.payload, v = inflate(it.op, it.payload, c.srv.cfg.MaxMessage); v != nil {
			c.fail(v, false)
			c.mu.Lock()
			c.inbox = nil
			c.mu.Unlock()
			return
		}
	}
	c.h.Message(it.op, it.payload)
}

// step does the next thing there is to do: the messages in order, then, when
// reading was paused, more reading, then the end. False: nothing is left.
func (c *Conn) step() bool {
	c.mu.Lock()
	if in := c.inbox; in != nil {
		it, last := in.pop()
		if last {
			c.inbox = nil
			in.release()
		}
		c.mu.Unlock()
		c.message(it)
		return true
	}
	if c.paused {
		c.paused = false
		c.mu.Unlock()
		c.readOn()
		return true
	}
	if c.closedLocked() && !c.reported {
		c.reported = true
		c.mu.Unlock()
		c.report(c.closing)
		return true
	}
	c.running = false
	c.mu.Unlock()
	return false
}
