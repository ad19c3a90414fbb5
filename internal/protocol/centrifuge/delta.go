package centrifuge

import (
	"bytes"
	"slices"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"magpie/internal/message"
	"magpie/internal/protocol/centrifuge/fossil"
)

// In a subscription with differences the first publication is whole and each
// one after it a Fossil delta against the one before, unless that would be
// longer. For JSON clients data is then always a JSON string: what it holds is
// the JSON text, or the delta of two such texts.

// pushDeltas is a batch as frames. primed says that the receiver has
// b.Before.
func (f *form) pushDeltas(b *message.Batch, members, primed bool) []byte {
	var out, before []byte
	if primed {
		before = b.Before
	}
	for _, m := range b.Messages {
		if m.Kind != message.Published {
			out = append(out, f.push(m, members)...)
			continue
		}
		pub := f.publication(m)
		f.difference(pub, m.Payload, before)
		out = append(out, f.encodePush(&protocol.Push{Channel: m.Channel, Pub: pub})...)
		before = m.Payload
	}
	return out
}

// whole makes a publication what a client with differences reads as whole.
func (f *form) whole(pub *protocol.Publication) {
	if f.json {
		pub.Data = cfjson.AppendString(nil, string(pub.Data))
	}
}

// difference writes pub.Data as the difference to before, where that is known
// (not nil) and shorter.
func (f *form) difference(pub *protocol.Publication, payload, before []byte) {
	if before != nil {
		if patch := fossil.Delta(f.data(before), f.data(payload), f.json); len(patch) < len(pub.Data) {
			pub.Delta, pub.Data = true, patch
		}
	}
	f.whole(pub)
}

// delta is what a subscription with differences knows of its client.
type delta struct {
	last []byte // the payload it got last; nil: none
}

// primed tells whether the client has the payload before the batch. The same
// bytes are mostly the same slice; after a recovery they are equal.
func (d *delta) primed(b *message.Batch) bool {
	if d.last == nil || b.Before == nil || len(d.last) != len(b.Before) {
		return false
	}
	return len(d.last) == 0 || &d.last[0] == &b.Before[0] || bytes.Equal(d.last, b.Before)
}

// advance notes what the batch gives the client.
func (d *delta) advance(messages []*message.Message) {
	for _, m := range slices.Backward(messages) {
		if m.Kind == message.Published {
			d.last = m.Payload
			return
		}
	}
}
