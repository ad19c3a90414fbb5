package ws

import (
	"sync"

	"magpie/internal/transport/socket"
)

// workers run handlers: a queue of connections that have something to handle,
// and goroutines that are started when one is added and end when it is empty. A
// goroutine that would wait for work costs more than one that is started.
type workers struct {
	// set at construction
	max   int
	conns *socket.Conns[*watched]

	mu sync.Mutex
	// guarded by mu
	head, tail *Conn // linked through Conn.next
	running    int
}

// add queues c. The caller has set c.running, so that c is queued once.
func (w *workers) add(c *Conn) {
	w.mu.Lock()
	w.pushLocked(c)
	start := w.running < w.max
	if start {
		w.running++
	}
	w.mu.Unlock()
	if start {
		w.conns.Acquire()
		go w.run()
	}
}

func (w *workers) pushLocked(c *Conn) {
	if w.tail == nil {
		w.head = c
	} else {
		w.tail.next = c
	}
	w.tail = c
}

// run works through the queue. A connection with much to do goes to its end
// again and again, so that the others have their turn.
func (w *workers) run() {
	defer w.conns.Release()
	for c := w.next(nil); c != nil; c = w.next(c.work()) {
	}
}

// next queues again, if it is not nil, and takes the first in the queue; nil
// ends the worker.
func (w *workers) next(again *Conn) *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if again != nil {
		w.pushLocked(again)
	}
	c := w.head
	if c == nil {
		w.running--
		return nil
	}
	if w.head = c.next; w.head == nil {
		w.tail = nil
	}
	c.next = nil
	return c
}
