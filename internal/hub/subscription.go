package hub

import (
	"sync"
	"sync/atomic"

	"magpie/internal/message"
)

// Subscription is one subscriber in one channel.
type Subscription struct {
	channel *channelState
	to      Subscriber
	state   atomic.Uint32
	join    atomic.Pointer[joinState] // nil once live
}

// A subscription goes buffering → skipping → live → left. Only a live one
// is delivered to directly. Skipping is left out where nothing has
// to be skipped.
const (
	buffering = uint32(iota) // Live has not been called: everything is kept
	skipping                 // what the log gave already is left out
	live
	left
)

// joinState is what a subscription needs until it is live.
type joinState struct {
	// joinedAt is where the channel stood when it took the subscription. Set
	// before the channel is open, or by add; read by Join.
	joinedAt message.Position

	mu       sync.Mutex // guards what follows; memory only
	buffered []event
	size     int // payload bytes buffered

	// has is the position that the subscriber has, as far as it was told from
	// here. skip says that the channel was behind it. older is the epoch that
	// the channel was at when the log had already gone on to another ("": none).
	has   message.Position
	skip  bool
	older string
}

// event is a message or a gap, kept in order. With both, the gap comes first.
type event struct {
	message *message.Message
	before  []byte // message.Batch.Before, for this message
	gap     *message.Gap
}

// maxBuffered bounds what one joining subscription keeps, in payload bytes.
// Past it what was kept is dropped and the subscriber is told of the gap.
const maxBuffered = 4 << 20

func newSubscription(c *channelState, to Subscriber) *Subscription {
	s := &Subscription{channel: c, to: to}
	s.join.Store(&joinState{})
	return s
}

// startAfter says what the subscriber has when Join returns, and where the
// channel stood when it took the subscription.
func (s *Subscription) startAfter(has, joinedAt message.Position) {
	j := s.join.Load()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.has, j.skip = has, has != joinedAt
	if has.Epoch != joinedAt.Epoch {
		j.older = joinedAt.Epoch
	}
}

// Live lets messages through. Call it once, after the subscriber has what
// Join returned. What came meanwhile is delivered on the caller's goroutine.
func (s *Subscription) Live() {
	j := s.join.Load()
	j.mu.Lock()
	for len(j.buffered) > 0 {
		buffered := j.buffered
		j.buffered, j.size = nil, 0
		j.mu.Unlock()
		s.deliverNew(buffered)
		j.mu.Lock()
	}
	// Leave may have come first: then left stays.
	if j.skip {
		s.state.CompareAndSwap(buffering, skipping)
	} else if s.state.CompareAndSwap(buffering, live) {
		s.join.Store(nil)
	}
	j.mu.Unlock()
}

// Leave ends the subscription: nothing is delivered after it but what is on
// its way at this moment. It does not block and may be called more than once.
func (s *Subscription) Leave() {
	if s.state.Swap(left) != left {
		s.disappear()
		s.channel.release()
	}
}

// abandon is Leave of a subscription that nobody was told of.
func (s *Subscription) abandon() {
	if s.state.Swap(left) != left {
		s.channel.release()
	}
}

// Channel returns the channel's name.
func (s *Subscription) Channel() string { return s.channel.name }

// deliverEarly delivers to a subscription that was not live a moment ago. Like
// gap it is called by who takes the channel's turns alone, in order.
func (s *Subscription) deliverEarly(b *message.Batch) {
	before := b.Before
	for _, m := range b.Messages {
		s.bufferOrDeliver(event{message: m, before: before})
		if s.channel.rule.Delta && m.Kind == message.Published {
			before = m.Payload
		}
	}
}

func (s *Subscription) gap(g *message.Gap) {
	if s.state.Load() == live {
		s.to.Gap(*g)
		return
	}
	s.bufferOrDeliver(event{gap: g})
}

func (s *Subscription) bufferOrDeliver(e event) {
	if j := s.join.Load(); j != nil {
		j.mu.Lock()
		if s.state.Load() == buffering {
			j.buffer(e, s.channel.rule.Log.Size > 0)
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
	}
	s.deliverNew([]event{e})
}

func (j *joinState) buffer(e event, logged bool) {
	if e.message != nil {
		size := len(e.message.Payload) + 64
		if j.size+size > maxBuffered && logged && !e.message.Logged() {
			return // a gap could not name its place; it was promised at most once (D9)
		}
		if j.size += size; j.size > maxBuffered {
			e = event{gap: &message.Gap{Channel: e.message.Channel, Now: e.message.Position, Reason: message.GapTrimmed}}
			j.buffered, j.size = nil, 0
		}
	}
	j.buffered = append(j.buffered, e)
}

// deliverNew delivers what is new to the subscriber, messages in one batch.
func (s *Subscription) deliverNew(events []event) {
	var batch message.Batch
	for _, e := range events {
		e, ok := s.filter(e)
		if !ok {
			continue
		}
		if e.gap != nil {
			s.flush(&batch)
			if s.state.Load() != left {
				s.to.Gap(*e.gap)
			}
		}
		if e.message != nil {
			if len(batch.Messages) == 0 {
				batch.Before = e.before
			}
			batch.Messages = append(batch.Messages, e.message)
		}
	}
	s.flush(&batch)
}

// flush delivers the batch, if there is something in it, and empties it.
func (s *Subscription) flush(batch *message.Batch) {
	if len(batch.Messages) > 0 && s.state.Load() != left {
		s.to.Deliver(&message.Batch{Messages: batch.Messages, Before: batch.Before})
	}
	batch.Messages, batch.Before = nil, nil
}

// filter leaves out what the subscriber has. From the first event that is new
// on, everything is: the channel delivers in order.
func (s *Subscription) filter(e event) (event, bool) {
	j := s.join.Load()
	if j == nil {
		return e, true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case e.gap == nil && !e.message.Logged():
		return e, true
	case e.gap == nil && !j.skip:
		j.has = e.message.Position
		return e, true
	case !j.isNew(e):
		return e, false
	case e.gap != nil:
		told := *e.gap
		told.From = j.has
		e.gap, j.has = &told, told.Now
	default:
		e.gap, j.has = j.fork(e.message), e.message.Position
	}
	j.skip = false
	if s.state.CompareAndSwap(skipping, live) {
		s.join.Store(nil)
	}
	return e, true
}
