package memory

import (
	"crypto/sha256"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// topic is one channel's state: its log, its idempotency keys and what has
// still to be handed to the sink.
type topic struct {
	// Set at construction.
	name string
	keep channel.Log

	mu        sync.Mutex // guards what follows; memory only
	dropped   bool       // swept away: callers make a new one
	used      time.Time
	listening bool
	epoch     string
	top       uint64
	log       deque // logged messages, oldest first, offsets without a hole
	results   map[string]remembered
	outgoing  []*message.Message // published, not yet handed to the sink
	draining  bool               // somebody hands them over
}

// remembered is the first result of an idempotency key.
type remembered struct {
	result  engine.Result
	payload [sha256.Size]byte
	until   time.Time
}

func newTopic(name string, keep channel.Log) *topic {
	return &topic{name: name, keep: keep, epoch: newEpoch(), used: time.Now()}
}

// touch marks the topic as in use and tells whether it still is one.
func (t *topic) touch() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped {
		return false
	}
	t.used = time.Now()
	return true
}

func (t *topic) publish(p engine.Publication, window time.Duration) (engine.Result, error) {
	now := time.Now()
	var sum [sha256.Size]byte
	if p.IdempotencyKey != "" {
		sum = sha256.Sum256(p.Payload)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.IdempotencyKey != "" {
		if first, ok := t.results[p.IdempotencyKey]; ok && now.Before(first.until) {
			if first.payload != sum {
				return engine.Result{}, engine.ErrConflict
			}
			first.result.Duplicate = true
			return first.result, nil
		}
	}
	m := &message.Message{Channel: t.name, Kind: p.Kind, Payload: p.Payload, Time: now.UnixMilli(), Via: p.Via, By: p.By, Tags: p.Tags}
	if t.keep.Size > 0 && p.Kind == message.Published && !p.SkipLog {
		t.appendLocked(m, now)
	}
	if t.listening {
		t.outgoing = append(t.outgoing, m)
	}
	res := engine.Result{Position: m.Position}
	if p.IdempotencyKey != "" {
		if t.results == nil {
			t.results = map[string]remembered{}
		}
		t.results[p.IdempotencyKey] = remembered{res, sum, now.Add(window)}
	}
	return res, nil
}

func (t *topic) appendLocked(m *message.Message, now time.Time) {
	t.top++
	m.Position = message.Position{Epoch: t.epoch, Offset: t.top}
	t.log.push(m)
	for t.log.len() > t.keep.Size {
		t.log.shift()
	}
	t.expireLocked(now)
}

func (t *topic) expireLocked(now time.Time) {
	oldest := now.Add(-t.keep.Age).UnixMilli()
	for t.log.len() > 0 && t.log.at(0).Time < oldest {
		t.log.shift()
	}
}

// drainHere is how many messages one publisher may deliver for itself and
// others. It hands over the rest, so that it is not kept from its own work by
// those who publish meanwhile.
const drainHere = 16

// drain hands what was published to the sink, in order and without the lock:
// whoever finds nobody draining does it for all.
func (t *topic) drain(sink engine.Sink) {
	here := drainHere
	t.mu.Lock()
	if t.draining {
		t.mu.Unlock()
		return
	}
	t.draining = true
	for len(t.outgoing) > 0 {
		batch := t.outgoing
		t.outgoing = nil
		t.mu.Unlock()
		for _, m := range batch {
			if here > 0 {
				sink.ReceiveInline(m)
			} else {
				sink.Receive(m)
			}
			here--
		}
		t.mu.Lock()
		if t.outgoing == nil {
			clear(batch)
			t.outgoing = batch[:0]
		}
	}
	t.draining = false
	t.mu.Unlock()
}

func (t *topic) listen(on bool) {
	t.mu.Lock()
	t.listening = on
	t.mu.Unlock()
}

func (t *topic) position() message.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.topLocked()
}

func (t *topic) topLocked() message.Position {
	if t.keep.Size == 0 {
		return message.Position{}
	}
	return message.Position{Epoch: t.epoch, Offset: t.top}
}

func (t *topic) history(q engine.Query) engine.Page {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(time.Now())
	page := engine.Page{Top: t.topLocked()}
	first := t.top - uint64(t.log.len()) + 1 // offset of the oldest kept message
	from, to := first, t.top                 // the offsets asked for, both included
	if q.Since != nil {
		page.Gap, page.Reach = t.gapLocked(*q.Since, first), t.top
		switch {
		case q.Reverse:
			to = min(to, q.Since.Offset-min(1, q.Since.Offset))
			page.Gap = ""
		case page.Gap == "":
			from = q.Since.Offset + 1
		case page.Gap == message.GapTrimmed:
			from = max(from, q.Since.Offset+1)
		case q.Resume:
			return page
		}
	}
	page.Messages = t.sliceLocked(first, from, to, q)
	return page
}

func (t *topic) gapLocked(since message.Position, first uint64) message.GapReason {
	switch {
	case since.Epoch != t.epoch || since.Offset > t.top:
		return message.GapLost
	case since.Offset+1 < first:
		return message.GapTrimmed
	}
	return ""
}

func (t *topic) sliceLocked(first, from, to uint64, q engine.Query) []*message.Message {
	if q.Limit == 0 || from > to || t.log.len() == 0 {
		return nil
	}
	count := to - from + 1
	if q.Limit > 0 {
		count = min(count, uint64(q.Limit))
	}
	list := make([]*message.Message, 0, count)
	for i := range count {
		offset := from + i
		if q.Reverse {
			offset = to - i
		}
		list = append(list, t.log.at(int(offset-first)))
	}
	return list
}

// remove forgets the log and begins a new timeline, and tells whether
// somebody listens who must hear of it.
func (t *topic) remove() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log, t.top, t.epoch = deque{}, 0, newEpoch()
	return t.listening
}

// sweep frees what is too old and tells whether the whole topic is.
func (t *topic) sweep() bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	for key, r := range t.results {
		if now.After(r.until) {
			delete(t.results, key)
		}
	}
	t.dropped = !t.listening && t.log.len() == 0 && len(t.results) == 0 && now.Sub(t.used) > t.keep.Age+idleFor
	return t.dropped
}
