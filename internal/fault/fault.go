// Package fault says why something was refused and why a session ended, in
// words that no protocol owns. Each door has one table from a Kind, or a
// Reason, to its own codes; HTTP's is package problem.
//
// It does no I/O and starts no goroutine.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what went wrong. Kinds are stable words of logs and metrics.
type Kind string

// The kinds. What the client asked for:
const (
	BadChannel   Kind = "bad_channel"
	BadPosition  Kind = "bad_position"
	BadParameter Kind = "bad_parameter"
	BadName      Kind = "bad_name" // the name that a guest wants
	TooBig       Kind = "too_big"  // over a limit in bytes
	Limit        Kind = "limit"    // over a limit in number
	TooMany      Kind = "too_many" // too much at once; the same request may be taken a moment later
	Conflict     Kind = "conflict" // an idempotency key that stands for another message
	NoPresence   Kind = "no_presence"
	Handshake    Kind = "bad_handshake" // not the request that begins a connection
)

// More kinds of a refused handshake, for those that HTTP tells apart.
const (
	HandshakeMethod   Kind = "handshake_method"   // not GET
	HandshakeHTTP     Kind = "handshake_http"     // a version of HTTP that cannot carry it
	HandshakeVersion  Kind = "handshake_version"  // a version of WebSocket that is not spoken
	HandshakeShutdown Kind = "handshake_shutdown" // another node will
	HandshakeInternal Kind = "handshake_internal" // a defect of ours
)

// Who the client is, and what it may do:
const (
	TokenNeeded  Kind = "token_needed"
	BadToken     Kind = "bad_token"
	TokenExpired Kind = "token_expired"
	Revoked      Kind = "token_revoked" // a server took it back before its end
	BadKey       Kind = "bad_key"
	Forbidden    Kind = "forbidden"
)

// What the server cannot do now:
const (
	Unavailable Kind = "unavailable"
	Shutdown    Kind = "shutdown" // another node will
	Internal    Kind = "internal" // a defect of ours
)

// Fault is a refusal. Faults are made once and not changed.
type Fault struct {
	Kind Kind
	// Message is a sentence for the client that says what to do. It holds no
	// secret, no address and nothing that only the log should have. Empty
	// stands for the kind's own sentence.
	Message string
	// Setting names the setting that decided, "" when none did.
	Setting string
	// Wait is how long the client should wait before it asks again; 0 says
	// nothing about it.
	Wait time.Duration
	// Cause is for logs alone.
	Cause error
}

// New returns a fault with a sentence for the client.
func New(k Kind, message string) *Fault { return &Fault{Kind: k, Message: message} }

// Newf is New with a formatted sentence.
func Newf(k Kind, format string, args ...any) *Fault { return New(k, fmt.Sprintf(format, args...)) }

// Wrap returns a fault with the kind's own sentence and a cause for the log.
func Wrap(k Kind, cause error) *Fault { return &Fault{Kind: k, Cause: cause} }

// Error is the text for a log.
func (f *Fault) Error() string {
	switch {
	case f.Cause == nil:
		return f.Sentence()
	case f.Message == "":
		return string(f.Kind) + ": " + f.Cause.Error()
	}
	return strings.TrimSuffix(f.Message, ".") + ": " + f.Cause.Error()
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Is says that two faults of one kind are the same to errors.Is.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Kind == f.Kind
}

// Sentence is what the client is told.
func (f *Fault) Sentence() string {
	if f.Message != "" {
		return f.Message
	}
	return sentences[f.Kind]
}

// OutOrNot tells a publisher whose answer was lost what to do.
const OutOrNot = "A message that was sent may be out or not: send it again with the same Idempotency-Key."

// sentences are what clients are told when the fault does not say it better.
var sentences = map[Kind]string{
	Conflict:    "This idempotency key was used for another message in this channel; take a new key.",
	Unavailable: "Redis does not answer now; try again. " + OutOrNot,
	Shutdown:    "This node is shutting down; try again, another one will answer.",
	Internal:    "Something went wrong here; the server's log says what.",
	NoPresence:  "this channel keeps no presence (rule: presence)",
}

// Of finds the fault in an error's chain. An error without one is a defect of
// ours: Internal, with the error as its cause. It returns nil for nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return Wrap(Internal, err)
}

// KindOf is Of(err).Kind, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return Of(err).Kind
}
