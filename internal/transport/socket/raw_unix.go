//go:build unix

package socket

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

// tryWrite goes through Control, which only keeps the descriptor from being
// closed: Write would also make the runtime's poller ready to wait, which never
// happens here.
func tryWrite(rc syscall.RawConn, b []byte) (int, error) {
	a := attempts.Get().(*attempt)
	a.b, a.n, a.err = b, 0, nil
	err := rc.Control(a.once)
	if err == nil {
		err = a.err
	}
	n := a.n
	a.b = nil
	attempts.Put(a)
	return n, err
}

// raw is the part of a Pump that writes through RawConn.
type raw struct {
	do   func(fd uintptr) bool // run, made once
	wait bool                  // run shall be called again when the socket takes more
	done bool
	err  error
}

func (p *Pump) init() { p.do = p.run }

// writeRaw tries without a deadline first, which is enough nearly always.
func (p *Pump) writeRaw() error {
	p.raw = raw{do: p.do}
	rc := p.slot.raw
	if err := rc.Write(p.do); err != nil || p.done {
		return cmp.Or(p.err, err)
	}
	p.wait = true
	p.extend()
	err := rc.Write(p.do)
	p.slot.Net.SetWriteDeadline(time.Time{}) // or later ones would fail
	return cmp.Or(p.err, err)
}

// run writes what the socket takes. It holds a buffer while it copies and
// writes, and none while the socket is waited for: a thousand slow peers hold
// a thousand small structs.
func (p *Pump) run(fd uintptr) bool {
	buf := chunks.Get().(*[Chunk]byte)
	defer chunks.Put(buf)
	for {
		out := p.src.Fill(buf[:])
		if len(out) == 0 {
			p.done = true
			return true
		}
		n, err := writeFD(fd, out)
		if err != nil {
			p.done, p.err = true, err
			return true
		}
		if n == 0 {
			return !p.wait
		}
		p.src.Advance(n)
		if p.wait {
			p.extend()
		}
	}
}
