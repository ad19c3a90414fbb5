// Package hub knows who on this node listens to what, and delivers what the
// engine hands over to them, in order and without a hole (D1, D5, D6).
//
// It knows no client: a Subscriber takes batches and never blocks. A worker
// goroutine lives while a channel has something to deliver, others while a
// channel is opened, a log is read or positions are compared. Close waits for
// all of them.
package hub

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/metrics"
)

// Subscriber takes what comes in a channel. Calls for one subscription never
// overlap. Neither method may block.
type Subscriber interface {
	// Deliver takes messages in order. The batch is valid during the call only.
	Deliver(*message.Batch)
	// Gap says that messages were lost for good; what is delivered next
	// follows g.Now.
	Gap(g message.Gap)
}

// Config is what New needs.
type Config struct {
	Engine engine.Engine
	Rules  *channel.Rules
	// LeaveAfter is how long a channel that nobody on this node listens to is
	// kept, so that a page reload costs the engine nothing. 0 means 5 s.
	LeaveAfter time.Duration
	// Coalesce is how long messages of a burst may wait to leave together. 0:
	// each leaves as soon as it can.
	Coalesce time.Duration
}

// Metrics counts the hub's work.
type Metrics struct {
	Deliveries    metrics.Counter // messages × receivers
	Received      metrics.Counter // messages from the engine
	Fills         metrics.Counter // times the log had to be read because an offset was missing
	Gaps          metrics.Counter // times it did not help
	Overflows     metrics.Counter // messages dropped because a channel's inbox was full
	Channels      metrics.Gauge
	Subscriptions metrics.Gauge
}

// Hub implements engine.Sink. All methods are safe for concurrent use.
type Hub struct {
	// Set at construction.
	engine     engine.Engine
	rules      *channel.Rules
	leaveAfter time.Duration
	coalesce   time.Duration
	Metrics    Metrics

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // every goroutine of the hub
	closing sync.RWMutex   // held to start a goroutine, and by Close to stop that

	seed   maphash.Seed
	shards [shardCount]shard

	rechecks   rechecker
	reads      chan struct{} // one slot for each log that is read for joins
	firstReads chan struct{} // one slot for each channel that reads while it opens
}

// ErrClosed: the hub was closed.
var ErrClosed = engine.ErrClosed

// New returns a hub that receives nothing until it is given to Engine.Start.
func New(c Config) *Hub {
	if c.LeaveAfter == 0 {
		c.LeaveAfter = 5 * time.Second
	}
	h := &Hub{engine: c.Engine, rules: c.Rules, leaveAfter: c.LeaveAfter, coalesce: c.Coalesce, seed: maphash.MakeSeed(),
		reads: make(chan struct{}, maxReads), firstReads: make(chan struct{}, maxFirstReads)}
	h.life, h.end = context.WithCancel(context.Background())
	for i := range h.shards {
		h.shards[i].channels = map[string]*channelState{}
	}
	h.rechecks.hub = h
	return h
}

// Close ends all deliveries and waits for the hub's goroutines. Subscribers
// are not told: their sessions end before the hub does.
func (h *Hub) Close() {
	h.closing.Lock()
	h.end()
	h.closing.Unlock()
	h.running.Wait()
}

// start runs f as one of the hub's goroutines unless the hub is closed.
func (h *Hub) start(f func()) bool {
	if !h.track() {
		return false
	}
	go func() {
		defer h.running.Done()
		f()
	}()
	return true
}

// track counts the caller's goroutine among those that Close waits for, until
// running.Done, unless the hub is closed.
func (h *Hub) track() bool {
	h.closing.RLock()
	defer h.closing.RUnlock()
	if h.life.Err() != nil {
		return false
	}
	h.running.Add(1)
	return true
}

// sleep waits, or returns false as soon as the hub is closed.
func (h *Hub) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.life.Done():
		return false
	}
}

// Receive implements engine.Sink.
func (h *Hub) Receive(m *message.Message) {
	if c := h.find(m.Channel); c != nil {
		h.Metrics.Received.Add(1)
		c.receive(m)
	}
}

// ReceiveInline implements engine.Sink.
func (h *Hub) ReceiveInline(m *message.Message) {
	if c := h.find(m.Channel); c != nil {
		h.Metrics.Received.Add(1)
		c.receiveInline(m)
	}
}

// Recheck implements engine.Sink.
func (h *Hub) Recheck(names ...string) { h.rechecks.request(names) }
