package socket

import (
	"errors"
	"net"
	"syscall"
)

// Begun is a connection of which something was read already: Read yields that
// first. One goroutine reads at a time.
type Begun struct {
	*net.TCPConn
	Rest []byte // what was read, and is to be read again
}

// Read implements net.Conn.
func (c *Begun) Read(b []byte) (int, error) {
	if len(c.Rest) == 0 {
		return c.TCPConn.Read(b)
	}
	n := copy(b, c.Rest)
	if c.Rest = c.Rest[n:]; len(c.Rest) == 0 {
		c.Rest = nil
	}
	return n, nil
}

var errBegun = errors.New("there is more to read than the descriptor has")

// SyscallConn fails while Read has something that the descriptor has not.
func (c *Begun) SyscallConn() (syscall.RawConn, error) {
	if len(c.Rest) > 0 {
		return nil, errBegun
	}
	return c.TCPConn.SyscallConn()
}

// begun also finds a Begun that is a part of another connection.
func (c *Begun) begun() *Begun { return c }

// below is the connection without the memory that Begun takes, once all that was
// read is read again.
func below(nc net.Conn) net.Conn {
	if c, ok := nc.(interface{ begun() *Begun }); ok && len(c.begun().Rest) == 0 {
		return c.begun().TCPConn
	}
	return nc
}
