//go:build unix

package ws

import (
	"cmp"
	"net"
	"sync"
	"syscall"
	"time"
)

// rawConn gives the way to write to nc without blocking, nil when it has none
// (TLS, pipes).
func rawConn(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}

// attempt is one non-blocking write. It is pooled together with the closure
// that RawConn asks for, so that a delivery allocates nothing.
type attempt struct {
	b    []byte
	n    int
	err  error
	once func(fd uintptr)
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.once = a.run
	return a
}}

func (a *attempt) run(fd uintptr) { a.n, a.err = writeFD(fd, a.b) }

// writeFD writes what the kernel takes now: 0 and nil when that is nothing.
func writeFD(fd uintptr, b []byte) (int, error) {
	for {
		n, err := sendFD(fd, b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// writeNow writes what the kernel takes now. Token held, rc not nil. It goes
// through Control, which only keeps the descriptor from being closed: Write
// would also make the runtime's poller ready to wait, which never happens here.
func (c *Conn) writeNow(b []byte) (int, error) {
	a := attempts.Get().(*attempt)
	a.b, a.n, a.err = b, 0, nil
	err := c.rc.Control(a.once)
	if err == nil {
		err = a.err
	}
	n := a.n
	a.b = nil
	attempts.Put(a)
	return n, err
}

// newBatch makes a batch together with the closure that RawConn asks for.
func newBatch() *batch {
	b := new(batch)
	b.do = b.run
	return b
}

// writeRaw tries without a deadline first, which is enough nearly always.
func (b *batch) writeRaw() error {
	if err := b.c.rc.Write(b.do); err != nil || b.done {
		return cmp.Or(b.err, err)
	}
	b.wait = true
	b.extend()
	err := b.c.rc.Write(b.do)
	b.c.nc.SetWriteDeadline(time.Time{}) // or later TryWrites would fail
	return cmp.Or(b.err, err)
}

// run writes what the socket takes. It holds a buffer while it copies and
// writes, and none while the socket is waited for: a thousand slow peers hold
// a thousand small structs.
func (b *batch) run(fd uintptr) bool {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for {
		out := b.fill(buf[:])
		if len(out) == 0 {
			b.done = true
			return true
		}
		n, err := writeFD(fd, out)
		if err != nil {
			b.done, b.err = true, err
			return true
		}
		if n == 0 {
			return !b.wait
		}
		b.advance(n)
		if b.wait {
			b.extend()
		}
	}
}

// extend gives a peer that has just taken something another WriteTimeout.
func (b *batch) extend() {
	b.c.nc.SetWriteDeadline(time.Now().Add(b.c.srv.cfg.WriteTimeout))
}
