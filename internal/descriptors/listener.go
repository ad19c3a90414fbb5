// Package descriptors keeps a server reachable when it has used up the file
// descriptors that it may have.
//
// Its Listener keeps a reserve. Connections that would be taken out of it are
// not refused in silence, nor left waiting: they go to a second listener, whose
// server says so to clients and answers health checks. A part of the reserve
// stays free for what the process itself opens, such as connections to Redis.
// It knows no HTTP and starts no goroutine.
package descriptors

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"magpie/internal/metrics"
)

const (
	// The reserve is an eighth of the limit within these bounds, and never more
	// than a quarter. Half of it is for the process itself, which needs two
	// descriptors a Redis, and some to find its address.
	mostReserve, leastReserve = 64, 16
	// spareCount is how many descriptors are held only to be given up. They
	// serve where the reserve does not: when the whole system has none left, or
	// the limit was lowered below what is in use.
	spareCount = 8
	// retryEvery is how long Accept waits when nothing can be accepted.
	retryEvery = 50 * time.Millisecond
	// logEvery is how often the begin of a shortage is told at most.
	logEvery = time.Minute
	// countEvery is how often open descriptors are counted at most; some
	// milliseconds for 20,000.
	countEvery = time.Second
)

// Listener is a net.Listener for the connections that the process has
// descriptors for. Its connections are those of the listener below, as they are.
// All methods are safe for concurrent use; Accept is for one goroutine.
type Listener struct {
	net.Listener // the one below

	// Refused counts connections that were handed to Overflow or closed.
	Refused metrics.Counter

	log      *slog.Logger
	limit    func() int
	count    func() (int, error)
	open     func(name string) (*os.File, error)
	overflow *overflow

	// owned by the goroutine of Accept
	short     bool      // the log says that descriptors are short
	shortSaid time.Time // when it said so
	counted   time.Time // when the open descriptors were counted last

	mu     sync.Mutex // guards spares
	spares []*os.File
}

// Listen puts a Listener over another. Close closes both.
func Listen(below net.Listener, log *slog.Logger) *Listener {
	l := &Listener{Listener: below, log: log, limit: limit, count: count, open: os.Open}
	l.overflow = &overflow{l: l, conns: make(chan net.Conn)}
	l.overflow.life, l.overflow.end = context.WithCancel(context.Background())
	l.Refill()
	return l
}

// Overflow has the connections that there is only the reserve for. They are to
// be answered and closed soon. After each, Refill is to be called.
func (l *Listener) Overflow() net.Listener { return l.overflow }

// Accept returns the next connection that there is room for. Others go to
// Overflow meanwhile, or are closed at once.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case exhausted(err):
			l.begin()
			if err := l.acceptWithSpare(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case !l.divert(c):
			return c, nil
		}
	}
}

// Close closes the listener below and ends Overflow.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.overflow.end()
	for l.giveUp() {
	}
	return err
}

// divert tells whether a connection is one for the reserve, and then sees to
// it. A new descriptor has the lowest number that is free: clients that get
// numbers below the reserve leave the reserve alone, however many are in use. The
// place of a spare that was given up is not theirs.
func (l *Listener) divert(c net.Conn) bool {
	most := l.limit()
	r := roomAt(numberOf(c), most)
	if r <= enough && !l.Refill() {
		r = little
	}
	switch r {
	case plenty:
		l.end(most)
		return false
	case enough:
		return false
	case little:
		l.begin()
		l.hand(c)
	case none:
		l.begin()
		l.Refused.Add(1)
		c.Close()
	}
	return true
}

// room is what is left of the descriptors.
type room int

const (
	plenty room = iota // as much again as the reserve, and more
	enough
	little // the half of the reserve that is for Overflow
	none   // the half that is for the process itself
)

// roomAt is the room when a new descriptor has a number and there may be most.
func roomAt(number, most int) room {
	reserve := min(max(leastReserve, min(mostReserve, most/8)), most/4)
	switch {
	case number < most-2*reserve:
		return plenty
	case number < most-reserve:
		return enough
	case number < most-reserve/2:
		return little
	}
	return none
}

// hand gives a connection to the server of Overflow.
func (l *Listener) hand(c net.Conn) {
	l.Refused.Add(1)
	select {
	case l.overflow.conns <- c:
	case <-l.overflow.life.Done():
		c.Close()
	}
}

// begin says that descriptors are short, once a shortage and not too often.
func (l *Listener) begin() {
	if l.short || time.Since(l.shortSaid) < logEvery {
		return
	}
	l.short, l.shortSaid = true, time.Now()
	l.log.Warn("file descriptors are used up: new connections are refused; raise the limit of open files (ulimit -n, LimitNOFILE)", "limit", l.limit())
}

// end says that a shortage is over. One low number that is free does not tell
// that: the open descriptors are counted, as seldom as their number asks for.
func (l *Listener) end(most int) {
	if !l.short || time.Since(l.counted) < countEvery {
		return
	}
	l.counted = time.Now()
	if n, err := l.count(); err == nil && roomAt(n, most) == plenty {
		l.short = false
		l.log.Info("there are file descriptors again", "limit", most)
	}
}

// acceptWithSpare takes the connection that there was no descriptor for, in the
// place of a spare. Without a spare it waits for a moment.
func (l *Listener) acceptWithSpare() error {
	if !l.giveUp() {
		l.pause()
		l.Refill()
		return nil
	}
	c, err := l.acceptSoon()
	if err != nil {
		l.Refill()
		if !exhausted(err) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		l.pause()
		return nil
	}
	l.hand(c)
	return nil
}

// acceptSoon does not wait for a connection that has gone meanwhile.
func (l *Listener) acceptSoon() (net.Conn, error) {
	if d, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(retryEvery)) // fails when closed, as Accept does
		defer d.SetDeadline(time.Time{})
	}
	return l.Listener.Accept()
}

func (l *Listener) pause() {
	select {
	case <-time.After(retryEvery):
	case <-l.overflow.life.Done():
	}
}

// giveUp closes a spare; false when none is left.
func (l *Listener) giveUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.spares)
	if n > 0 {
		l.spares[n-1].Close()
		l.spares = l.spares[:n-1]
	}
	return n > 0
}

// Refill opens spares again in the place of those that were given up, as far as
// that goes. It tells whether all are there.
func (l *Listener) Refill() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.spares) < spareCount && l.overflow.life.Err() == nil {
		f, err := l.open(os.DevNull)
		if err != nil {
			return false
		}
		l.spares = append(l.spares, f)
	}
	return true
}

// exhausted tells whether there was no descriptor: the process has as many as it
// may have, or the system.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// overflow is the listener of the reserve's connections.
type overflow struct {
	l     *Listener
	conns chan net.Conn
	life  context.Context // ends with Close
	end   context.CancelFunc
}

func (o *overflow) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.life.Done():
		return nil, net.ErrClosed
	}
}

func (o *overflow) Close() error   { return o.l.Close() }
func (o *overflow) Addr() net.Addr { return o.l.Addr() }
