//go:build unix && !(linux && (amd64 || arm64))

package socket

import "syscall"

func sendFD(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
