package centrifuge

import (
	"errors"

	"magpie/internal/fault"
)

// All codes of the protocol that this door uses.

// errorReply refuses one command; it is an error.
type errorReply struct {
	code      uint32
	text      string
	temporary bool // the same command may succeed a moment later
}

var (
	errInternal      = &errorReply{100, "internal server error", true}
	errUnauthorized  = &errorReply{101, "unauthorized", false}
	errDenied        = &errorReply{103, "permission denied", false}
	errMethod        = &errorReply{104, "method not found", false}
	errSubscribed    = &errorReply{105, "already subscribed", false}
	errLimit         = &errorReply{106, "limit exceeded", false}
	errBadRequest    = &errorReply{107, "bad request", false}
	errNotAvailable  = &errorReply{108, "not available", false}
	errTokenExpired  = &errorReply{109, "token expired", false}
	errExpired       = &errorReply{110, "expired", false}
	errTooMany       = &errorReply{111, "too many requests", true}
	errUnrecoverable = &errorReply{112, "unrecoverable position", false}
)

func (r *errorReply) Error() string { return r.text }

// errorReplies are what faults become. What is in no row is a defect of ours.
var errorReplies = map[fault.Kind]*errorReply{
	fault.TokenExpired: errTokenExpired,
	fault.TokenNeeded:  errUnauthorized,
	fault.BadToken:     errUnauthorized,
	fault.Revoked:      errUnauthorized,
	fault.BadKey:       errUnauthorized,
	fault.Forbidden:    errDenied,
	fault.BadChannel:   errBadRequest,
	fault.TooBig:       errLimit,
	fault.Limit:        errLimit,
	fault.TooMany:      errTooMany,
	fault.NoPresence:   errNotAvailable,
}

func errorReplyFor(err error) *errorReply {
	if r, ok := errors.AsType[*errorReply](err); ok {
		return r
	}
	if r := errorReplies[fault.KindOf(err)]; r != nil {
		return r
	}
	return errInternal
}

// closeMessage is what a client is told when its connection is closed: the close
// code of a WebSocket, a push on other transports. SDKs come back unless the code is 3500 to 3999 or 4500 to
// 4999.
type closeMessage struct {
	code   uint32
	text   string
	reason fault.Reason // for logs and metrics
}

var (
	closeNormal       = closeMessage{3000, "connection closed", fault.ReasonClient}
	closeShutdown     = closeMessage{3001, "shutdown", fault.ReasonShutdown}
	closeError        = closeMessage{3004, "internal server error", fault.ReasonError}
	closeExpired      = closeMessage{3005, "connection expired", fault.ReasonExpired}
	closeSubExpired   = closeMessage{3006, "subscription expired", fault.ReasonExpired}
	closeSlow         = closeMessage{3008, "slow", fault.ReasonSlow}
	closeInsufficient = closeMessage{3010, "insufficient state", fault.ReasonGap}
	closeNoPong       = closeMessage{3012, "no pong", fault.ReasonNoPong}
	closeTooMany      = closeMessage{3013, "too many requests", fault.ReasonFlood}
	closeToken        = closeMessage{3500, "invalid token", fault.ReasonToken}
	closeRevoked      = closeMessage{3500, "invalid token: it was revoked", fault.ReasonRevoked}
	closeBadRequest   = closeMessage{3501, "bad request", fault.ReasonProtocol}
	closeStale        = closeMessage{3502, "stale", fault.ReasonStale}
	closeKicked       = closeMessage{forceNoReconnect, "force disconnect", fault.ReasonKicked}
	closeChannels     = closeMessage{3505, "channel limit", fault.ReasonForbidden}
	closeForbidden    = closeMessage{3507, "permission denied", fault.ReasonForbidden}
	closeErrors       = closeMessage{3509, "too many errors", fault.ReasonFlood}
	// closeType is RFC 6455's: a text frame on a Protobuf connection, or the other
	// way round.
	closeType = closeMessage{1003, "wrong type of frame", fault.ReasonProtocol}
)

// maxCloseText is what a WebSocket close frame holds beside its code, in bytes
// (RFC 6455 section 5.5.1).
const maxCloseText = 123

// forceNoReconnect is the code of a server that named none of its own.
const forceNoReconnect = 3503

// closeMessages put the session's reasons into the protocol's codes.
var closeMessages = map[fault.Reason]closeMessage{
	fault.ReasonClient:      closeNormal,
	fault.ReasonSlow:        closeSlow,
	fault.ReasonShutdown:    closeShutdown,
	fault.ReasonGap:         closeInsufficient,
	fault.ReasonNoPong:      closeNoPong,
	fault.ReasonTooBig:      {1009, "message too big", fault.ReasonTooBig},
	fault.ReasonProtocol:    closeBadRequest,
	fault.ReasonUnavailable: closeError,
	fault.ReasonForbidden:   closeForbidden,
	fault.ReasonExpired:     closeExpired,
	fault.ReasonRevoked:     closeRevoked,
	fault.ReasonKicked:      closeKicked,
	fault.ReasonError:       closeError,
	fault.ReasonFlood:       closeTooMany,
	fault.ReasonToken:       closeToken,
	fault.ReasonStale:       closeStale,
}

func closeMessageFor(r fault.Reason) closeMessage {
	if m, ok := closeMessages[r]; ok {
		return m
	}
	return closeError
}

// unsubscribeMessage is what a client is told when the server ends a
// subscription. SDKs subscribe again from
// code 2500 on.
type unsubscribeMessage struct {
	code uint32
	text string
}

var (
	unsubscribeServer       = unsubscribeMessage{2000, "server unsubscribe"}
	unsubscribeRevoked      = unsubscribeMessage{2000, "token revoked"}
	unsubscribeInsufficient = unsubscribeMessage{2500, "insufficient state"}
	unsubscribeExpired      = unsubscribeMessage{2501, "subscription expired"}
)
