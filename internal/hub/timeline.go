package hub

import "magpie/internal/message"

// A log goes on to another timeline when it is removed or lost, and when Redis
// goes back in time (D10). Its epoch is another one from there on, and an offset
// of one epoch says nothing about the same offset of another. What follows from
// that is decided here; what the log says about an epoch is decided by the
// engine.

// place is where a message stands to what was delivered up to a position.
type place int

const (
	placeSeen    place = iota // it was delivered
	placeNext                 // it is the one that follows
	placeUnknown              // behind a hole, or of another timeline: the log has to be asked
)

// placeOf tells where p stands to at.
func placeOf(p, at message.Position) place {
	switch {
	case p.Epoch != at.Epoch:
		return placeUnknown
	case p.Offset <= at.Offset:
		return placeSeen
	case p.Offset == at.Offset+1:
		return placeNext
	}
	return placeUnknown
}

// renamed is at, which the log's timeline goes through, under the name that
// the log's top has now, if it is that place: after a harmless failover the
// epoch is new and nothing is missing.
func renamed(at, top message.Position) message.Position {
	if at.Offset == top.Offset {
		return top
	}
	return at
}

// isNew tells whether the subscriber does not have what the event brings.
func (j *joinState) isNew(e event) bool {
	p := message.Position{}
	if e.gap != nil {
		p = e.gap.Now
	} else if p = e.message.Position; p.Epoch == j.older {
		return false
	}
	return placeOf(p, j.has) != placeSeen
}

// fork is nil unless m, which is new to the subscriber, is of another timeline
// that left the subscriber's before what the subscriber has. The channel itself
// was behind both and misses nothing then. But what the subscriber has may not
// be what these offsets mean now (D10): it is told, at the risk that they are
// equal.
func (j *joinState) fork(m *message.Message) *message.Gap {
	if m.Offset > j.has.Offset {
		return nil
	}
	before := message.Position{Epoch: m.Epoch, Offset: m.Offset - 1}
	return &message.Gap{Channel: m.Channel, From: j.has, Now: before, Reason: message.GapLost}
}
