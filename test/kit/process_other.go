//go:build !linux

package kit

import "syscall"

// childAttributes puts a process into a group of its own. Nothing here ends it
// with a test process that runs no cleanup.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
