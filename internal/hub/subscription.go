package hub

import (
	"sync"
	"sync/atomic"

	"magpie/internal/message"
)

// Subscription is one subscriber in one channel.
type Subscription struct {
	room  *room
	to    Subscriber
	state atomic.Uint32
	join  atomic.Pointer[joining] // nil once live
}

// A subscription goes holding → settling → live → left; only a live one takes
// the short way through deliver. Settling is left out where nothing has to be
// skipped.
const (
	holding  = uint32(iota) // Live has not been called: everything is kept
	settling                // what the log gave already is still to be skipped
	live
	left
)

// joining is what a subscription needs until it is live.
type joining struct {
	// at is where the room stood when it took the subscription. Set by the
	// room before it is open, or by add; read by Join.
	at message.Position

	mu   sync.Mutex // guards what follows; memory only
	held []event
	size int // payload bytes held

	// from is the position that the subscriber has, as far as it was handed on
	// from here. older is the epoch that
	// this node was at when the log had already gone on to another ("": none).
	// skip says that the room was behind from.
	from  message.Position
	older string
	skip  bool
}

// event is a message or a gap, kept in order. With both, the gap comes first.
type event struct {
	message *message.Message
	before  []byte // message.Batch.Before, for this message
	gap     *message.Gap
}

// heldLimit bounds what one joining subscription keeps, in payload bytes.
// Past it what was kept is let go and the subscriber is told of the gap.
const heldLimit = 4 << 20

func newSubscription(r *room, to Subscriber) *Subscription {
	s := &Subscription{room: r, to: to}
	s.join.Store(&joining{})
	return s
}

// begin says what the subscriber has when Join returns, while the room was
// at the position at.
func (s *Subscription) begin(from, at message.Position) {
	j := s.join.Load()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.from, j.skip = from, from != at
	if from.Epoch != at.Epoch {
		j.older = at.Epoch
	}
}

// Live lets messages through. Call it once, after the subscriber has what
// Join returned. What came meanwhile is delivered on the caller's goroutine.
func (s *Subscription) Live() {
	j := s.join.Load()
	j.mu.Lock()
	for len(j.held) > 0 {
		held := j.held
		j.held, j.size = nil, 0
		j.mu.Unlock()
		s.handOn(held)
		j.mu.Lock()
	}
	// Leave may have come first: then left stays.
	if j.skip {
		s.state.CompareAndSwap(holding, settling)
	} else if s.state.CompareAndSwap(holding, live) {
		s.join.Store(nil)
	}
	j.mu.Unlock()
}

// Leave ends the subscription: nothing is delivered after it but what is on
// its way at this moment. It does not block and may be called more than once.
func (s *Subscription) Leave() {
	if s.state.Swap(left) == left {
		return
	}
	h := s.room.hub
	if p, ok := s.to.(Present); ok && s.room.rule.Presence {
		h.engine.Leave(s.room.name, p.Member().Session)
	}
	s.room.remove()
}

// abandon is Leave of a subscription that the room never served.
func (s *Subscription) abandon() {
	if s.state.Swap(left) != left {
		s.room.remove()
	}
}

// Channel returns the channel's name.
func (s *Subscription) Channel() string { return s.room.name }

// deliver is called by the room's worker alone, in order.
func (s *Subscription) deliver(b *message.Batch) {
	if s.state.Load() == live {
		s.to.Deliver(b)
		return
	}
	before := b.Before
	for _, m := range b.Messages {
		s.pass(event{message: m, before: before})
		if s.room.rule.Delta && m.Kind == message.Published {
			before = m.Payload
		}
	}
}

// gap is called by the room's worker alone, in order.
func (s *Subscription) gap(g *message.Gap) {
	if s.state.Load() == live {
		s.to.Gap(*g)
		return
	}
	s.pass(event{gap: g})
}

// pass keeps the event, or hands it on when it is new to the subscriber.
func (s *Subscription) pass(e event) {
	if j := s.join.Load(); j != nil {
		j.mu.Lock()
		if s.state.Load() == holding {
			j.hold(e, s.room.rule.Log.Size > 0)
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
	}
	s.handOn([]event{e})
}

func (j *joining) hold(e event, logs bool) {
	if e.message != nil {
		size := len(e.message.Payload) + 64
		if j.size+size > heldLimit && logs && !e.message.Logged() {
			return // no gap can name its place; it was promised at most once (D9)
		}
		if j.size += size; j.size > heldLimit {
			e = event{gap: &message.Gap{Channel: e.message.Channel, Now: e.message.Position, Reason: message.GapTrimmed}}
			j.held, j.size = nil, 0
		}
	}
	j.held = append(j.held, e)
}

// handOn delivers what is new to the subscriber, messages in one batch.
func (s *Subscription) handOn(events []event) {
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
// on, everything is: the room delivers in order.
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
		j.from = e.message.Position
		return e, true
	case !j.isNew(e):
		return e, false
	case e.gap != nil:
		told := *e.gap
		told.From = j.from
		e.gap, j.from = &told, told.Now
	default:
		e.gap, j.from = j.fork(e.message), e.message.Position
	}
	j.skip = false
	if s.state.CompareAndSwap(settling, live) {
		s.join.Store(nil)
	}
	return e, true
}

// fork is nil unless the log went on to another timeline from a place before
// the one that the subscriber has, while the room was behind both: the room
// itself misses nothing then, but what the subscriber has seen may not be what
// these offsets mean now (D10). It is told, at the risk that they are equal.
func (j *joining) fork(m *message.Message) *message.Gap {
	if m.Epoch == j.from.Epoch || m.Offset > j.from.Offset {
		return nil
	}
	before := message.Position{Epoch: m.Epoch, Offset: m.Offset - 1}
	return &message.Gap{Channel: m.Channel, From: j.from, Now: before, Reason: message.GapLost}
}

func (j *joining) isNew(e event) bool {
	if e.gap != nil {
		return e.gap.Now.Epoch != j.from.Epoch || e.gap.Now.Offset > j.from.Offset
	}
	if j.older != "" && e.message.Epoch == j.older {
		return false
	}
	return e.message.Epoch != j.from.Epoch || e.message.Offset > j.from.Offset
}
