//go:build !unix

package socket

import (
	"net"
	"syscall"
)

// Raw gives nil: here nothing is written without blocking.
func Raw(net.Conn) syscall.RawConn { return nil }

// TryWrite takes nothing.
func TryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }

type raw struct{}

func (p *Pump) init() {}

func (p *Pump) writeRaw(nc net.Conn, _ syscall.RawConn) error { return p.writeBlocking(nc) }
