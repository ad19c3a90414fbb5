package raw

import (
	"magpie/internal/fault"
)

// closeMessage is what a client is told at the end: a WebSocket close code and
// a sentence.
type closeMessage struct {
	code uint16
	text string
}

// closeMessages put reasons into this door's codes. 4000 to 4499 ask the client
// to come back, 4500 to 4999 not to; those under 4000 are RFC 6455's.
var closeMessages = map[fault.Reason]closeMessage{
	fault.ReasonClient:      {1000, ""},
	fault.ReasonShutdown:    {4000, "this node restarts; connect again in a moment"},
	fault.ReasonSlow:        {4001, "too slow: more waited for you than the outbox holds; connect again with since"},
	fault.ReasonNoPong:      {4002, "no sign of life"},
	fault.ReasonGap:         {4003, "gap: messages were lost for good; connect again without since"},
	fault.ReasonUnavailable: {4004, "not published: Redis does not answer; connect and send again"},
	fault.ReasonFlood:       {4006, "too many frames at once"},
	fault.ReasonExpired:     {4501, "token expired; get a new one"},
	fault.ReasonRevoked:     {codeKicked, "token revoked; get a new one"},
	fault.ReasonProtocol:    {1002, "not the WebSocket protocol"},
	fault.ReasonWrongDoor:   {4503, "this is the raw door; Centrifuge clients connect to /connection/websocket"},
	fault.ReasonForbidden:   {4504, "you may not publish here"},
	fault.ReasonKicked:      {codeKicked, "a server ended this connection"},
	fault.ReasonTooBig:      {1009, "message too big"},
	fault.ReasonError:       {1011, "internal error"},
}

// The codes of ends that a server asked for.
const (
	codeKicked  = 4506 // do not come back
	codeRestart = 4007 // come back
)

func closeMessageFor(r fault.Reason) closeMessage {
	if m, ok := closeMessages[r]; ok {
		return m
	}
	return closeMessage{1011, ""}
}

// serverCloseMessage puts a code of the server API into this door's. Those from
// 4000 on are the caller's own and mean the same here; those under it are the
// Centrifuge protocol's, of which 3000 to 3499 ask the client to come back.
func serverCloseMessage(code uint32, reason string) *closeMessage {
	switch {
	case code >= 4000 && code <= 4999:
		return &closeMessage{uint16(code), reason}
	case code >= 3000 && code < 3500:
		return &closeMessage{codeRestart, reason}
	}
	return &closeMessage{codeKicked, reason}
}

// publishFailed is why a session that cannot be told otherwise is closed when a
// frame of its was not published.
func publishFailed(k fault.Kind) fault.Reason {
	switch k {
	case fault.TokenNeeded, fault.BadToken, fault.TokenExpired, fault.Revoked, fault.Forbidden:
		return fault.ReasonForbidden
	case fault.TooBig:
		return fault.ReasonTooBig
	case fault.TooMany:
		return fault.ReasonFlood
	case fault.Unavailable, fault.Shutdown:
		return fault.ReasonUnavailable
	}
	return fault.ReasonError
}
