package socket

import (
	"net"
	"sync"
	"syscall"
)

// Slot is a connection's socket and its place in Conns, which sets all of it.
// Embed it as a field.
type Slot struct {
	Net net.Conn

	raw            syscall.RawConn // for what does not block; nil: there is no such way
	shard, at, gen int32
}

// polled tells whether the poller is the reader.
func (s *Slot) polled() bool { return canPoll && s.raw != nil }

// TryWrite writes what the kernel takes of b now, and returns how much that
// was: 0 and nil when it is nothing, which over TLS is always so. It never
// blocks and allocates nothing.
func (s *Slot) TryWrite(b []byte) (int, error) {
	if s.raw == nil || len(b) == 0 {
		return 0, nil
	}
	return tryWrite(s.raw, b)
}

// CloseWrite ends our direction and tells whether that could be done.
func (s *Slot) CloseWrite() bool {
	h, ok := s.Net.(interface{ CloseWrite() error })
	return ok && h.CloseWrite() == nil
}

// close closes the socket at once. The close message of TLS could wait for the
// peer: it is left out.
func (s *Slot) close() {
	if t, ok := s.Net.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	s.Net.Close()
}

// loopBuffers are shared by the readers that are in the middle of something.
var loopBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// readLoop reads on a goroutine of its own. While nothing has been begun it
// waits with room for a few octets, and takes a buffer only for what follows.
func readLoop[C Watched](c C) {
	nc, few := c.Slot().Net, make([]byte, 32)
	for {
		buf, pooled := few, (*[4 << 10]byte)(nil)
		if c.Inside() {
			pooled = loopBuffers.Get().(*[4 << 10]byte)
			buf = pooled[:]
		}
		n, err := nc.Read(buf)
		more := n == 0 || c.Received(buf[:n])
		if pooled != nil {
			loopBuffers.Put(pooled)
		}
		switch {
		case !more:
			return // whoever reads on gets the error, if any, again
		case err != nil:
			c.Lost(err)
			return
		}
	}
}
