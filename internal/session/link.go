// Package session is one connected client: who it is, what it listens to and
// what still has to reach it. It knows no transport and no protocol.
//
// A flusher goroutine lives only while a session has something queued; the
// session waits for nobody.
package session

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

// Reason says why a session ended. Reasons are shared by logs, metrics and
// all protocols' code tables.
type Reason string

// The reasons for which this server ends sessions.
const (
	ReasonClient      Reason = "client"      // the client left
	ReasonSlow        Reason = "slow"        // its outbox overflowed or it took too long to read (D8)
	ReasonShutdown    Reason = "shutdown"    // the node drains; come back elsewhere
	ReasonGap         Reason = "gap"         // what was missed cannot be had and the protocol has no other word for it
	ReasonNoPong      Reason = "no_pong"     // no sign of life
	ReasonTooBig      Reason = "too_big"     // a message over the limit
	ReasonProtocol    Reason = "protocol"    // not the protocol that was agreed on
	ReasonUnavailable Reason = "unavailable" // the engine could not do what the client asked
	ReasonForbidden   Reason = "forbidden"   // may not do what it did
	ReasonExpired     Reason = "expired"     // its token ended
	ReasonError       Reason = "error"       // a fault of ours
	ReasonWrongDoor   Reason = "wrong_door"  // it speaks the protocol of another door
	ReasonFlood       Reason = "flood"       // too many frames at once
	ReasonKicked      Reason = "kicked"      // a server said so
	ReasonToken       Reason = "bad_token"   // the token it showed is none
	ReasonStale       Reason = "stale"       // it never said who it is
)
