package memory

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// channelState is one channel: its log, its idempotency keys and what is still
// to be handed to the sink.
type channelState struct {
	// Set at construction.
	name   string
	keep   channel.Log
	newLog func() log

	mu        sync.Mutex // guards what follows; memory only
	dropped   bool       // swept away: callers make a new one
	used      time.Time
	listening bool
	epoch     string
	top       uint64
	log       log // what is kept of the messages up to top
	results   map[ownedKey]remembered
	outgoing  []*message.Message // published, not yet handed to the sink
	draining  bool               // a goroutine hands them over
}

// ownedKey is an idempotency key and whose it is.
type ownedKey struct{ owner, key string }

// remembered is the first result of an idempotency key.
type remembered struct {
	result  engine.Result
	payload [sha256.Size]byte
	until   time.Time
}

func newChannelState(name string, keep channel.Log, newLog func() log) *channelState {
	return &channelState{name: name, keep: keep, newLog: newLog, epoch: newEpoch(), log: newLog(), used: time.Now()}
}

// newEpoch names a log's timeline. 32 random bits tell the few epochs of one
// channel apart; they travel with every position, so they are short.
func newEpoch() string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// touch marks the channel as in use and tells whether it still is one.
func (c *channelState) touch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped {
		return false
	}
	c.used = time.Now()
	return true
}

func (c *channelState) publish(p engine.Publication, window time.Duration) (engine.Result, error) {
	now := time.Now()
	key := ownedKey{p.KeyOwner, p.IdempotencyKey}
	var sum [sha256.Size]byte
	if p.IdempotencyKey != "" {
		sum = sha256.Sum256(p.Payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.results[key]; now.Before(first.until) {
		if first.payload != sum {
			return engine.Result{}, engine.ErrConflict
		}
		first.result.Duplicate = true
		return first.result, nil
	}
	m := &message.Message{Channel: c.name, Kind: p.Kind, Payload: p.Payload, Time: now.UnixMilli(), Via: p.Via, By: p.By, Tags: p.Tags, Binary: p.Binary}
	if c.keep.Size > 0 && p.Kind == message.Published && !p.SkipLog {
		m.Position = message.Position{Epoch: c.epoch, Offset: c.top + 1}
		if err := c.log.append(m); err != nil {
			return engine.Result{}, engine.Unavailable("append to the log: %w", err)
		}
		c.top++
		c.trimLocked(now)
	}
	if c.listening {
		c.outgoing = append(c.outgoing, m)
	}
	res := engine.Result{Position: m.Position}
	if p.IdempotencyKey != "" {
		if c.results == nil {
			c.results = map[ownedKey]remembered{}
		}
		c.results[key] = remembered{res, sum, now.Add(window)}
	}
	return res, nil
}

// trimLocked drops what the rule does not keep any more and returns how many
// messages are kept.
func (c *channelState) trimLocked(now time.Time) (kept int) {
	return c.log.trim(c.keep, now.Add(-c.keep.Age).UnixMilli())
}

// maxInline is how many messages one publisher delivers for itself and others.
// It hands over the rest, so that those who publish meanwhile do not keep it
// from its own work.
const maxInline = 16

// drain hands what was published to the sink, in order and without the lock:
// a publisher that finds nobody draining does it for all.
func (c *channelState) drain(sink engine.Sink) {
	inline := maxInline
	c.mu.Lock()
	if c.draining {
		c.mu.Unlock()
		return
	}
	c.draining = true
	for len(c.outgoing) > 0 {
		batch := c.outgoing
		c.outgoing = nil
		c.mu.Unlock()
		for _, m := range batch {
			if inline > 0 {
				sink.ReceiveInline(m)
			} else {
				sink.Receive(m)
			}
			inline--
		}
		c.mu.Lock()
		if c.outgoing == nil {
			clear(batch)
			c.outgoing = batch[:0]
		}
	}
	c.draining = false
	c.mu.Unlock()
}

// subscribe answers q, and hands over what is published from then on.
func (c *channelState) subscribe(q engine.Query) (engine.Page, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	page, err := c.historyLocked(q)
	c.listening = c.listening || err == nil
	return page, err
}

func (c *channelState) unsubscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listening = false
}

func (c *channelState) history(q engine.Query) (engine.Page, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.historyLocked(q)
}

func (c *channelState) historyLocked(q engine.Query) (page engine.Page, err error) {
	if c.keep.Size > 0 {
		page.Top = message.Position{Epoch: c.epoch, Offset: c.top}
	}
	first := c.top - uint64(c.trimLocked(time.Now())) + 1 // offset of the oldest kept message
	from, to := first, c.top                              // the offsets asked for, both included
	if q.Since != nil {
		page.Gap, page.Reach = c.gapLocked(*q.Since, first), c.top
		switch {
		case q.Reverse:
			page.Gap = ""
			to = min(to, max(q.Since.Offset, 1)-1)
		case page.Gap != message.GapLost:
			from = max(from, q.Since.Offset+1)
		case q.Resume:
			return page, nil
		}
	}
	if from > to || q.Limit == 0 {
		return page, nil
	}
	count := int(to - from + 1)
	if q.Limit > 0 {
		count = min(count, q.Limit)
	}
	if q.Reverse {
		from = to
	}
	if page.Messages, err = c.log.read(int(from-first), count, q.Reverse); err != nil {
		return engine.Page{}, engine.Unavailable("read the log: %w", err)
	}
	if n, reached := q.Within(page.Messages); reached {
		page.Messages, page.More = slices.Clone(page.Messages[:n]), true
	}
	return page, nil
}

func (c *channelState) gapLocked(since message.Position, first uint64) message.GapReason {
	switch {
	case since.Epoch != c.epoch || since.Offset > c.top:
		return message.GapLost
	case since.Offset+1 < first:
		return message.GapTrimmed
	}
	return ""
}

// remove forgets the log and starts a new timeline, and tells whether the sink
// listens and has to be told.
func (c *channelState) remove() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log, c.top, c.epoch = c.newLog(), 0, newEpoch()
	return c.listening
}

// sweep frees what is too old and tells whether all of the channel is.
func (c *channelState) sweep() bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.results {
		if now.After(r.until) {
			delete(c.results, key)
		}
	}
	c.trimLocked(now)
	c.dropped = !c.listening && len(c.results) == 0 && now.Sub(c.used) > c.keep.Age+idleFor
	return c.dropped
}
