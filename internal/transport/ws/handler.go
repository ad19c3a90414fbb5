package ws

import (
	"errors"
	"fmt"
)

// Handler receives what a connection brings. Its methods run on one of the
// Server's workers, one at a time per connection and in order. They may block;
// meanwhile at most MaxMessage bytes (or one message) of this connection are
// read ahead, and pings are still answered.
type Handler interface {
	// Message is one whole message. The payload is the handler's to keep; its
	// text is valid UTF-8 when op is Text.
	Message(op Op, payload []byte)
	// Closed is called exactly once, after the last Message: nothing more will
	// come, and what is written goes nowhere.
	Closed(CloseInfo)
}

// Prompt is what a Handler may implement to handle at once what takes no
// waiting, on the goroutine that read it: waking a worker for it costs more
// than most messages do.
type Prompt interface {
	// Now handles as much of the message as it can without blocking, and returns
	// what is left for Message: nil, nothing. It is called in order with Message
	// and never beside it.
	Now(op Op, payload []byte) (rest []byte)
}

// Codes is what a Handler may implement to say goodbye in its protocol's own
// close codes when the connection ends for a cause that this package found.
// It must not block. Code 0 asks for the default of RFC 6455 section 7.4.
type Codes interface {
	CloseCode(Cause) (code uint16, reason string)
}

// Cause says what began the end of a connection. Causes are stable words for
// logs and metrics.
type Cause string

// What can begin the end of a connection.
const (
	CauseLocal    Cause = "local"    // CloseWith
	CauseShutdown Cause = "shutdown" // Server.Close
	CauseClient   Cause = "client"   // the peer's close frame
	CauseLost     Cause = "lost"     // end of stream or an error, without a close frame
	CauseProtocol Cause = "protocol" // not RFC 6455 (1002)
	CauseUTF8     Cause = "utf8"     // text that is not UTF-8 (1007)
	CauseTooBig   Cause = "too_big"  // a message over MaxMessage (1009)
	CauseSlowIn   Cause = "slow_in"  // a message that came too slowly or in too many pieces (1008)
	CauseFlood    Cause = "flood"    // too many control frames (1008)
	CauseNoPong   Cause = "no_pong"  // silence (1008)
	CauseSlowOut  Cause = "slow_out" // the peer took nothing for WriteTimeout
	CauseHandler  Cause = "handler"  // the handler panicked (1011)
)

// CloseInfo tells how a connection ended.
type CloseInfo struct {
	Cause Cause
	// Code and Reason are the peer's when Cause is CauseClient (1005 when it
	// gave none), else what was sent to it, or meant to be; 1006 when nothing
	// was.
	Code   uint16
	Reason string
	// Err is the detail for a log, nil for an orderly end.
	Err error
}

// Close codes of RFC 6455 section 7.4.1.
const (
	codeGoingAway = 1001
	codeProtocol  = 1002
	codeNoStatus  = 1005
	codeAbnormal  = 1006
	codeUTF8      = 1007
	codePolicy    = 1008
	codeTooBig    = 1009
	codeInternal  = 1011
)

// ErrClosed is returned for what comes after a connection's end.
var ErrClosed = errors.New("ws: connection closed")

// fault is what a peer did wrong.
type fault struct {
	cause Cause
	text  string
}

func (f *fault) Error() string { return fmt.Sprintf("ws: %s: %s", f.cause, f.text) }

func defaultCode(c Cause) uint16 {
	switch c {
	case CauseProtocol:
		return codeProtocol
	case CauseUTF8:
		return codeUTF8
	case CauseTooBig:
		return codeTooBig
	case CauseHandler:
		return codeInternal
	case CauseShutdown:
		return codeGoingAway
	case CauseLost, CauseSlowOut:
		return codeAbnormal
	}
	return codePolicy
}

// validCode tells whether a peer may send this code in a close frame
// (RFC 6455 section 7.4 and the IANA registry: 1012 to 1014).
func validCode(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1003:
		return true
	case code >= 1007 && code <= 1014:
		return true
	}
	return false
}
