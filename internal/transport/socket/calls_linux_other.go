//go:build linux && !amd64 && !arm64

package socket

import "syscall"

func receiveFD(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func epollNow(fd uintptr, events []syscall.EpollEvent) (int, error) {
	return syscall.EpollWait(int(fd), events, 0)
}
