package socket

import (
	"sync"
	"time"
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
}

// Pump writes Sources. Keep it in a pool with what it writes: it allocates
// nothing after NewPump. One Write at a time.
type Pump struct {
	src     Source
	slot    *Slot
	timeout time.Duration
	raw
}

// NewPump makes a Pump for this Source.
func NewPump(src Source) *Pump {
	p := &Pump{src: src}
	p.init()
	return p
}

// Write writes all that the Source has and blocks until the kernel has it or
// the peer has taken nothing for timeout: each time that it takes something it
// has another timeout. An error is final.
func (p *Pump) Write(slot *Slot, timeout time.Duration) (err error) {
	p.slot, p.timeout = slot, timeout
	if slot.raw == nil {
		err = p.writeBlocking()
	} else {
		err = p.writeRaw()
	}
	p.slot = nil // not kept in a pool
	return err
}

func (p *Pump) extend() { p.slot.Net.SetWriteDeadline(time.Now().Add(p.timeout)) }

// writeBlocking writes to a connection that has no other way. It holds a
// buffer all the while.
func (p *Pump) writeBlocking() error {
	buf := chunks.Get().(*[Chunk]byte)
	defer chunks.Put(buf)
	for {
		out := p.src.Fill(buf[:])
		if len(out) == 0 {
			return nil
		}
		p.extend()
		if _, err := p.slot.Net.Write(out); err != nil {
			return err
		}
		p.src.Advance(len(out))
	}
}
