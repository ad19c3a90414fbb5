package kit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test runs. The test's cleanup kills it and
// whatever it started itself; on Linux the kernel kills it as well when the
// test process ends without cleanup, by a panic or a timeout.
//
// Its methods are safe for any goroutine; those that fail the test are for the
// goroutine of the test.
type Process struct {
	t       testing.TB
	cmd     *exec.Cmd
	out     output
	gone    chan struct{} // closed when the process has ended
	err     error         // how it ended; read after gone
	stopped atomic.Bool   // the test asked it to end
}

// Run starts cmd, with its output kept.
func Run(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, gone: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = time.Second // a grandchild that keeps the output open is not waited for
	started := make(chan error, 1)
	go p.live(started)
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	t.Cleanup(p.Kill)
	return p
}

// live starts the process and waits for it on one thread: the kernel takes the
// end of the thread that started a process for the end of its parent.
func (p *Process) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.gone)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// Kill ends the process and its children as kill -9 does, and waits until it
// is gone. A process that has ended already is left as it is.
func (p *Process) Kill() {
	p.t.Helper()
	p.stopped.Store(true)
	if !p.Ended() {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	waitClosed(p.t, "the killed process is gone", p.gone)
}

// Signal sends a signal. One that cannot be sent fails the test.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if s == syscall.SIGTERM || s == syscall.SIGINT {
		p.stopped.Store(true)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v to %s: %v", s, p.cmd.Path, err)
	}
}

// Freeze stops the process without ending it; Thaw lets it go on. It waits until
// the process stands still: on a busy machine one thread has yet to take the
// signal while the others work on.
func (p *Process) Freeze() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	Eventually(p.t, "the process stands still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID())) // none without /proc
		for _, name := range threads {
			text, err := os.ReadFile(name)
			_, state, _ := bytes.Cut(text, []byte(") "))
			if err == nil && !bytes.HasPrefix(state, []byte("T")) {
				return false
			}
		}
		return true
	})
}

// Thaw ends Freeze.
func (p *Process) Thaw() { p.Signal(syscall.SIGCONT) }

// Wait waits until the process has ended and returns how: nil means exit
// code 0.
func (p *Process) Wait() error {
	p.t.Helper()
	waitClosed(p.t, "the process has ended", p.gone)
	return p.err
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Ended tells whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// PID is the number of the process, which is that of its group too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is all that the process has written so far.
func (p *Process) Output() string { return p.out.String() }

// lastLines is the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// output is a buffer for a process that writes and a test that reads.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
