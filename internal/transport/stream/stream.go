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
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// ErrClosed is returned for what comes after a stream's end.
var ErrClosed = errors.New("stream: closed")

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
	// headTimeout and endWait are the constants but for tests.
	headTimeout, endWait time.Duration
}

// Server holds what streams share. All methods are safe for concurrent use.
type Server struct {
	// set at construction
	cfg    Config
	shards []*socket.Shard[*watched]

	turn atomic.Uint32 // picks the next stream's shard
	down atomic.Bool   // set under mu

	mu   sync.Mutex // guards what follows
	live int        // streams that were taken over, and goroutines that serve them
	idle chan struct{}
}

// readBuffer is a poller's buffer. Clients have nothing to say while they
// listen.
const readBuffer = 4 << 10

// New starts the pollers. Close stops them.
func New(cfg Config) (*Server, error) {
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.headTimeout == 0 {
		cfg.headTimeout = headTimeout
	}
	if cfg.endWait == 0 {
		cfg.endWait = endWait
	}
	s := &Server{cfg: cfg, idle: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		sh, err := socket.NewShard[*watched](socket.Config{
			Buffer: readBuffer, Portable: cfg.forcePortable, Closing: s.down.Load, Log: cfg.Log,
		})
		if err != nil {
			s.stopPollers()
			return nil, err
		}
		s.shards = append(s.shards, sh)
	}
	return s, nil
}

// Open begins the answer: status 200 with the headers that are set on w so
// far. The handler then calls Serve and returns. Blocks for as long as a write
// of some hundred bytes takes; an error says that nobody is there to be told.
func (s *Server) Open(w http.ResponseWriter, r *http.Request, client Client) (*Conn, error) {
	if r.ProtoMajor == 1 && r.TLS == nil {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err == nil {
			return s.takeOver(nc, rw, w.Header(), r, client)
		}
		if !errors.Is(err, http.ErrNotSupported) {
			return nil, err
		}
	}
	return s.keep(w, client)
}

// enter counts a stream, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		return false
	}
	s.live++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live == 0 && s.down.Load() {
		close(s.idle)
	}
}

// spawn runs f on a goroutine that Close waits for. The caller is counted
// itself.
func (s *Server) spawn(f func()) {
	s.mu.Lock()
	s.live++
	s.mu.Unlock()
	go func() {
		defer s.leave()
		f()
	}()
}

// Len is the number of streams whose connection was taken over and is open.
func (s *Server) Len() int {
	n := 0
	for _, sh := range s.shards {
		n += sh.Len()
	}
	return n
}
