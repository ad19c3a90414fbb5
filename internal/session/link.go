// Package session is one connected client: who it is, what it listens to and
// what still has to reach it. It knows no transport and no protocol.
//
// A flusher goroutine lives only while a session has something queued; the
// session waits for nobody.
package session

import "magpie/internal/fault"

// Link is a session's way to its client: one transport that speaks one
// protocol. Doors implement it. Reason is what the session says at the end;
// the door puts it into its protocol's words.
type Link interface {
	// TryWrite writes what the kernel takes at once and returns how much that
	// was. It never blocks; 0 and nil when nothing can be taken now.
	TryWrite(frame []byte) (int, error)
	// Write writes all frames, in order, and blocks until they are written or
	// the link's write deadline ends. Any error is final.
	Write(frames [][]byte) error
	// Goodbye says the reason in the protocol's words and ends the link. It
	// does not block; it is called once, from any goroutine.
	Goodbye(Reason)
}

// Reason says why a session ended.
type Reason = fault.Reason

// The reasons, by their short names here.
const (
	ReasonClient      = fault.ReasonClient
	ReasonSlow        = fault.ReasonSlow
	ReasonShutdown    = fault.ReasonShutdown
	ReasonGap         = fault.ReasonGap
	ReasonNoPong      = fault.ReasonNoPong
	ReasonTooBig      = fault.ReasonTooBig
	ReasonProtocol    = fault.ReasonProtocol
	ReasonUnavailable = fault.ReasonUnavailable
	ReasonForbidden   = fault.ReasonForbidden
	ReasonExpired     = fault.ReasonExpired
	ReasonError       = fault.ReasonError
	ReasonWrongDoor   = fault.ReasonWrongDoor
	ReasonFlood       = fault.ReasonFlood
	ReasonKicked      = fault.ReasonKicked
	ReasonToken       = fault.ReasonToken
	ReasonStale       = fault.ReasonStale
)
