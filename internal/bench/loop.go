package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// loop moves the bytes of all connections of a load. Handlers run while the
// owner is in turn, one at a time.
type loop interface {
	// dial starts a connection; number counts the connections of the load.
	dial(addr string, number int, h handler) error
	// turn waits for something to happen, at most for so long, and handles it.
	turn(atMost time.Duration) error
	// traffic is how many bytes came in and went out.
	traffic() (in, out int64)
	// close ends all connections without a call of their handlers.
	close()
}

// handler is what a connection's bytes go to.
type handler interface {
	// connected is called once, when bytes can be written.
	connected(c conn) error
	// data is called with what came in; it is the loop's again afterwards.
	data(b []byte) error
	// ended is called once, with what failed: the connection or its handler.
	ended(err error)
}

// conn is where a handler writes. A write never blocks; b is the caller's again
// when it returns.
type conn interface{ write(b []byte) error }

const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	readBuffer   = 2 << 10
)

// newLoop returns the loop for a plan's target.
func newLoop(p Plan, u *url.URL) (loop, error) {
	to, err := netip.ParseAddrPort(u.Host)
	if err == nil && u.Scheme == "http" && to.Addr().Is4() && to.Addr().IsLoopback() && !p.Goroutines && haveThread {
		return newThread()
	}
	g := &goroutines{dialer: new(net.Dialer)}
	if u.Scheme == "https" {
		g.dialer = &tls.Dialer{Config: &tls.Config{NextProtos: []string{"http/1.1"}, RootCAs: p.Target.Roots}}
	}
	g.life, g.end = context.WithCancel(context.Background())
	g.mu.Lock()
	return g, nil
}

// goroutines is the loop that runs anywhere: each connection has a goroutine
// that reads, and one that writes while there is something to write.
type goroutines struct {
	dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	}
	life context.Context // of the connections
	end  context.CancelFunc
	wait sync.WaitGroup

	// mu is held by whoever runs a handler, and by the owner outside of turn. It
	// guards what follows and all that handlers touch.
	mu      sync.Mutex
	in, out int64
}

func (g *goroutines) turn(atMost time.Duration) error {
	g.mu.Unlock()
	time.Sleep(atMost)
	g.mu.Lock()
	return nil
}

func (g *goroutines) traffic() (in, out int64) { return g.in, g.out }

func (g *goroutines) close() {
	g.end()
	g.mu.Unlock()
	g.wait.Wait()
}

func (g *goroutines) dial(addr string, _ int, h handler) error {
	g.wait.Go(func() {
		err := g.serve(addr, h)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.life.Err() == nil {
			h.ended(err)
		}
	})
	return nil
}

// serve is one connection from its dialing to its end.
func (g *goroutines) serve(addr string, h handler) error {
	ctx, cancel := context.WithTimeout(g.life, dialTimeout)
	defer cancel()
	conn, err := g.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	c := stream{Conn: conn, loop: g}
	defer c.Close()
	defer context.AfterFunc(g.life, func() { c.Close() })() // wakes the reader
	if err := g.handle(func() error { return h.connected(&c) }); err != nil {
		return err
	}
	buf := make([]byte, readBuffer)
	for {
		n, lost := c.Read(buf)
		if n > 0 {
			err = g.handle(func() error { g.in += int64(n); return h.data(buf[:n]) })
		}
		if lost != nil && err == nil {
			err = fmt.Errorf("a connection was lost: %w", lost)
		}
		if err != nil {
			return err
		}
	}
}

func (g *goroutines) handle(f func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.life.Err(); err != nil {
		return err
	}
	return f()
}

// stream is a connection of a loop of goroutines; the loop's mu guards it.
type stream struct {
	net.Conn
	loop    *goroutines
	unsent  []byte
	writing bool
	failed  error
}

func (s *stream) write(b []byte) error {
	s.unsent = append(s.unsent, b...)
	if !s.writing && s.failed == nil {
		s.writing = true
		s.loop.wait.Go(s.flush)
	}
	return s.failed
}

// flush writes until nothing is left.
func (s *stream) flush() {
	s.loop.mu.Lock()
	defer s.loop.mu.Unlock()
	for len(s.unsent) > 0 && s.failed == nil {
		b := s.unsent
		s.unsent = nil
		s.loop.mu.Unlock()
		s.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := s.Write(b)
		s.loop.mu.Lock()
		s.loop.out += int64(n)
		if s.failed = err; err != nil {
			s.Close() // wakes the reader, which tells
		}
	}
	s.writing = false
}
