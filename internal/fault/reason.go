package fault

// Reason says why a session ended. Reasons are shared by logs, metrics and the
// close codes of all protocols.
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
	ReasonRevoked     Reason = "revoked"     // a server took its token back
	ReasonError       Reason = "error"       // a defect of ours
	ReasonWrongDoor   Reason = "wrong_door"  // it speaks the protocol of another door
	ReasonFlood       Reason = "flood"       // too many frames at once
	ReasonKicked      Reason = "kicked"      // a server said so
	ReasonToken       Reason = "bad_token"   // the token it showed is none
	ReasonStale       Reason = "stale"       // it never said who it is
)
