//go:build unix

package descriptors

import (
	"math"
	"net"
	"os"
	"syscall"
)

// limit is how many descriptors this process may have. It is asked for each
// time: an administrator can change it while the process runs.
func limit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || uint64(r.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(r.Cur)
}

// numberOf is the descriptor of a connection; 0 when it has none.
func numberOf(c net.Conn) (number int) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { number = int(fd) }) // fails when closed
	}
	return number
}

// count is how many descriptors this process has open. It takes one itself while
// it counts.
func count() (int, error) {
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names), err
}
