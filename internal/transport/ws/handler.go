package ws

import "magpie/internal/fault"

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

// Immediate is what a Handler may implement to handle at once what needs no
// waiting, on the goroutine that read it: waking a worker for it costs more
// than most messages do.
type Immediate interface {
	// Now handles as much of the message as it can without blocking, and returns
	// what is left for Message: nil, nothing. It is called in order with Message
	// and never beside it.
	Now(op Op, payload []byte) (rest []byte)
}

// Codes is what a Handler may implement to end the connection with its
// protocol's own close code when this package found the reason. It must not
// block. Code 0 asks for the default of RFC 6455 section 7.4.
type Codes interface {
	CloseCode(fault.Reason) (code uint16, text string)
}

// CloseInfo tells how a connection ended.
type CloseInfo struct {
	// Reason is ReasonClient when the peer began the end, with a close frame or
	// without, and after CloseWith, whose caller has a reason of its own.
	Reason fault.Reason
	// Code and Text are the peer's when it sent the first close frame (1005 when
	// it gave no code), else what was sent to it, or was to be sent; 1006 when
	// nothing was.
	Code uint16
	Text string
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

// violation is a reason that this package finds to end a connection, with the
// close code of RFC 6455 that it has by default.
type violation struct {
	reason fault.Reason
	code   uint16
	text   string // for logs
	framed bool   // an honest peer goes on with whole frames, up to its close frame
}

func (v *violation) Error() string { return "ws: " + v.text }

func notProtocol(text string) *violation {
	return &violation{fault.ReasonProtocol, codeProtocol, text, false}
}

func notUTF8(text string) *violation {
	return &violation{fault.ReasonProtocol, codeUTF8, text, false}
}

var (
	errTooBig    = &violation{fault.ReasonTooBig, codeTooBig, "message is over the limit", true}
	errHuge      = &violation{fault.ReasonTooBig, codeTooBig, "message is far over the limit", false} // nobody reads to its end
	errFragments = &violation{fault.ReasonProtocol, codePolicy, "message in too many fragments", false}
	errTooSlow   = &violation{fault.ReasonProtocol, codePolicy, "message took too long", false}
	errFlood     = &violation{fault.ReasonFlood, codePolicy, "too many control frames", false}
	errSilent    = &violation{fault.ReasonNoPong, codePolicy, "no sign of life", false}
)

// validCode tells whether a peer may send this code in a close frame
// (RFC 6455 section 7.4 and the IANA registry: 1012 to 1014).
func validCode(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}
