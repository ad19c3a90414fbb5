package redistest

import "syscall"

// dieWithParent ends the server with the test process, even one that panics
// or is killed and runs no cleanup.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
