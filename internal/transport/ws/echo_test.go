package ws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"magpie/internal/fault"
	"magpie/internal/wheel"
)

const patience = 30 * time.Second

// statuses are stand-ins for those of package problem.
var statuses = map[fault.Kind]int{
	fault.Handshake: 400, fault.HandshakeMethod: 405, fault.HandshakeHTTP: 505, fault.HandshakeVersion: 426,
	fault.HandshakeShutdown: 503, fault.HandshakeInternal: 500,
}

// endpoint is a Server behind a real net/http server on loopback.
type endpoint struct {
	*Server
	addr string
	// Handle makes the handler of each connection.
	mu    sync.Mutex
	conns []*Conn
}

// both runs a test over the poller and over a goroutine per connection.
func both(t *testing.T, f func(t *testing.T, portable bool)) {
	t.Run("polled", func(t *testing.T) { f(t, false) })
	t.Run("portable", func(t *testing.T) { f(t, true) })
}

// listen starts an endpoint. hello is called with each connection before it
// reads and returns nothing; newHandler makes its handler.
func listen(t testing.TB, cfg Config, newHandler func(conn func() *Conn) Handler) *endpoint {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if cfg.Wheel == nil {
		cfg.Wheel = wheel.New(10 * time.Millisecond)
	}
	go cfg.Wheel.Run(ctx)
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{Server: srv, addr: ln.Addr().String()}
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready := make(chan struct{})
		var c *Conn
		h := newHandler(func() *Conn { <-ready; return c })
		var err error
		c, err = srv.Accept(w, r, []string{"one", "two"}, h)
		if err != nil {
			if f, ok := errors.AsType[*fault.Fault](err); ok {
				http.Error(w, f.Message, statuses[f.Kind])
			}
			return
		}
		e.mu.Lock()
		e.conns = append(e.conns, c)
		e.mu.Unlock()
		close(ready)
		c.Start()
	})}
	go hs.Serve(ln)
	t.Cleanup(func() {
		hs.Close()
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		cancel()
	})
	return e
}

// echo sends back what it receives, as a session does: TryWrite first, the
// rest with Write.
type echo struct {
	conn   func() *Conn
	closed chan CloseInfo
}

// Now implements Immediate: short texts of even length are answered at once, so
// that every test of the echo mixes both ways, and their order counts.
func (e *echo) Now(op Op, payload []byte) []byte {
	if len(payload) > 100 || len(payload)%2 != 0 {
		return payload
	}
	e.Message(op, payload)
	return nil
}

func (e *echo) Message(op Op, payload []byte) {
	frame, c := Frame(op, payload), e.conn()
	n, err := c.TryWrite(frame)
	if err == nil && n < len(frame) {
		c.Write([][]byte{frame[n:]})
	}
}

func (e *echo) Closed(info CloseInfo) {
	if e.closed != nil {
		e.closed <- info
	}
}

func newEcho(closed chan CloseInfo) func(func() *Conn) Handler {
	return func(conn func() *Conn) Handler { return &echo{conn, closed} }
}
