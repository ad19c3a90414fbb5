package message

import "sync/atomic"

// Batch is a run of messages of one channel that are delivered together, in
// order. Its receivers share one byte form, so a burst costs each of them one
// write. It is valid only during the call that hands it over; the bytes and
// the messages in it stay valid.
type Batch struct {
	Messages []*Message
	// Before is the payload of the last Published message before this batch, for
	// encodings that write differences. Nil when it is not known, and in
	// channels whose rule has no Delta.
	Before []byte

	encoded atomic.Pointer[encoded]
}

// OfBatch returns the messages of b in this form, one after the other, in one
// slice that all receivers share and none changes.
func (e *Encoding) OfBatch(b *Batch) []byte {
	if len(b.Messages) == 1 {
		return e.Of(b.Messages[0])
	}
	if all, ok := find(b.encoded.Load(), e); ok {
		return all
	}
	size := 0
	for _, m := range b.Messages {
		size += len(e.Of(m))
	}
	all := make([]byte, 0, size)
	for _, m := range b.Messages {
		all = append(all, e.Of(m)...)
	}
	return add(&b.encoded, e, all)
}

// BatchEncoding is a byte form that needs the whole batch: what a message
// looks like depends on the one before it.
type BatchEncoding struct {
	make func(*Batch) []byte
}

// NewBatchEncoding registers a byte form of batches; see NewEncoding.
func NewBatchEncoding(f func(*Batch) []byte) *BatchEncoding { return &BatchEncoding{make: f} }

// Of returns the batch in this form, made once and shared by all receivers.
func (e *BatchEncoding) Of(b *Batch) []byte {
	if bytes, ok := find(b.encoded.Load(), e); ok {
		return bytes
	}
	return add(&b.encoded, e, e.make(b))
}
