package app

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how long sent bytes may stay without an answer from the
// peer's kernel, in milliseconds. Without it a connection whose other end
// vanished holds its memory for a quarter of an hour of retransmissions.
const unacknowledged = 30_000

// giveUpOnSilence sets what accepted connections inherit from the listener.
func giveUpOnSilence(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacknowledged)
	}); err != nil {
		return err
	}
	return failed
}
