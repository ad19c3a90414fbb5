package memory

import "magpie/internal/message"

// deque is a ring of messages that grows with what it holds. The zero value
// is empty.
type deque struct {
	ring  []*message.Message // its length is zero or a power of two
	start int
	count int
}

func (d *deque) len() int { return d.count }

// at returns the i-th message, oldest first; i must be under len.
func (d *deque) at(i int) *message.Message { return d.ring[(d.start+i)&(len(d.ring)-1)] }

func (d *deque) push(m *message.Message) {
	if d.count == len(d.ring) {
		d.grow()
	}
	d.ring[(d.start+d.count)&(len(d.ring)-1)] = m
	d.count++
}

// shift drops the oldest message.
func (d *deque) shift() {
	d.ring[d.start] = nil
	d.start = (d.start + 1) & (len(d.ring) - 1)
	d.count--
	if d.count == 0 {
		*d = deque{}
	}
}

func (d *deque) grow() {
	bigger := make([]*message.Message, max(4, 2*len(d.ring)))
	for i := range d.count {
		bigger[i] = d.at(i)
	}
	d.ring, d.start = bigger, 0
}
