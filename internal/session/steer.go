package session

import "time"

// Steerable is a Link whose session a server may steer through the API, on
// whichever node it is. None of its methods blocks for long: they run on the
// goroutine that takes the nodes' orders.
type Steerable interface {
	// ServerSubscribe subscribes the session to a channel and tells it. Doors
	// that cannot say so to their client do nothing.
	ServerSubscribe(channel string, o ServerSubscription)
	// ServerUnsubscribe ends a subscription and tells the code and reason.
	ServerUnsubscribe(channel string, code uint32, reason string)
	// ServerDisconnect ends the session with this code and reason.
	ServerDisconnect(code uint32, reason string)
	// ServerRefresh sets when the session ends; expired ends it now. A zero
	// time means never.
	ServerRefresh(expires time.Time, expired bool)
}

// ServerSubscription says how a server subscribes a session.
type ServerSubscription struct {
	Info        []byte    // JSON stamped on the session in this channel
	Data        []byte    // JSON handed to the client with the news
	Expires     time.Time // zero: never
	Recoverable bool
	Positioned  bool
	JoinLeave   bool
	Since       *Since
}

// Since is a position that a server wants the client to recover from.
type Since struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}
