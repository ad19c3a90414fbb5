package hub

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"magpie/internal/message"
)

// shardCount keeps joins of different channels apart. A power of two.
const shardCount = 64

// shard is a part of the node's channels, by a hash of their names.
type shard struct {
	mu       sync.RWMutex
	channels map[string]*channelState
}

func (h *Hub) shard(name string) *shard {
	return &h.shards[maphash.String(h.seed, name)&(shardCount-1)]
}

// find returns the channel's state, nil when this node does not listen to it.
func (h *Hub) find(name string) *channelState {
	s := h.shard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.channels[name]
}

// acquire finds or makes the channel's state and counts one use of it. It waits
// for a channel that is being left. since is the position that a first user
// has; it has to open the channel.
func (h *Hub) acquire(name string, since *message.Position) (c *channelState, isFirst bool, err error) {
	s := h.shard(name)
	for {
		s.mu.Lock()
		if h.life.Err() != nil {
			s.mu.Unlock()
			return nil, false, ErrClosed
		}
		c = s.channels[name]
		if isFirst = c == nil; isFirst {
			c = newChannelState(h, name, since)
			s.channels[name] = c
			h.Metrics.Channels.Add(1)
		}
		ok := c.acquire()
		s.mu.Unlock()
		if ok {
			return c, isFirst, nil
		}
		<-c.removed
	}
}

// remove forgets a channel that the engine was told to leave.
func (h *Hub) remove(c *channelState) {
	s := h.shard(c.name)
	s.mu.Lock()
	delete(s.channels, c.name)
	s.mu.Unlock()
	h.Metrics.Channels.Add(-1)
	close(c.removed)
}

// Listens tells whether this node listens to the channel.
func (h *Hub) Listens(name string) bool { return h.find(name) != nil }

// Intern returns the name as this node has it already where somebody listens,
// and else a copy. A name that was cut out of a request would keep all of the
// request in memory.
func (h *Hub) Intern(name string) string {
	if c := h.find(name); c != nil {
		return c.name
	}
	return strings.Clone(name)
}

// all yields every channel. No lock is held while it does.
func (h *Hub) all(yield func(*channelState) bool) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		list := slices.Collect(maps.Values(s.channels))
		s.mu.RUnlock()
		for _, c := range list {
			if !yield(c) {
				return
			}
		}
	}
}

// Channels implements engine.Sink.
func (h *Hub) Channels() iter.Seq[string] {
	return func(yield func(string) bool) {
		h.all(func(c *channelState) bool { return yield(c.name) })
	}
}

// Census yields every channel that this node listens to with the number of
// its subscriptions here, which may be none for a moment after the last left.
func (h *Hub) Census() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		h.all(func(c *channelState) bool { return yield(c.name, c.count()) })
	}
}
