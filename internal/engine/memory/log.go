package memory

import "magpie/internal/message"

// log keeps one channel's messages, oldest first, offsets without a hole. Its
// methods are called one at a time, under channelState.mu.
type log interface {
	// append keeps m, which follows what was appended last.
	append(m *message.Message) error
	// read returns count messages, the i-th kept one first, or the i-th and
	// those before it when reverse. There are as many: the caller knows what is
	// kept.
	read(i, count int, reverse bool) ([]*message.Message, error)
	// trim drops all but the newest size messages, and what was published before
	// oldest (Unix milliseconds). It returns how many are kept.
	trim(size int, oldest int64) (kept int)
}

// ring is a log in memory that grows with what it holds.
type ring struct {
	slots []*message.Message // its length is zero or a power of two
	start int
	count int
}

func newRing() log { return &ring{} }

func (r *ring) slot(i int) **message.Message { return &r.slots[(r.start+i)&(len(r.slots)-1)] }

func (r *ring) append(m *message.Message) error {
	if r.count == len(r.slots) {
		bigger := make([]*message.Message, max(4, 2*len(r.slots)))
		for i := range r.count {
			bigger[i] = *r.slot(i)
		}
		r.slots, r.start = bigger, 0
	}
	r.count++
	*r.slot(r.count - 1) = m
	return nil
}

func (r *ring) read(i, count int, reverse bool) ([]*message.Message, error) {
	list, step := make([]*message.Message, count), 1
	if reverse {
		step = -1
	}
	for k := range list {
		list[k] = *r.slot(i + k*step)
	}
	return list, nil
}

func (r *ring) trim(size int, oldest int64) int {
	for r.count > 0 && (r.count > size || (*r.slot(0)).Time < oldest) {
		*r.slot(0) = nil
		r.start++
		r.count--
	}
	if r.count == 0 {
		*r = ring{} // an idle channel keeps no slots
	}
	return r.count
}
