package raw

import (
	"magpie/internal/problem"
	"magpie/internal/session"
)

// codes are this door's close codes. 4000 to 4499 ask the client to come
// back, 4500 to 4999 not to; those under 4000 are RFC 6455's.
var codes = map[session.Reason]struct {
	code uint16
	text string
}{
	session.ReasonClient:      {1000, ""},
	session.ReasonShutdown:    {4000, "this node restarts; connect again in a moment"},
	session.ReasonSlow:        {4001, "too slow: more waited for you than the outbox holds; connect again with since"},
	session.ReasonNoPong:      {4002, "no sign of life"},
	session.ReasonGap:         {4003, "gap: messages were lost for good; connect again without since"},
	session.ReasonUnavailable: {4004, "not published: Redis does not answer; connect and send again"},
	session.ReasonFlood:       {4006, "too many frames at once"},
	session.ReasonExpired:     {4501, "token expired; get a new one"},
	session.ReasonProtocol:    {1002, "not the WebSocket protocol"},
	session.ReasonWrongDoor:   {4503, "this is the raw door; Centrifuge clients connect to /connection/websocket"},
	session.ReasonForbidden:   {4504, "you may not publish here"},
	session.ReasonKicked:      {kicked, "a server ended this connection"},
	session.ReasonTooBig:      {1009, "message too big"},
	session.ReasonError:       {1011, "internal error"},
}

func closeCode(r session.Reason) (uint16, string) {
	if c, ok := codes[r]; ok {
		return c.code, c.text
	}
	return 1011, ""
}

// publishFailed is why a session that cannot be told otherwise ends when a
// frame of its was not published.
func publishFailed(p *problem.Problem) session.Reason {
	switch p.Status {
	case 401, 403:
		return session.ReasonForbidden
	case 413:
		return session.ReasonTooBig
	case 503:
		return session.ReasonUnavailable
	}
	return session.ReasonError
}
