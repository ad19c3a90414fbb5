// Package session is one connected client: who it is, what it is subscribed to
// and what still has to reach it. It knows no transport, no protocol and no
// other session; what the client may do is package node's to say.
//
// A flusher goroutine lives only while a session has something queued;
// Shared.Wait waits for all of them.
package session

import (
	"time"

	"magpie/internal/fault"
	"magpie/internal/message"
)

// Link is a session's way to its client: one transport that speaks one
// protocol. Doors implement it.
type Link interface {
	// TryWrite writes what the kernel takes at once and returns how much that
	// was. It never blocks; 0 and nil when nothing can be taken now.
	TryWrite(frame []byte) (int, error)
	// Write writes all frames, in order, and blocks until they are written or
	// the link's write deadline ends. Any error is final.
	Write(frames [][]byte) error
	// CloseLink tells the client the reason in the protocol's words and closes
	// the link. It does not block; it is called once, from any goroutine.
	CloseLink(fault.Reason)
}

// Controllable is a Link whose session a server may control through the API,
// on whichever node it is. None of its methods blocks for long: they run on
// the goroutine that applies the nodes' orders.
type Controllable interface {
	// ServerSubscribe subscribes the session to a channel and tells it. Doors
	// that cannot say so to their client do nothing.
	ServerSubscribe(channel string, o ServerSubscription)
	// ServerUnsubscribe ends a subscription and tells the code and reason.
	ServerUnsubscribe(channel string, code uint32, reason string)
	// ServerDisconnect closes the session with this code and reason.
	ServerDisconnect(code uint32, reason string)
	// ServerRefresh sets when the session expires; expired closes it now. A zero
	// time means never.
	ServerRefresh(expires time.Time, expired bool)
}

// ServerSubscription says how a server subscribes a session.
type ServerSubscription struct {
	Info        []byte    // JSON stamped on the session in this channel
	Data        []byte    // JSON handed to the client with the subscription
	Expires     time.Time // zero: never
	Recoverable bool
	Positioned  bool
	JoinLeave   bool
	Since       *message.Position // what the client is to recover from
}
