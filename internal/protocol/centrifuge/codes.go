package centrifuge

import (
	"errors"

	"github.com/centrifugal/protocol"

	"magpie/internal/fault"
	"magpie/internal/problem"
	"magpie/internal/session"
)

// All codes of the protocol that this door uses. An answer refuses one
// command, a farewell ends the connection, an ending ends one subscription.

// answer is an error reply.
type answer struct {
	code      uint32
	text      string
	temporary bool // the same command may succeed a moment later
}

var (
	errInternal      = &answer{100, "internal server error", true}
	errUnauthorized  = &answer{101, "unauthorized", false}
	errDenied        = &answer{103, "permission denied", false}
	errMethod        = &answer{104, "method not found", false}
	errSubscribed    = &answer{105, "already subscribed", false}
	errLimit         = &answer{106, "limit exceeded", false}
	errBadRequest    = &answer{107, "bad request", false}
	errNotAvailable  = &answer{108, "not available", false}
	errTokenExpired  = &answer{109, "token expired", false}
	errExpired       = &answer{110, "expired", false}
	errTooMany       = &answer{111, "too many requests", true}
	errUnrecoverable = &answer{112, "unrecoverable position", false}
)

func (a *answer) wire() *protocol.Error {
	return &protocol.Error{Code: a.code, Message: a.text, Temporary: a.temporary}
}

// answers is the table from faults to answers. A kind without a row is what
// the server cannot do now, or a defect of ours: errInternal.
var answers = map[fault.Kind]*answer{
	fault.TokenExpired: errTokenExpired,
	fault.TokenNeeded:  errUnauthorized,
	fault.BadToken:     errUnauthorized,
	fault.BadKey:       errUnauthorized,
	fault.Forbidden:    errDenied,
	fault.BadChannel:   errBadRequest,
	fault.TooBig:       errLimit,
	fault.Limit:        errLimit,
	fault.NoPresence:   errNotAvailable,
}

func answerFor(err error) *answer {
	if p, ok := errors.AsType[*problem.Problem](err); ok && p.Code == session.LimitCode {
		return errLimit
	}
	if a, ok := answers[fault.KindOf(err)]; ok {
		return a
	}
	return errInternal
}

// farewell is how a connection ends: the close code of a WebSocket, a push on
// other transports. SDKs come back unless the code is 3500 to 3999 or 4500 to
// 4999.
type farewell struct {
	code   uint32
	text   string
	reason session.Reason // for logs and metrics
}

var (
	byeNormal       = farewell{3000, "connection closed", session.ReasonClient}
	byeShutdown     = farewell{3001, "shutdown", session.ReasonShutdown}
	byeError        = farewell{3004, "internal server error", session.ReasonError}
	byeExpired      = farewell{3005, "connection expired", session.ReasonExpired}
	byeSubExpired   = farewell{3006, "subscription expired", session.ReasonExpired}
	byeSlow         = farewell{3008, "slow", session.ReasonSlow}
	byeInsufficient = farewell{3010, "insufficient state", session.ReasonGap}
	byeNoPong       = farewell{3012, "no pong", session.ReasonNoPong}
	byeTooMany      = farewell{3013, "too many requests", session.ReasonFlood}
	byeToken        = farewell{3500, "invalid token", session.ReasonToken}
	byeBadRequest   = farewell{3501, "bad request", session.ReasonProtocol}
	byeStale        = farewell{3502, "stale", session.ReasonStale}
	byeChannels     = farewell{3505, "channel limit", session.ReasonForbidden}
	byeForbidden    = farewell{3507, "permission denied", session.ReasonForbidden}
	byeErrors       = farewell{3509, "too many errors", session.ReasonFlood}
	// byeType is RFC 6455's: a text frame on a Protobuf connection, or the other
	// way round.
	byeType = farewell{1003, "wrong type of frame", session.ReasonProtocol}
)

// forceNoReconnect is the code of a server that named none of its own.
const forceNoReconnect = 3503

// farewells put the session's reasons into the protocol's codes.
var farewells = map[session.Reason]farewell{
	session.ReasonClient:      byeNormal,
	session.ReasonSlow:        byeSlow,
	session.ReasonShutdown:    byeShutdown,
	session.ReasonGap:         byeInsufficient,
	session.ReasonNoPong:      byeNoPong,
	session.ReasonTooBig:      {1009, "message too big", session.ReasonTooBig},
	session.ReasonProtocol:    byeBadRequest,
	session.ReasonUnavailable: byeError,
	session.ReasonForbidden:   byeForbidden,
	session.ReasonExpired:     byeExpired,
	session.ReasonError:       byeError,
	session.ReasonFlood:       byeTooMany,
	session.ReasonToken:       byeToken,
	session.ReasonStale:       byeStale,
}

func farewellFor(r session.Reason) farewell {
	if f, ok := farewells[r]; ok {
		return f
	}
	return byeError
}

// ending is how the server ends a subscription. SDKs subscribe again from
// code 2500 on.
type ending struct {
	code uint32
	text string
}

var (
	endServer       = ending{2000, "server unsubscribe"}
	endInsufficient = ending{2500, "insufficient state"}
	endExpired      = ending{2501, "subscription expired"}
)
