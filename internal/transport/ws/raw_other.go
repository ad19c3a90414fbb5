//go:build !unix

package ws

import (
	"net"
	"syscall"
)

// Elsewhere nothing is written without blocking: TryWrite takes nothing.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (c *Conn) writeNow([]byte) (int, error) { return 0, nil }

func (b *batch) writeRaw() error { return b.writeBlocking() }

func newBatch() *batch { return new(batch) }
