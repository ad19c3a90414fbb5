package ws

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"magpie/internal/fault"
)

// handshakeTimeout bounds the writing of the 101 answer. It fits any socket's
// empty send buffer; only a broken one needs the bound.
const handshakeTimeout = 5 * time.Second

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
	case !only(r.Header["Sec-Websocket-Version"], "13"):
		return fault.New(fault.HandshakeVersion, "Only WebSocket version 13 is spoken here.")
	case !validKey(r.Header["Sec-Websocket-Key"]):
		return fault.New(fault.Handshake, "Sec-WebSocket-Key must be 16 bytes in base64.")
	case s.conns.Closing():
		return &fault.Fault{Kind: fault.HandshakeShutdown, Message: "The server is shutting down.", Wait: time.Second}
	}
	return nil
}

func only(values []string, want string) bool { return len(values) == 1 && values[0] == want }

func validKey(values []string) bool {
	if len(values) != 1 || len(values[0]) != 24 {
		return false
	}
	var key [18]byte
	n, err := base64.StdEncoding.Decode(key[:], []byte(values[0]))
	return err == nil && n == 16
}

// hasToken looks for a token in comma-separated header values, in any case
// (RFC 9110 section 5.6.1).
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// choose picks the first of the client's subprotocols that the door speaks,
// "" when there is none. Linear in the header's length.
func choose(offers, spoken []string) string {
	if len(spoken) == 0 {
		return ""
	}
	for _, v := range offers {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.Trim(part, " \t")
			for _, p := range spoken {
				if part == p {
					return p // ours: what was sent is not kept
				}
			}
		}
	}
	return ""
}

// acceptKey answers the client's key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// switchProtocols takes the connection over from net/http and answers 101. It
// returns what the client sent ahead of the answer. On an error after the
// takeover the connection is closed.
func switchProtocols(w http.ResponseWriter, r *http.Request, subprotocol string) (net.Conn, []byte, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fault.New(fault.HandshakeInternal, "This connection cannot be taken over.")
	}
	if err := answer(nc, rw.Writer, r, subprotocol); err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("answer handshake: %w", err)
	}
	var ahead []byte
	if n := rw.Reader.Buffered(); n > 0 {
		ahead = make([]byte, n)
		rw.Reader.Read(ahead) // from memory: takes all, cannot fail
	}
	return nc, ahead, nil
}

func answer(nc net.Conn, w *bufio.Writer, r *http.Request, subprotocol string) error {
	nc.SetDeadline(time.Now().Add(handshakeTimeout))
	w.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	w.WriteString(acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	if subprotocol != "" {
		w.WriteString("\r\nSec-WebSocket-Protocol: ")
		w.WriteString(subprotocol)
	}
	w.WriteString("\r\n\r\n")
	if err := w.Flush(); err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{})
}
