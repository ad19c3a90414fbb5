package ws

import (
	"errors"
	"os"
	"sync"
	"time"
)

// chunk is how much is handed to the socket at once. Small frames are copied
// together, which costs less than a vector of them and lets TLS put many into
// one record.
const chunk = 16 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// TryWrite writes what the socket takes at once of b, which must be one or
// several whole frames, and returns how much that was. It never blocks and
// allocates nothing; 0 and nil says that nothing can be taken now, which over
// TLS is always so. After a part, the next call must be Write, beginning with
// the rest. b is not kept. An error is final: Closed follows.
func (c *Conn) TryWrite(b []byte) (int, error) {
	if !c.token.TryLock() {
		return 0, nil // a control frame is being written
	}
	if c.shut {
		c.token.Unlock()
		return 0, ErrClosed
	}
	if c.rc == nil || c.mid {
		c.token.Unlock()
		return 0, nil
	}
	n, err := c.writeNow(b)
	if err != nil {
		c.shut = true
		c.token.Unlock()
		c.sever(CauseLost, err)
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
// frames of control go between. Neither slice is changed or kept. An error is
// final: Closed follows.
func (c *Conn) Write(frames [][]byte) error {
	c.token.Lock()
	if c.shut {
		c.token.Unlock()
		return ErrClosed
	}
	last, err := c.writeBatch(frames)
	c.mid = false
	c.shut = last || err != nil
	c.token.Unlock()
	switch {
	case err != nil:
		c.severWrite(err)
		return err
	case last:
		c.goodbyeSent()
		return ErrClosed
	}
	c.flushControls()
	return nil
}

func (c *Conn) severWrite(err error) {
	cause := CauseLost
	if errors.Is(err, os.ErrDeadlineExceeded) {
		cause = CauseSlowOut
	}
	c.sever(cause, err)
}

// batch is one Write under way. It remembers its place in the frames instead
// of what it copied, so that while it waits for a slow peer it holds no buffer.
type batch struct {
	c        *Conn
	frames   [][]byte
	off      int    // written of frames[0]
	ctl      []byte // control frames that go first
	boundary bool   // nothing of frames[0] was written, by TryWrite either
	last     bool   // ctl ends with the close frame

	// for writes through RawConn
	do   func(fd uintptr) bool // run, made once
	wait bool                  // run shall be called again when the socket takes more
	done bool
	err  error
}

var batches = sync.Pool{New: func() any { return newBatch() }}

// writeBatch writes frames and the control frames that wait, and tells whether
// the close frame was the last of them. Token held.
func (c *Conn) writeBatch(frames [][]byte) (last bool, err error) {
	b := batches.Get().(*batch)
	b.c, b.frames, b.boundary = c, frames, !c.mid
	if c.rc == nil {
		err = b.writeBlocking()
	} else {
		err = b.writeRaw()
	}
	last = b.last
	*b = batch{do: b.do}
	batches.Put(b)
	return last, err
}

// fill returns the next octets to write, put together in buf or, when a frame
// is large, a part of that frame. Empty: all is written.
func (b *batch) fill(buf []byte) []byte {
	if b.boundary && len(b.ctl) == 0 && b.c.pending.Load() {
		b.ctl, b.last = b.c.takeControls()
	}
	out := append(buf[:0], b.ctl...)
	if b.last {
		return out
	}
	off := b.off
	for _, frame := range b.frames {
		rest := frame[off:]
		off = 0
		if len(out) == 0 && len(rest) >= len(buf) {
			return rest
		}
		out = append(out, rest[:min(len(rest), len(buf)-len(out))]...)
		if len(out) == len(buf) || b.c.pending.Load() {
			break // what waits goes in at the next boundary
		}
	}
	return out
}

// advance notes that n octets of what fill gave were written.
func (b *batch) advance(n int) {
	k := min(n, len(b.ctl))
	b.ctl = b.ctl[k:]
	n -= k
	for len(b.frames) > 0 && n >= len(b.frames[0])-b.off {
		n -= len(b.frames[0]) - b.off
		b.frames, b.off = b.frames[1:], 0
		b.boundary = true
		if n == 0 {
			break
		}
	}
	if n > 0 {
		b.off += n
		b.boundary = false
	}
}

// writeBlocking writes to a connection that has no other way.
func (b *batch) writeBlocking() error {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for {
		out := b.fill(buf[:])
		if len(out) == 0 {
			return nil
		}
		b.c.nc.SetWriteDeadline(time.Now().Add(b.c.srv.cfg.WriteTimeout))
		if _, err := b.c.nc.Write(out); err != nil {
			return err
		}
		b.advance(len(out))
	}
}
