package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"magpie/internal/fault"
)

// Check tells whether r is a WebSocket handshake (RFC 6455 section 4.2.1). It
// has no side effects; the error is a *fault.Fault. The Origin is not looked at:
// who may come from where is the door's policy.
func (s *Server) Check(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return fault.New(fault.HandshakeMethod, "WebSocket connections begin with GET.")
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return fault.New(fault.HandshakeHTTP, "WebSocket needs HTTP/1.1.")
	case !hasToken(r.Header["Upgrade"], "websocket"):
		return fault.New(fault.Handshake, "The Upgrade header must name websocket.")
	case !hasToken(r.Header["Connection"], "upgrade"):
		return fault.New(fault.Handshake, "The Connection header must name Upgrade.")
	case r.ContentLength != 0:
		// A body would be read as the first frames.
		return fault.New(fault.Handshake, "A WebSocket handshake has no body.")
	case !slices.Equal(r.Header["Sec-Websocket-Version"], []string{"13"}):
		return fault.New(fault.HandshakeVersion, "Only WebSocket version 13 is spoken here.")
	case !validKey(r.Header["Sec-Websocket-Key"]):
		return fault.New(fault.Handshake, "Sec-WebSocket-Key must be 16 bytes in base64.")
	case s.conns.Closing():
		return &fault.Fault{Kind: fault.HandshakeShutdown, Message: "The server is shutting down.", Wait: time.Second}
	}
	return nil
}

func validKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(key) == 16
}

// hasToken looks for a token in comma-separated header values, in any case
// (RFC 9110 section 5.6.1).
func hasToken(values []string, token string) bool {
	for part := range parts(values) {
		if strings.EqualFold(part, token) {
			return true
		}
	}
	return false
}

func parts(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range values {
			for part := range strings.SplitSeq(v, ",") {
				if !yield(strings.Trim(part, " \t")) {
					return
				}
			}
		}
	}
}

// choose picks the first of the client's subprotocols that the door speaks,
// "" when there is none. Linear in the header's length.
func choose(offers, spoken []string) string {
	for part := range parts(offers) {
		if i := slices.Index(spoken, part); i >= 0 {
			return spoken[i] // ours: what was sent is not kept
		}
	}
	return ""
}

// accept is the head of the answer to r (RFC 6455 section 4.2.2).
func accept(r *http.Request, subprotocol, extension string) []byte {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if subprotocol != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), subprotocol...)
	}
	if extension != "" {
		b = append(append(b, "\r\nSec-WebSocket-Extensions: "...), extension...)
	}
	return append(b, "\r\n\r\n"...)
}
