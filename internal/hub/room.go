package hub

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/message"
)

// room is one channel as this node sees it: its subscribers, how far it has
// delivered, and what is still to be delivered.
type room struct {
	// Set at construction.
	hub    *Hub
	name   string
	rule   *channel.Rule
	opened chan struct{} // closed when the engine listens, or failed
	gone   chan struct{} // closed when the room is out of the hub

	failed error // why open failed; read after opened

	before []byte // the payload delivered last; owned by the worker

	reads reader // for who comes back; guards itself

	mu      sync.Mutex // guards what follows; memory only
	ready   bool       // open succeeded: workers may run
	first   *opening   // what open reads; nil once it is ready
	uses    int        // subscriptions, and joins under way
	leaving bool
	leave   *time.Timer // runs while uses is 0

	subs []*Subscription // appended to, never changed in place: snapshots stay valid
	dead int             // how many of them have left

	at       message.Position // all subscribers in subs have everything up to here
	inbox    []*message.Message
	bytes    int  // payload bytes in inbox
	check    bool // the log may have more, or another timeline
	working  bool // somebody takes turns
	retrying bool // a worker waits to read the log again
	pace     pace
}

// inboxLimit bounds what waits for a channel's worker, in payload bytes and
// messages: some seconds of a fast channel. Past it the log is read instead.
const (
	inboxBytes    = 8 << 20
	inboxMessages = 8192
)

// openTimeout bounds how long a first subscriber waits for the engine.
const openTimeout = 5 * time.Second

func newRoom(h *Hub, name string) *room {
	r := &room{hub: h, name: name, rule: h.rules.For(name), opened: make(chan struct{}), gone: make(chan struct{})}
	r.reads.room = r
	return r
}

// open makes the engine listen and learns where the log stands and what the
// first user missed. Messages that come in between wait in the inbox, so there
// is no window (D3).
func (r *room) open() {
	ctx, cancel := context.WithTimeout(r.hub.life, openTimeout)
	defer cancel()
	query, done := r.hub.openingQuery(r)
	page, err := r.hub.engine.Subscribe(ctx, r.name, query)
	done()
	if err != nil {
		r.fail(err)
		return
	}
	r.mu.Lock()
	r.at = page.Top
	r.ready = true
	r.first.answered(query, page)
	r.first = nil
	for _, s := range r.subs {
		s.join.Load().at = r.at // not live before opened is closed
	}
	r.scheduleLocked()
	if r.uses == 0 { // whoever asked gave up meanwhile
		r.idleLocked()
	}
	r.mu.Unlock()
	close(r.opened)
}

// fail gives the room up; joins that wait for it get the error.
func (r *room) fail(err error) {
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	r.failed = err
	r.hub.engine.Unsubscribe(r.name)
	r.hub.drop(r)
	close(r.opened)
}

// use counts one more use, unless the room is being left.
func (r *room) use() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaving {
		return false
	}
	r.uses++
	if r.leave != nil {
		r.leave.Stop()
		r.leave = nil
	}
	return true
}

// release takes one use back. The last one starts the time after which the
// node stops listening.
func (r *room) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses--
	if r.uses == 0 {
		r.idleLocked()
	}
}

func (r *room) idleLocked() {
	if r.ready && !r.leaving && r.hub.life.Err() == nil {
		r.leave = time.AfterFunc(r.hub.leaveAfter, r.depart)
	}
}

func (r *room) stopTimer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leave != nil {
		r.leave.Stop()
	}
	if r.pace.timer != nil {
		r.pace.timer.Stop()
	}
}

// depart ends listening if still nobody uses the room. A join that comes
// meanwhile waits for gone, so the engine never sees the two out of order.
func (r *room) depart() {
	r.mu.Lock()
	if r.uses > 0 || r.leaving || !r.ready {
		r.mu.Unlock()
		return
	}
	r.leaving = true
	r.mu.Unlock()
	r.hub.engine.Unsubscribe(r.name)
	r.hub.drop(r)
}

// add puts s among the subscribers: it gets everything after the position
// that it is told, now or when the room opens. Then what the room reads while
// it opens is returned; it is to be looked at when the room is open.
func (r *room) add(s *Subscription) *opening {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs = append(r.subs, s)
	r.hub.Metrics.Subscriptions.Add(1)
	s.join.Load().at = r.at
	return r.first
}

func (r *room) isReady() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// remove forgets one subscription that has left. The list is only rebuilt
// when half of it is dead, so that ten thousand leaving cost no more than
// their number.
func (r *room) remove() {
	r.mu.Lock()
	r.dead++
	if r.dead > 16 && r.dead > len(r.subs)/2 || r.dead == len(r.subs) {
		r.compactLocked()
	}
	r.mu.Unlock()
	r.hub.Metrics.Subscriptions.Add(-1)
	r.release()
}

func (r *room) compactLocked() {
	alive := make([]*Subscription, 0, len(r.subs)-r.dead)
	for _, s := range r.subs {
		if s.state.Load() != left {
			alive = append(alive, s)
		}
	}
	if len(alive) == 0 {
		alive = nil
	}
	// Some may have left since: their own remove still comes and counts them.
	r.dead -= len(r.subs) - len(alive)
	r.subs = alive
}

func (r *room) snapshot() []*Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.subs[:len(r.subs):len(r.subs)]
}

// receive queues a message from the engine. It never blocks; when the inbox
// is full the message is left to the log.
func (r *room) receive(m *message.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queueLocked(m)
	r.scheduleLocked()
}

// hereMost is how many receivers a publisher's goroutine serves by itself: as
// long as that takes less than it takes another one to begin.
const hereMost = 32

// receiveHere is receive on a publisher's goroutine, which delivers to a few.
func (r *room) receiveHere(m *message.Message) {
	r.mu.Lock()
	r.queueLocked(m)
	if len(r.subs) > hereMost {
		r.scheduleLocked()
		r.mu.Unlock()
		return
	}
	mine := r.dueLocked() && r.hub.begin()
	r.working = r.working || mine
	r.mu.Unlock()
	if mine {
		r.turnHere()
		r.hub.running.Done()
	}
}

// turnHere takes one turn and leaves what came meanwhile to a worker. A panic
// ends the process, as it does on a worker: somebody has missed something, and
// the publisher's goroutine would take it for a fault of the publisher's.
func (r *room) turnHere() {
	defer func() {
		if fault := recover(); fault != nil {
			text := fmt.Sprintf("delivery in %q: %v\n%s", r.name, fault, debug.Stack())
			go panic(text)
			select {}
		}
	}()
	if !r.turn() {
		return
	}
	r.mu.Lock()
	r.working = false
	r.scheduleLocked()
	r.mu.Unlock()
}

func (r *room) queueLocked(m *message.Message) {
	if len(r.inbox) >= inboxMessages || r.bytes+len(m.Payload) > inboxBytes && len(r.inbox) > 0 {
		r.hub.Metrics.Overflows.Add(1)
		r.check = r.check || m.Logged() // what is owed already stays owed
		return
	}
	r.inbox = append(r.inbox, m)
	r.bytes += len(m.Payload)
}

// recheck makes a worker compare with the log.
func (r *room) recheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.check = true
	r.scheduleLocked()
}

// scheduleLocked starts a worker if there is work for one.
func (r *room) scheduleLocked() {
	if r.dueLocked() {
		r.working = r.hub.start(r.run)
	}
}

// dueLocked tells whether somebody has to begin to work.
func (r *room) dueLocked() bool {
	return r.ready && !r.working && !r.retrying && (len(r.inbox) > 0 || r.check) && !r.holdLocked()
}
