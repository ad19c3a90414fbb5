package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Watched is a connection as its reader sees it: a poller, which must not be
// blocked, or a goroutine of its own where no poller can watch it.
type Watched interface {
	comparable
	// Slot is the connection's own, and stays where it is.
	Slot() *Slot
	// Received takes octets. buf is the reader's and used again afterwards.
	// False stops a reader of its own; a poller is stopped by Pause.
	Received(buf []byte) (more bool)
	// Lost says that the stream has ended, or why it broke. A poller calls it
	// again and again unless it calls Pause or Drop.
	Lost(err error)
	// Inside tells that what was received last is not complete: a reader of its
	// own then waits with a larger buffer.
	Inside() bool
}

// Config is what New needs.
type Config struct {
	// Buffer is how much a poller reads at once, at most.
	Buffer int
	// Portable makes all connections do without pollers and without writes that
	// do not block.
	Portable bool
	// Log receives the failure of a poller.
	Log *slog.Logger
}

// Conns are the connections of a server: their readers, their number and the
// end of all of them. All methods are safe for concurrent use.
//
// Close waits for what is counted: each connection from Add to Drop, each
// goroutine of Go, and what is between Acquire and Release.
type Conns[C Watched] struct {
	// set at construction
	portable bool
	shards   []*shard[C]

	turn    atomic.Uint32 // picks the next connection's shard
	closing atomic.Bool
	live    atomic.Int64
	idle    chan struct{} // closed when closing is set and live is 0
	once    sync.Once     // closes idle
}

// New makes one poller per core, where there are pollers. Each starts with its
// first connection; Close stops them.
func New[C Watched](cfg Config) (*Conns[C], error) {
	s := &Conns[C]{portable: cfg.Portable, idle: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		sh := &shard[C]{closing: &s.closing}
		if !cfg.Portable {
			if err := sh.poll.start(sh, cfg); err != nil {
				s.stopPollers()
				return nil, err
			}
		}
		s.shards = append(s.shards, sh)
	}
	return s, nil
}

// headTimeout bounds the writing of a head. It fits any socket's empty send
// buffer; only a broken one needs the bound.
const headTimeout = 5 * time.Second

// ErrClosed is returned for what comes after the end of a connection, or after
// Close.
var ErrClosed = errors.New("connection closed")

// Add writes head, if there is one, to nc, whose deadlines end then, and makes c
// the connection over it; nobody reads it yet. It blocks for as long as a write of some hundred
// bytes takes. After an error nc is closed.
func (s *Conns[C]) Add(c C, nc net.Conn, head []byte) error {
	if err := s.writeHead(nc, head); err != nil {
		nc.Close()
		return err
	}
	nc = below(nc)
	slot := c.Slot()
	slot.Net = nc
	if !s.portable {
		slot.raw = rawConn(nc)
	}
	n := s.turn.Add(1) % uint32(len(s.shards))
	slot.shard = int32(n)
	s.Acquire()
	if !s.shards[n].add(c) {
		slot.close()
		s.Release()
		return ErrClosed
	}
	return nil
}

func (s *Conns[C]) writeHead(nc net.Conn, head []byte) error {
	if s.Closing() {
		return ErrClosed
	}
	if len(head) == 0 {
		return nil
	}
	nc.SetDeadline(time.Now().Add(headTimeout))
	if _, err := nc.Write(head); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nc.SetDeadline(time.Time{})
}

// Read lets c's reader begin, or go on after Pause. The caller is the reader
// until then. Nothing happens when c was dropped meanwhile.
func (s *Conns[C]) Read(c C) {
	sh := s.of(c)
	switch {
	case !sh.holds(c): // also orders what the caller wrote to c before the reader
	case !c.Slot().polled():
		s.Go(func() { readLoop(c) })
	default:
		if err := sh.poll.watch(c); err != nil {
			c.Lost(err) // closed meanwhile, or the kernel has no memory
		}
	}
}

// Pause stops the poller from reading c. Called on the poller's goroutine it
// is final: no event of c is left, since there is at most one per fetch and
// that is the one being served.
func (s *Conns[C]) Pause(c C) {
	if c.Slot().polled() {
		s.of(c).poll.unwatch(c)
	}
}

// Drop closes c's socket, once. It does not block: nothing holds the
// descriptor for longer than one system call. It must not be called from
// inside a RawConn's function.
func (s *Conns[C]) Drop(c C) {
	if !s.of(c).remove(c) {
		return
	}
	s.Pause(c)
	c.Slot().close()
	s.Release()
}

// Take takes c out and leaves its socket open, which is the caller's then; false
// when c was dropped or taken before. It does not block. A poller's reading must
// not go on: Take is for the reader itself.
func (s *Conns[C]) Take(c C) bool {
	if !s.of(c).remove(c) {
		return false
	}
	s.Pause(c)
	s.Release()
	return true
}

// Len is the number of connections whose socket is open.
func (s *Conns[C]) Len() int {
	n := 0
	for _, sh := range s.shards {
		n += sh.len()
	}
	return n
}

// Acquire makes Close wait for a Release.
func (s *Conns[C]) Acquire() { s.live.Add(1) }

// Release ends what Acquire began.
func (s *Conns[C]) Release() {
	if s.live.Add(-1) == 0 && s.closing.Load() {
		s.once.Do(func() { close(s.idle) })
	}
}

// Go runs f on a goroutine that Close waits for. The caller is counted itself.
func (s *Conns[C]) Go(f func()) {
	s.Acquire()
	go func() {
		defer s.Release()
		f()
	}()
}

// Closing tells whether Close was called.
func (s *Conns[C]) Closing() bool { return s.closing.Load() }

// Close lets no connection in any more, calls end for those that there are,
// waits for all that is counted and stops the pollers. When ctx ends earlier
// it calls cut for the connections that are left and returns ctx's error; what
// is counted and runs still is left to end by itself. May be called again.
func (s *Conns[C]) Close(ctx context.Context, end, cut func(C)) error {
	s.Acquire()
	s.closing.Store(true)
	s.each(end)
	s.Release()
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		err = ctx.Err()
		s.each(cut)
	}
	s.stopPollers()
	return err
}

func (s *Conns[C]) of(c C) *shard[C] { return s.shards[c.Slot().shard] }

// each calls f for every connection that there is now.
func (s *Conns[C]) each(f func(C)) {
	for _, sh := range s.shards {
		for _, c := range sh.all() {
			f(c)
		}
	}
}

func (s *Conns[C]) stopPollers() {
	for _, sh := range s.shards {
		sh.poll.close()
	}
}
