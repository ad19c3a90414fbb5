package socket

import (
	"net"
	"sync"
	"syscall"
)

// Chunk is how much is handed to a socket at once. Small frames are copied
// together, which costs less than a vector of them and lets TLS put many into
// one record.
const Chunk = 16 << 10

var chunks = sync.Pool{New: func() any { return new([Chunk]byte) }}

// Source is what a Pump writes. It remembers its place instead of what it
// copied, so that a write that waits for a slow peer holds no buffer. The Pump
// calls it from one goroutine at a time.
type Source interface {
	// Fill returns the next octets to write, put together in buf or, when they
	// are many, a slice of their own. Empty: all is written. It must not block.
	Fill(buf []byte) []byte
	// Advance says that n octets of what Fill gave last were written.
	Advance(n int)
	// Extend sets the socket's write deadline anew: a wait begins, or the peer
	// has just taken something.
	Extend()
}

// Pump writes Sources. Keep it in a pool with what it writes: it allocates
// nothing after NewPump. One Write at a time.
type Pump struct {
	src Source
	raw
}

// NewPump makes a Pump for this Source.
func NewPump(src Source) *Pump {
	p := &Pump{src: src}
	p.init()
	return p
}

// Write writes all that the Source has and blocks until the kernel has it or
// the deadline that Extend set is over. rc is what Raw gave for nc; nil makes
// it hold a buffer all the while. An error is final.
func (p *Pump) Write(nc net.Conn, rc syscall.RawConn) error {
	if rc == nil {
		return p.writeBlocking(nc)
	}
	return p.writeRaw(nc, rc)
}

// writeBlocking writes to a connection that has no other way.
func (p *Pump) writeBlocking(nc net.Conn) error {
	buf := chunks.Get().(*[Chunk]byte)
	defer chunks.Put(buf)
	for {
		out := p.src.Fill(buf[:])
		if len(out) == 0 {
			return nil
		}
		p.src.Extend()
		if _, err := nc.Write(out); err != nil {
			return err
		}
		p.src.Advance(len(out))
	}
}
