package ws

import "magpie/internal/session"

// Reason is the session's word for what ended its socket.
func (c Cause) Reason() session.Reason {
	switch c {
	case CauseShutdown:
		return session.ReasonShutdown
	case CauseProtocol, CauseUTF8, CauseSlowIn:
		return session.ReasonProtocol
	case CauseTooBig:
		return session.ReasonTooBig
	case CauseFlood:
		return session.ReasonFlood
	case CauseNoPong:
		return session.ReasonNoPong
	case CauseSlowOut:
		return session.ReasonSlow
	case CauseHandler:
		return session.ReasonError
	}
	return session.ReasonClient
}
