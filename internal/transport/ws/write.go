package ws

import (
	"errors"
	"os"
	"sync"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// TryWrite writes what the socket takes at once of b, which must be one or
// several whole frames, and returns how much that was. It never blocks and
// allocates nothing; 0 and nil says that nothing can be taken now, which over
// TLS is always so. After a part, the next call must be Write, beginning with
// the rest. b is not kept. An error is final: Closed follows.
func (c *Conn) TryWrite(b []byte) (int, error) {
	if !c.token.TryLock() {
		return 0, nil // a control frame is being written
	}
	switch {
	case c.shut:
		c.token.Unlock()
		return 0, socket.ErrClosed
	case c.mid:
		c.token.Unlock()
		return 0, nil
	}
	n, err := c.slot.TryWrite(b)
	if err != nil {
		c.failWrite(err)
		return n, err
	}
	c.mid = n > 0 && n < len(b)
	c.token.Unlock()
	c.flushControls()
	return n, nil
}

// Write writes all frames in order: whole ones, but for the first, which may
// be the rest of what TryWrite began. It blocks until the kernel has them or
// the peer has taken nothing for WriteTimeout; of a slow peer that keeps
// taking something it is patient, as the session's outbox is bounded. Waiting
// control frames go between. Neither slice is changed or kept. An error is
// final: Closed follows.
func (c *Conn) Write(frames [][]byte) error {
	c.token.Lock()
	if c.shut {
		c.token.Unlock()
		return socket.ErrClosed
	}
	last, err := c.writeBatch(frames)
	if err != nil {
		c.failWrite(err)
		return err
	}
	c.mid = false
	if !c.unlockAfter(last) {
		return socket.ErrClosed
	}
	c.flushControls()
	return nil
}

// failWrite gives the token back after a write that failed, and ends the
// connection.
func (c *Conn) failWrite(err error) {
	c.shut = true
	c.token.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.abort(fault.ReasonSlow, err)
		return
	}
	c.endWrites(err)
}

// batch is one Write under way.
type batch struct {
	c        *Conn
	frames   socket.Frames
	ctl      []byte // control frames that go first
	boundary bool   // nothing of the first frame was written, by TryWrite either
	last     bool   // ctl ends with the close frame

	pump *socket.Pump // made once
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.pump = socket.NewPump(b)
	return b
}}

// writeBatch writes frames and the control frames that wait, and tells whether
// the close frame was the last of them. Token held.
func (c *Conn) writeBatch(frames [][]byte) (last bool, err error) {
	b := batches.Get().(*batch)
	b.c, b.frames, b.boundary = c, socket.NewFrames(frames), !c.mid
	err = b.pump.Write(&c.slot, c.srv.cfg.WriteTimeout)
	last = b.last
	*b = batch{pump: b.pump}
	batches.Put(b)
	return last, err
}

// Fill implements socket.Source: what comes next, put together in buf or, when
// a frame is large, that frame.
func (b *batch) Fill(buf []byte) []byte {
	if b.boundary && len(b.ctl) == 0 && b.c.pending.Load() {
		b.ctl, b.last = b.c.takeControls()
	}
	out := append(buf[:0], b.ctl...)
	if b.last {
		return out
	}
	first, room := b.frames.First(), len(buf)-len(out)
	switch {
	case len(out) == 0 && len(first) >= room:
		return first
	case b.c.pending.Load():
		room = min(room, len(first)) // what waits goes in at the next boundary
	}
	return b.frames.Append(out, room)
}

// Advance implements socket.Source.
func (b *batch) Advance(n int) {
	k := min(n, len(b.ctl))
	b.ctl = b.ctl[k:]
	if n > k {
		b.boundary = b.frames.Advance(n - k)
	}
}
