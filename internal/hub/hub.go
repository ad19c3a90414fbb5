// Package hub knows who on this node listens to what, and carries what the
// engine hands over to them, in order and without a hole (D1, D5, D6).
//
// It speaks to no client: a Subscriber takes batches and never blocks. Worker
// goroutines live while a channel has something to deliver, one goroutine
// re-checks positions; Close waits for all of them.
package hub

import (
	"context"
	"hash/maphash"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/metrics"
)

// Subscriber takes what comes in a channel. Calls for one subscription never
// overlap. Neither method may block.
type Subscriber interface {
	// Deliver takes messages in order. The batch is only lent.
	Deliver(*message.Batch)
	// Gap says that messages were lost for good; what is delivered next
	// follows g.Now.
	Gap(g message.Gap)
}

// Present is a Subscriber that shows in its channel's presence.
type Present interface {
	Member() engine.Member
}

// Config is what New needs.
type Config struct {
	Engine engine.Engine
	Rules  *channel.Rules
	Log    *slog.Logger
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
	engine     engine.Engine
	rules      *channel.Rules
	log        *slog.Logger
	leaveAfter time.Duration
	coalesce   time.Duration
	Metrics    Metrics

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // every goroutine of the hub
	closing sync.RWMutex   // held to begin a goroutine, and by Close to begin none any more

	seed   maphash.Seed
	shards [shardCount]shard

	checking rechecker
	reading  chan struct{} // one per log that is read for joins
	opening  chan struct{} // one per room that reads while it opens
}

// shardCount keeps joins of different channels apart. A power of two.
const shardCount = 64

type shard struct {
	mu       sync.RWMutex
	closed   bool
	channels map[string]*room
}

// ErrClosed: the hub was closed.
var ErrClosed = engine.ErrClosed

// New returns a hub that feeds from nothing until it is given to Engine.Start.
func New(c Config) *Hub {
	if c.LeaveAfter == 0 {
		c.LeaveAfter = 5 * time.Second
	}
	h := &Hub{engine: c.Engine, rules: c.Rules, log: c.Log, leaveAfter: c.LeaveAfter, coalesce: c.Coalesce, seed: maphash.MakeSeed()}
	h.life, h.end = context.WithCancel(context.Background())
	for i := range h.shards {
		h.shards[i].channels = map[string]*room{}
	}
	h.checking.hub = h
	h.reading = make(chan struct{}, readersMost)
	h.opening = make(chan struct{}, openersMost)
	return h
}

// Close ends all deliveries and waits for the hub's goroutines. Subscribers
// are told nothing: their sessions end before the hub does.
func (h *Hub) Close() {
	h.closing.Lock()
	h.end()
	h.closing.Unlock()
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		s.closed = true
		for _, r := range s.channels {
			r.stopTimer()
		}
		s.mu.Unlock()
	}
	h.running.Wait()
}

func (h *Hub) shard(name string) *shard {
	return &h.shards[maphash.String(h.seed, name)&(shardCount-1)]
}

func (h *Hub) find(name string) *room {
	s := h.shard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.channels[name]
}

// Intern returns the name as this node has it already where somebody listens,
// and else a copy. Names come cut out of requests, which they would keep alive.
func (h *Hub) Intern(name string) string {
	if r := h.find(name); r != nil {
		return r.name
	}
	return strings.Clone(name)
}

// start runs f as one of the hub's goroutines unless the hub is closed.
func (h *Hub) start(f func()) bool {
	if !h.begin() {
		return false
	}
	go func() {
		defer h.running.Done()
		f()
	}()
	return true
}

// begin counts the caller's goroutine among those that Close waits for, until
// running.Done, unless the hub is closed.
func (h *Hub) begin() bool {
	h.closing.RLock()
	defer h.closing.RUnlock()
	if h.life.Err() != nil {
		return false
	}
	h.running.Add(1)
	return true
}

// Receive implements engine.Sink.
func (h *Hub) Receive(m *message.Message) {
	if r := h.find(m.Channel); r != nil {
		h.Metrics.Received.Add(1)
		r.receive(m)
	}
}

// ReceiveHere implements engine.Sink.
func (h *Hub) ReceiveHere(m *message.Message) {
	if r := h.find(m.Channel); r != nil {
		h.Metrics.Received.Add(1)
		r.receiveHere(m)
	}
}

// Recheck implements engine.Sink.
func (h *Hub) Recheck(names ...string) { h.checking.ask(names) }

// Channels implements engine.Sink.
func (h *Hub) Channels() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.shards {
			for _, r := range h.shards[i].rooms() {
				if !yield(r.name) {
					return
				}
			}
		}
	}
}

func (s *shard) rooms() []*room {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*room, 0, len(s.channels))
	for _, r := range s.channels {
		list = append(list, r)
	}
	return list
}

// Members implements engine.Sink.
func (h *Hub) Members(name string) iter.Seq[engine.Member] {
	return func(yield func(engine.Member) bool) {
		r := h.find(name)
		if r == nil || !r.rule.Presence || !r.isReady() {
			return
		}
		for _, s := range r.snapshot() {
			if p, ok := s.to.(Present); ok && s.state.Load() != left && !yield(p.Member()) {
				return
			}
		}
	}
}

// ErrNoPresence: the channel's rule keeps no presence.
var ErrNoPresence = &fault.Fault{Kind: fault.NoPresence}

// Presence answers who is in a channel, on all nodes.
func (h *Hub) Presence(ctx context.Context, name string) ([]engine.Member, error) {
	if !h.rules.For(name).Presence {
		return nil, ErrNoPresence
	}
	return h.engine.Members(ctx, name)
}

// room finds or makes the room and counts one use. It waits for a room that
// is being left, which takes no I/O. since is what the first user has.
func (h *Hub) room(name string, since *message.Position) (*room, error) {
	s := h.shard(name)
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		r := s.channels[name]
		if r == nil {
			r = newRoom(h, name)
			s.channels[name] = r
			h.Metrics.Channels.Add(1)
			r.first = newOpening(since)
			h.start(r.open)
		}
		ok := r.use()
		s.mu.Unlock()
		if ok {
			return r, nil
		}
		<-r.gone
	}
}

// drop takes a room out of the hub.
func (h *Hub) drop(r *room) {
	s := h.shard(r.name)
	s.mu.Lock()
	if s.channels[r.name] == r {
		delete(s.channels, r.name)
		h.Metrics.Channels.Add(-1)
	}
	s.mu.Unlock()
	close(r.gone)
}
