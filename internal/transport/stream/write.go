package stream

import (
	"sync"

	"magpie/internal/transport/socket"
)

// TryWrite writes what the socket takes at once of one frame, and returns how
// much that was. It never blocks and allocates nothing; 0 and nil says that
// nothing can be taken now, which where net/http has the connection is always
// so. After a part, the next call must be Write, beginning with the rest. The
// frame is not kept. An error is final.
func (c *Conn) TryWrite(frame []byte) (int, error) {
	if c.managed != nil || !c.token.TryLock() {
		return 0, nil
	}
	switch {
	case c.shut:
		c.token.Unlock()
		return 0, socket.ErrClosed
	case c.chunk.left() > 0:
		c.token.Unlock()
		return 0, nil
	}
	n, err := c.tryFrame(frame)
	c.release(err)
	return n, err
}

// buffers are for frames on their way into the kernel, with a chunk's lines.
var buffers = sync.Pool{New: func() any { return new([socket.Chunk]byte) }}

// tryFrame writes chunk after chunk while all is taken. Token held.
func (c *Conn) tryFrame(frame []byte) (n int, err error) {
	buf := buffers.Get().(*[socket.Chunk]byte)
	defer buffers.Put(buf)
	one := [1][]byte{frame}
	b := batch{c: c, frames: socket.NewFrames(one[:])}
	for n < len(frame) {
		out := b.Fill(buf[:])
		k, err := c.slot.TryWrite(out)
		n += b.wrote(k)
		if err != nil || k < len(out) {
			return n, err
		}
	}
	return n, nil
}

// Write writes the frames, in order; the first may be the rest of what
// TryWrite began. It blocks until the kernel has them or the client has taken
// nothing for WriteTimeout; of a slow one that keeps taking something it is
// patient, as the session's outbox is bounded. Neither slice is changed or
// kept. An error is final.
func (c *Conn) Write(frames [][]byte) error {
	if c.managed != nil {
		return c.managed.write(frames)
	}
	c.token.Lock()
	if c.shut || c.finishing.Load() {
		c.release(nil)
		return socket.ErrClosed
	}
	b := batches.Get().(*batch)
	b.c, b.frames = c, socket.NewFrames(frames)
	err := b.pump.Write(&c.slot, c.srv.cfg.WriteTimeout)
	*b = batch{pump: b.pump}
	batches.Put(b)
	c.release(err)
	return err
}

// release gives the token back. Whoever has it ends the stream when that was
// asked for meanwhile. After an error there is nothing to end.
func (c *Conn) release(err error) {
	c.shut = c.shut || err != nil
	c.token.Unlock()
	if err != nil {
		c.drop()
	} else if c.finishing.Load() {
		c.writeEnd()
	}
}

// batch is one write under way. Its token is held.
type batch struct {
	c      *Conn
	frames socket.Frames
	pump   *socket.Pump // made once, for Write
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.pump = socket.NewPump(b)
	return b
}}

// Fill implements socket.Source: the rest of a chunk that is half written, or
// the next one, with as many frames in it as there is room for.
func (b *batch) Fill(buf []byte) []byte {
	if b.c.bare {
		return b.frames.Append(buf[:0], len(buf))
	}
	k := &b.c.chunk
	if !k.open() {
		size := b.frames.Len(len(buf) - chunkLines)
		if size == 0 {
			return nil
		}
		k.start(size)
	}
	return k.appendTail(b.frames.Append(k.appendHead(buf[:0]), k.left()))
}

// Advance implements socket.Source.
func (b *batch) Advance(n int) { b.wrote(n) }

// wrote notes that n octets of what Fill gave are out, and returns how many of
// them were the frames'.
func (b *batch) wrote(n int) int {
	if !b.c.bare {
		n = b.c.chunk.wrote(n)
	}
	b.frames.Advance(n)
	return n
}
