// Package redistest runs real redis-servers for tests: on a free port of the
// loopback address, in a directory of the test's own, gone when the test ends.
//
// It refuses to skip: a machine without redis-server fails the test. Each
// Server owns one process and the goroutine that waits for it; the test's
// cleanup ends both.
package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a server.
const patience = 15 * time.Second

// Server is one redis-server. Its methods fail the test when they cannot do
// what they say; they are for one goroutine.
type Server struct {
	Addr string // host:port
	URL  string // redis://host:port
	Dir  string // where its files are

	t    testing.TB
	args []string
	out  *output
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// Start starts a server without persistence and waits until it answers. args
// are further arguments of redis-server and win over the defaults.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	addr := freeAddr(t)
	s := &Server{Addr: addr, URL: "redis://" + addr, Dir: t.TempDir(), t: t, args: args, out: &output{}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// Kill ends the server as kill -9 does and waits until it is gone.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	<-s.gone
}

// Restart starts a killed server again, on the same port and directory.
func (s *Server) Restart() {
	s.t.Helper()
	s.start()
}

// Freeze stops the process without ending it; Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Do runs one command on a connection of its own and returns the reply as
// text: strings as they are, arrays one element per line. An error reply
// fails the test.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	reply, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("redis %s: %v", strings.Join(args, " "), err)
	}
	return reply
}

// Try is Do that returns the error. It is safe for any goroutine.
func (s *Server) Try(args ...string) (string, error) { return once(s.Addr, args) }

func (s *Server) start() {
	s.t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is missing: run make deps")
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.Dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)
	s.cmd = exec.Command(bin, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = dieWithParent()
	s.gone = make(chan struct{})
	if err := launch(s.cmd, s.gone); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	s.waitUntilUp()
}

// launch starts cmd and has gone closed when it ends. Starting and waiting
// share one thread for as long as the process lives: the kernel takes that
// thread's end for the parent's.
func launch(cmd *exec.Cmd, gone chan struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is seen in its output
		}
		close(gone)
	}()
	return <-started
}

func (s *Server) waitUntilUp() {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		if reply, err := s.Try("PING"); err == nil && reply == "PONG" || err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
			return
		}
		select {
		case <-tick.C:
		case <-s.gone:
			s.t.Fatalf("redis-server ended at once:\n%s", s.out)
		case <-deadline.C:
			s.t.Fatalf("redis-server did not answer within %s:\n%s", patience, s.out)
		}
	}
}

func (s *Server) stop() {
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	<-s.gone
}

func (s *Server) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %v to redis-server: %v", sig, err)
	}
}

// Save writes the data set to disk now, for a later Kill and Restart.
func (s *Server) Save() {
	s.t.Helper()
	s.Do("SAVE")
	if _, err := os.Stat(filepath.Join(s.Dir, "dump.rdb")); err != nil {
		s.t.Fatal(err)
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// output keeps what the server wrote, for failures.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// once speaks just enough RESP2 that tests need no client library.
func once(addr string, args []string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", fmt.Errorf("reply %q: %v", line, err)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '-':
		return "", fmt.Errorf("%s", rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		b := make([]byte, n+2)
		for got := 0; got < len(b); {
			m, err := r.Read(b[got:])
			if err != nil {
				return "", err
			}
			got += m
		}
		return string(b[:n]), nil
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		var lines []string
		for range n {
			// An error inside an array is text like the rest.
			one, err := readReply(r)
			if err != nil {
				one = err.Error()
			}
			lines = append(lines, one)
		}
		return strings.Join(lines, "\n"), nil
	}
	return rest, nil
}
