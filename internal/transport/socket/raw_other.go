//go:build !unix

package socket

import (
	"net"
	"syscall"
)

// Here nothing is written without blocking.
func rawConn(net.Conn) syscall.RawConn { return nil }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }

type raw struct{}

func (p *Pump) init() {}

func (p *Pump) writeRaw() error { return p.writeBlocking() }
