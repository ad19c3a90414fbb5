package stream

import (
	"context"
	"sync"
	"sync/atomic"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// Conn is one open answer. All methods are safe for concurrent use, but
// TryWrite and Write must not overlap each other.
//
// The token is the right to write to the socket; only Write waits for it. It is
// not held while calling the client.
type Conn struct {
	managed *managed // where net/http has the connection, else nil; then nothing below is used

	// set at construction
	srv    *Server
	client Client
	slot   socket.Slot
	bare   bool // the body is not chunked: it ends with the connection

	token sync.Mutex
	// guarded by token
	shut  bool  // nothing more is written
	chunk chunk // the one that is half written; the next Write ends it

	discarded uint32 // owned by the reader: octets that came behind the request

	claimed   atomic.Bool // by the first Finish, whose last is
	last      []byte      // written before finishing is set, read after it
	finishing atomic.Bool
}

// watched is a Conn as its reader sees it.
type watched Conn

func (c *watched) Slot() *socket.Slot       { return &c.slot }
func (c *watched) Received(buf []byte) bool { return (*Conn)(c).received(len(buf)) }
func (c *watched) Lost(error)               { (*Conn)(c).lost(fault.ReasonClient) }
func (c *watched) Inside() bool             { return false }

// maxDiscarded is how much a client may send behind its request. An honest one
// sends nothing, or one request more, which we said not to answer (RFC 9112
// section 9.6).
const maxDiscarded = 64 << 10

func (c *Conn) received(n int) (more bool) {
	if c.discarded += uint32(n); c.discarded > maxDiscarded {
		c.lost(fault.ReasonFlood)
		return false
	}
	return true
}

// lost is called by the reader when the client has gone, or must go. A client
// that ends its own direction has gone, as with net/http.
func (c *Conn) lost(r fault.Reason) {
	c.srv.conns.Pause((*watched)(c)) // else it would be reported for ever
	c.client.Gone(r)
	c.drop()
}

// Serve returns when the handler may: at once where the connection was taken
// over, else at the end of the stream. ctx is the request's.
func (c *Conn) Serve(ctx context.Context) {
	if c.managed != nil {
		c.managed.wait(ctx)
	}
}

// drop closes the socket. It does not block and may be called again.
func (c *Conn) drop() { c.srv.conns.Drop((*watched)(c)) }
