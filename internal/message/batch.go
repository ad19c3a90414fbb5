package message

import "sync/atomic"

// Batch is a run of messages of one channel that are delivered together, in
// order. Its receivers share one byte form, so a burst costs each of them one
// write. It is valid only during the call that hands it over; the bytes and
// the messages in it stay valid.
type Batch struct {
	Messages []*Message
	joined   atomic.Pointer[encoded]
}

// OfBatch returns the messages of b in this form, one after the other, in one
// slice that all receivers share and none changes.
func (e *Encoding) OfBatch(b *Batch) []byte {
	if len(b.Messages) == 1 {
		return e.Of(b.Messages[0])
	}
	for n := b.joined.Load(); n != nil; n = n.next {
		if n.by == e {
			return n.bytes
		}
	}
	return e.join(b)
}

// join makes the shared slice. Two workers may make it at once: both forms
// are equal and the one that is linked last is found first.
func (e *Encoding) join(b *Batch) []byte {
	size := 0
	for _, m := range b.Messages {
		size += len(e.Of(m))
	}
	all := make([]byte, 0, size)
	for _, m := range b.Messages {
		all = append(all, e.Of(m)...)
	}
	made := &encoded{by: e, bytes: all}
	for {
		made.next = b.joined.Load()
		if b.joined.CompareAndSwap(made.next, made) {
			return all
		}
	}
}
