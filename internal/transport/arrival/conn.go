package arrival

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"

	"magpie/internal/transport/socket"
)

// Conn is a connection that a Listener has accepted. It knows what the HTTP
// library takes away from a request that has Transfer-Encoding: a Content-Length
// beside it. A proxy in front may have gone by that length, and have taken for a
// body what would be a request here (RFC 9112 section 11.2).
type Conn struct {
	socket.Begun
	from   net.Addr    // what a PROXY header named; nil: none did
	two    bool        // the first head has both
	length atomic.Bool // the name Content-Length came, in a head or a body

	// owned by Read
	tail [len(contentLength) - 1]byte // the last octets that came
	kept int                          // how many of tail they are
}

const (
	contentLength    = "content-length"
	transferEncoding = "transfer-encoding"
)

func newConn(tcp *net.TCPConn, head []byte) *Conn {
	return &Conn{Begun: socket.Begun{TCPConn: tcp, Rest: head}, two: hasField(head, contentLength) && hasField(head, transferEncoding)}
}

// RemoteAddr implements net.Conn: behind a proxy with the PROXY protocol it is that
// of the proxy's client.
func (c *Conn) RemoteAddr() net.Addr {
	if c.from != nil {
		return c.from
	}
	return c.Begun.RemoteAddr()
}

// hasField tells whether a head has a field; name is in small letters.
func hasField(head []byte, name string) bool {
	for line := range bytes.Lines(head) {
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return false
		}
		if field, _, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(field), name) {
			return true
		}
	}
	return false
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Begun.Read(b)
	if !c.length.Load() && c.names(b[:n]) {
		c.length.Store(true)
	}
	return n, err
}

// names tells whether the name Content-Length is in what came, or ends there.
func (c *Conn) names(b []byte) bool {
	border := append(c.tail[:c.kept:c.kept], b[:min(len(b), len(c.tail))]...)
	if hasName(border) || hasName(b) {
		return true
	}
	if len(b) >= len(c.tail) {
		border = b
	}
	c.kept = copy(c.tail[:], border[max(0, len(border)-len(c.tail)):])
	return false
}

func hasName(b []byte) bool {
	const before = len("content")
	for at := 0; ; at++ {
		next := bytes.IndexByte(b[at:], '-')
		if next < 0 {
			return false
		}
		at += next
		start := at - before
		if start >= 0 && start+len(contentLength) <= len(b) && strings.EqualFold(string(b[start:start+len(contentLength)]), contentLength) {
			return true
		}
	}
}

// Lengths is how many lengths a request that has Transfer-Encoding may have.
type Lengths int

const (
	// OneLength is Transfer-Encoding alone.
	OneLength Lengths = iota
	// PerhapsTwo says that there may be a Content-Length beside it.
	PerhapsTwo
	// TwoLengths says that there is one.
	TwoLengths
)

type connKey struct{}

// WithConn is the http.Server.ConnContext of a server whose listener is a
// Listener.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*Conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// LengthsOf tells of a request that has Transfer-Encoding, by its context. Nothing
// is known, PerhapsTwo, where the connection came by another way than a Listener.
func LengthsOf(ctx context.Context) Lengths {
	c, ok := ctx.Value(connKey{}).(*Conn)
	switch {
	case ok && c.two:
		return TwoLengths
	case ok && !c.length.Load():
		return OneLength
	}
	return PerhapsTwo
}
