// Package arrival keeps connections that have not sent a whole request head yet.
//
// The HTTP library gives each connection a goroutine and two buffers from its
// first moment on, 20 KB, and keeps them as long as the head takes. Here such a
// connection costs what it has sent, under 1 KB in all, and the library gets it
// when it has something to do. It is for plain HTTP/1: over TLS there is no head
// to be seen.
//
// Goroutines: one that accepts, and those of package socket. Close waits for
// them.
package arrival

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"magpie/internal/transport/socket"
	"magpie/internal/wheel"
)

// Config is what Listen needs.
type Config struct {
	// Wheel times the connections.
	Wheel *wheel.Wheel
	// Within is how long a head may take to come. The connection is closed then.
	Within time.Duration
	// MaxHead is how many octets of a head are kept. The server gets a longer one
	// as far as it has come, to refuse it.
	MaxHead int
	// Proxies, where it is not nil, tells whether an address is a proxy's whose
	// connections begin with a PROXY header. Those without one are closed.
	Proxies func(net.Addr) bool
	// Log receives the failure of a poller.
	Log *slog.Logger
}

// readAtOnce is how much of a head is read at once: as much as the HTTP library
// does.
const readAtOnce = 4 << 10

// Listener is a net.Listener whose connections have sent a whole head, or
// something that will not become one: a *Conn each. Reading them yields all that
// came. All methods are safe for concurrent use.
type Listener struct {
	net.Listener // the one below

	cfg    Config
	conns  *socket.Conns[*waiting]
	ready  chan net.Conn
	failed chan error
	closed chan struct{}
	once   sync.Once // closes closed
}

// Listen puts a Listener over another and accepts from then on. Close closes
// both.
func Listen(below net.Listener, cfg Config) (*Listener, error) {
	conns, err := socket.New[*waiting](socket.Config{Buffer: readAtOnce, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	l := &Listener{Listener: below, cfg: cfg, conns: conns, ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	conns.Go(l.run)
	return l, nil
}

// Len is the number of connections that have not sent a whole head.
func (l *Listener) Len() int { return l.conns.Len() }

// Accept returns the next connection that has sent something to work on. It goes
// on when the listener below is closed, with those that came before, until Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener below and all connections that wait here.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		close(l.closed)
		_ = l.conns.Close(context.Background(), l.conns.Drop, l.conns.Drop) // nothing that it waits for blocks
	})
	return err
}

func (l *Listener) run() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case l.failed <- err:
			case <-l.closed:
				return
			}
		default:
			l.admit(c)
		}
	}
}

func (l *Listener) admit(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		l.hand(nc)
		return
	}
	c := &waiting{l: l, tcp: tcp, proxied: l.cfg.Proxies != nil && l.cfg.Proxies(tcp.RemoteAddr())}
	c.timer.For = c
	if l.conns.Add(c, tcp, nil) == nil { // else it is closed
		l.cfg.Wheel.Add(&c.timer, l.cfg.Within)
		l.conns.Read(c)
	}
}

// hand gives a connection to whoever accepts. It waits for that.
func (l *Listener) hand(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.closed:
		c.Close()
	}
}

// waiting is a connection whose head is not complete. Its reader owns it.
type waiting struct {
	slot  socket.Slot
	timer wheel.Timer
	l     *Listener
	tcp   *net.TCPConn
	head  []byte

	proxied bool     // a PROXY header is to come
	from    net.Addr // what it named
}

// Slot implements socket.Watched.
func (c *waiting) Slot() *socket.Slot { return &c.slot }

// Inside implements socket.Watched.
func (c *waiting) Inside() bool { return len(c.head) > 0 }

// Received implements socket.Watched.
func (c *waiting) Received(buf []byte) (more bool) {
	seen := len(c.head)
	c.head = append(c.head, buf...)
	if c.proxied {
		from, rest, done, err := cutProxyHeader(c.head)
		if err != nil {
			c.Lost(err)
			return false
		}
		if !done {
			return true
		}
		c.proxied, c.from, c.head, seen = false, from, bytes.Clone(rest), 0
	}
	if more = len(c.head) < c.l.cfg.MaxHead && unfinished(c.head, seen); !more {
		c.pass()
	}
	return more
}

// Lost implements socket.Watched. What is half of a request is the server's to
// refuse.
func (c *waiting) Lost(err error) {
	if errors.Is(err, io.EOF) && len(c.head) > 0 && !c.proxied {
		c.pass()
		return
	}
	c.l.cfg.Wheel.Stop(&c.timer)
	c.l.conns.Drop(c)
}

// Tick implements wheel.Ticker: the head took too long.
func (c *waiting) Tick(time.Time) time.Duration {
	c.l.conns.Drop(c)
	return 0
}

// pass lets the connection go to the server. A poller must not wait for that.
func (c *waiting) pass() {
	c.l.cfg.Wheel.Stop(&c.timer)
	if !c.l.conns.Take(c) {
		return // closed meanwhile
	}
	nc := newConn(c.tcp, c.head)
	nc.from = c.from
	select {
	case c.l.ready <- nc:
	default:
		c.l.conns.Go(func() { c.l.hand(nc) })
	}
}

// unfinished tells whether b is the beginning of an HTTP/1 head and no more than
// that. What is no such head does not wait for its end. The first seen octets
// were looked at before.
func unfinished(b []byte, seen int) bool {
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if len(b) == 0 {
		return true
	}
	if seen == 0 && (b[0] < 'A' || b[0] > 'Z') || whole && !bytes.Contains(line, []byte(" HTTP/1.")) {
		return false
	}
	tail := b[max(0, seen-3):]
	return !bytes.Contains(tail, []byte("\r\n\r\n")) && !bytes.Contains(tail, []byte("\n\n"))
}
