// Package stream is HTTP streaming: an answer that goes on for as long as the
// session lives. It knows no event format.
//
// Over plain HTTP/1 a stream's connection is taken over from net/http, which
// would keep 15 KB and a goroutine for each. What is left is a Conn and its
// socket; on Linux a poller watches it, elsewhere one shallow goroutine. The
// body is chunked, as net/http's would be: so a client and a proxy can tell an
// orderly end from a broken one, which a body that ends with its connection
// does not let them (RFC 9112 section 6.3). HTTP/1.0 knows no chunks and has
// such a body. HTTP/2, and TLS, whose writes may block, stay with net/http.
//
// Goroutines: one per poller, started by New; one that waits per connection
// without a poller; short-lived ones that finish an end which a full socket
// did not take. Server.Close ends all of them and waits. Where net/http keeps
// the connection, its own goroutine waits in Conn.Serve.
package stream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// Client is told how its stream ends.
type Client interface {
	// Gone says that nobody takes the stream any more. It may come before Open
	// has returned, from any goroutine, and more than once. It must not block.
	Gone(fault.Reason)
}

// Config is what New needs. Zero values stand for the defaults named.
type Config struct {
	// WriteTimeout is how long a client may take nothing (10 s).
	WriteTimeout time.Duration
	// Log receives failures of pollers (discards by default).
	Log *slog.Logger

	// forcePortable makes connections that are taken over do without pollers
	// and without writes that do not block.
	forcePortable bool
	// endWait is the constant but for tests.
	endWait time.Duration
}

// Server holds what streams share. All methods are safe for concurrent use.
type Server struct {
	cfg   Config
	conns *socket.Conns[*watched] // those that were taken over
}

// readBuffer is a poller's buffer. Clients have nothing to say while they
// listen.
const readBuffer = 4 << 10

// New starts the pollers. Close stops them.
func New(cfg Config) (*Server, error) {
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 10*time.Second)
	cfg.endWait = cmp.Or(cfg.endWait, endWait)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	conns, err := socket.New[*watched](socket.Config{Buffer: readBuffer, Portable: cfg.forcePortable, Log: cfg.Log})
	return &Server{cfg: cfg, conns: conns}, err
}

// Close refuses new streams, ends those that were taken over and are left
// (sessions have been closed before), waits for them and stops the pollers.
// When ctx ends earlier it closes their sockets and returns its error. Streams
// that net/http kept are net/http's to wait for. May be called again.
func (s *Server) Close(ctx context.Context) error {
	return s.conns.Close(ctx, func(c *watched) { (*Conn)(c).Close() }, func(c *watched) { (*Conn)(c).drop() })
}

// Len is the number of streams whose connection was taken over and is open.
func (s *Server) Len() int { return s.conns.Len() }

// Open begins the answer: status 200 with the headers that are set on w so
// far. The handler then calls Serve and returns. Blocks for as long as a write
// of some hundred bytes takes; an error says that nobody is there to be told.
func (s *Server) Open(w http.ResponseWriter, r *http.Request, client Client) (*Conn, error) {
	if r.ProtoMajor != 1 || r.TLS != nil {
		return s.manage(w, client)
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	switch {
	case errors.Is(err, http.ErrNotSupported):
		return s.manage(w, client)
	case err != nil:
		return nil, err
	}
	c := &Conn{srv: s, client: client, bare: r.ProtoMinor == 0, discarded: uint32(rw.Reader.Buffered())}
	if err := s.conns.Add((*watched)(c), nc, c.head(w.Header())); err != nil {
		return nil, err
	}
	s.conns.Read((*watched)(c))
	return c, nil
}
