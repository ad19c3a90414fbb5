//go:build unix && !(linux && (amd64 || arm64))

package ws

import "syscall"

func sendFD(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
