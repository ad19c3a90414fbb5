// Package message holds what Magpie carries: a message, its place in a
// channel's log, and the byte forms that all its receivers share.
//
// It knows no protocol and no transport, does no I/O and starts no goroutine.
package message

import (
	"sync/atomic"
)

// Via names the way a message came in. It travels with the message, so that a
// page can show it.
type Via string

// The ways in. Each is one short word because it is part of every log entry.
const (
	ViaHTTP  Via = "http"  // POST /publish/{channel} and the server API
	ViaRaw   Via = "raw"   // the raw WebSocket door
	ViaPlain Via = "plain" // a plain PUBLISH in Redis
	ViaFcall Via = "fcall" // FCALL magpie_publish
	ViaXadd  Via = "xadd"  // an entry of an ingested Redis stream
	ViaSDK   Via = "sdk"   // the Centrifuge door
)

// Kind says what a message is. All but Published are news about a channel's
// members: they have no place in a log and are delivered at most once (D9).
type Kind uint8

// The kinds.
const (
	Published Kind = iota
	Join           // By began to listen
	Leave          // By stopped listening
)

// Publisher is who published a message, as the server knows it: stamped by
// the server, never taken from the payload. Shape as in the Centrifuge
// protocol's ClientInfo.
type Publisher struct {
	User     string `json:"user,omitempty"`
	Session  string `json:"session,omitempty"`
	ConnInfo []byte `json:"conn_info,omitempty"`
	ChanInfo []byte `json:"chan_info,omitempty"`
}

// Message is one message of a channel, as the engine handed it to this node.
// It is immutable once an engine has built it and may be read by any number
// of goroutines.
type Message struct {
	Channel string
	Kind    Kind
	// Position is the message's place in the channel's log. A zero Offset
	// says that the channel keeps no log (D9: delivered at most once).
	Position
	Payload []byte // opaque; never changed after construction
	Time    int64  // Unix milliseconds by the engine's clock
	Via     Via
	By      *Publisher        // nil: a server, or nobody known
	Tags    map[string]string // nil: none
	// Binary says that the publisher sent bytes, though they may read as text.
	Binary bool

	encoded atomic.Pointer[encoded]
}

// Logged tells whether the message has a place in a log.
func (m *Message) Logged() bool { return m.Offset != 0 }

// Encoding is one byte form of messages (say, "raw door, text frame with its
// WebSocket header"). Make one per protocol form with NewEncoding, at start.
type Encoding struct {
	make func(*Message) []byte
}

// NewEncoding registers a byte form. f must be pure and safe for concurrent
// use; the bytes it returns are shared by all receivers and never changed.
func NewEncoding(f func(*Message) []byte) *Encoding { return &Encoding{make: f} }

// encoded is one byte form in a list of those that were made.
type encoded struct {
	by    any // *Encoding or *BatchEncoding
	bytes []byte
	next  *encoded
}

// Of returns the message in this form. The first call for a message makes the
// bytes, every later one returns the same slice without allocating. Callers
// must not change it.
func (e *Encoding) Of(m *Message) []byte {
	if b, ok := find(m.encoded.Load(), e); ok {
		return b
	}
	return add(&m.encoded, e, e.make(m))
}

func find(list *encoded, e any) ([]byte, bool) {
	for ; list != nil; list = list.next {
		if list.by == e {
			return list.bytes, true
		}
	}
	return nil, false
}

// add puts a form into the list and returns it, or what another goroutine put
// there first.
func add(list *atomic.Pointer[encoded], e any, bytes []byte) []byte {
	made := &encoded{by: e, bytes: bytes}
	for {
		made.next = list.Load()
		if b, ok := find(made.next, e); ok {
			return b
		}
		if list.CompareAndSwap(made.next, made) {
			return bytes
		}
	}
}
