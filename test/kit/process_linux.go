package kit

import "syscall"

// childAttributes puts a process into a group of its own and has the kernel
// end it with the test process, also with one that panics or is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
