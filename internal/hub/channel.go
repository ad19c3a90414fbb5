package hub

import (
	"context"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/message"
)

// channelState is one channel as this node sees it: who listens to it, how far
// it was delivered, and what is still to be delivered.
type channelState struct {
	// Set at construction.
	hub     *Hub
	name    string
	rule    *channel.Rule
	opened  chan struct{} // closed when the engine listens, or when that failed
	removed chan struct{} // closed when the hub has forgotten the channel

	failed error // why the engine does not listen; read after opened

	catchUp catchUp // for those who come back; guards itself

	mu        sync.Mutex // guards what follows but where it says otherwise; memory only
	use       use
	receivers receivers
	inbox     inbox
	pace      pace
	worker    worker
}

// use is whether and how long the node listens to the channel.
type use struct {
	ready   bool       // the engine listens: workers may run
	first   *firstRead // what the engine is asked at first; nil once it is ready
	count   int        // subscriptions, and joins under way
	leaving bool       // the channel takes no use any more
	timer   *time.Timer
}

// openTimeout bounds how long a first subscriber waits for the engine.
const openTimeout = 5 * time.Second

func newChannelState(h *Hub, name string, since *message.Position) *channelState {
	c := &channelState{hub: h, name: name, rule: h.rules.For(name), opened: make(chan struct{}), removed: make(chan struct{})}
	c.catchUp.channel = c
	c.use.first = &firstRead{since: since}
	return c
}

// open makes the engine listen and learns where the log stands and what the
// first user missed. Messages that come in between wait in the inbox, so there
// is no window (D3).
func (c *channelState) open() {
	ctx, cancel := context.WithTimeout(c.hub.life, openTimeout)
	defer cancel()
	first := c.use.first // written before and after open only
	query, done := c.hub.firstQuery(first, c.rule)
	page, err := c.hub.engine.Subscribe(ctx, c.name, query)
	done()
	if err != nil {
		c.fail(err)
		return
	}
	first.answered(query, page)
	c.mu.Lock()
	c.use.ready, c.use.first = true, nil
	c.worker.at = page.Top
	for _, s := range c.receivers.list {
		s.join.Load().joinedAt = page.Top // none is live before opened is closed
	}
	c.scheduleLocked()
	c.leaveLaterLocked() // if whoever asked gave up meanwhile
	c.mu.Unlock()
	close(c.opened)
}

// fail gives the channel up; joins that wait for it get the error.
func (c *channelState) fail(err error) {
	c.mu.Lock()
	c.use.leaving = true
	c.mu.Unlock()
	c.failed = err
	c.hub.engine.Unsubscribe(c.name)
	c.hub.remove(c)
	close(c.opened)
}

// acquire counts one more use, unless the channel is being left.
func (c *channelState) acquire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use.leaving {
		return false
	}
	c.use.count++
	if c.use.timer != nil {
		c.use.timer.Stop()
	}
	return true
}

// leaveLaterLocked starts the time after which the node stops listening, if
// nobody uses the channel.
func (c *channelState) leaveLaterLocked() {
	if c.use.count == 0 && c.use.ready {
		c.use.timer = time.AfterFunc(c.hub.leaveAfter, c.leave)
	}
}

// leave ends listening if still nobody uses the channel. A join that comes
// meanwhile waits for removed, so that the engine is never told to listen and
// to stop in the wrong order.
func (c *channelState) leave() {
	if !c.hub.track() {
		return
	}
	defer c.hub.running.Done()
	c.mu.Lock()
	if c.use.count > 0 || c.use.leaving {
		c.mu.Unlock()
		return
	}
	c.use.leaving = true
	c.mu.Unlock()
	c.hub.engine.Unsubscribe(c.name)
	c.hub.remove(c)
}

// add puts s among the receivers: it gets everything after the position that
// it is told, now or when the channel is open. In the latter case what the
// engine is asked at first is returned, to be looked at when it is open.
func (c *channelState) add(s *Subscription) *firstRead {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receivers.list = append(c.receivers.list, s)
	c.hub.Metrics.Subscriptions.Add(1)
	s.join.Load().joinedAt = c.worker.at
	return c.use.first
}

// release forgets one subscription that has left. After the last one the node
// still listens for a while.
func (c *channelState) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receivers.removeLocked()
	c.hub.Metrics.Subscriptions.Add(-1)
	c.use.count--
	c.leaveLaterLocked()
}

// present are the subscriptions once the engine listens, none before.
func (c *channelState) present() []*Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.use.ready {
		return nil
	}
	return c.receivers.snapshotLocked()
}

func (c *channelState) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, len(c.receivers.list)-c.receivers.left)
}
