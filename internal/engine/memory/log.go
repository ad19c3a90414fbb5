package memory

import (
	"magpie/internal/channel"
	"magpie/internal/message"
)

// log keeps one channel's messages, oldest first, offsets without a hole. Its
// methods are called one at a time, under channelState.mu.
type log interface {
	// append keeps m, which follows what was appended last.
	append(m *message.Message) error
	// read returns count messages, the i-th kept one first, or the i-th and
	// those before it when reverse. There are as many: the caller knows what is
	// kept.
	read(i, count int, reverse bool) ([]*message.Message, error)
	// trim drops all but the newest messages that keep allows, and what was
	// published before oldest (Unix milliseconds). It returns how many are kept.
	trim(keep channel.Log, oldest int64) (kept int)
}

// ring is a log in memory that grows with what it holds.
type ring struct {
	slots []*message.Message // its length is zero or a power of two
	start int
	count int
	bytes int // of what it holds, as weight says
}

// weight is what counts of a message in bytes.
func weight(m *message.Message) int {
	n := len(m.Payload)
	if m.By != nil {
		n += len(m.By.User) + len(m.By.Session) + len(m.By.ConnInfo) + len(m.By.ChanInfo)
	}
	for key, value := range m.Tags {
		n += len(key) + len(value)
	}
	return n
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
	r.bytes += weight(m)
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

func (r *ring) trim(keep channel.Log, oldest int64) int {
	tooBig := func() bool { return keep.Bytes > 0 && r.bytes > keep.Bytes && r.count > 1 }
	for r.count > 0 && (r.count > keep.Size || tooBig() || (*r.slot(0)).Time < oldest) {
		r.bytes -= weight(*r.slot(0))
		*r.slot(0) = nil
		r.start++
		r.count--
	}
	if r.count == 0 {
		*r = ring{} // an idle channel keeps no slots
	}
	return r.count
}
