// Package redistest runs real redis-servers for tests: on a free port of the
// loopback address, in a directory of the test's own, gone when the test ends.
//
// It refuses to skip: a machine without redis-server fails the test. Each
// Server owns one process, which the test's cleanup ends; it starts no
// goroutine beside those of package kit.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"magpie/test/kit"
)

// Server is one redis-server. Its methods fail the test when they cannot do
// what they say; they are for the goroutine of the test, unless they say
// otherwise.
type Server struct {
	Addr string // host:port
	URL  string // redis://host:port
	Dir  string // where its files are

	*kit.Process // the one that runs now, or ran last

	t     testing.TB
	args  []string
	env   []string // nil: the test's
	clock string   // the file that SetClock writes
}

// Start starts a server without persistence and waits until it answers. args
// are further arguments of redis-server and win over the defaults.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return new(Server).start(t, args)
}

func (s *Server) start(t testing.TB, args []string) *Server {
	t.Helper()
	s.Addr, s.Dir, s.t, s.args = kit.FreeAddr(t), t.TempDir(), t, args
	s.URL = "redis://" + s.Addr
	s.Restart()
	return s
}

// Restart starts a killed server again, on the same port and directory, and
// waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is missing: run make deps")
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	cmd := exec.Command(bin, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.Dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)...)
	cmd.Env = s.env
	s.Process = kit.Run(s.t, cmd)
	kit.Eventually(s.t, "redis-server answers", func() bool {
		if s.Ended() {
			s.t.Fatalf("redis-server ended at once:\n%s", s.Output())
		}
		reply, err := s.Try("PING")
		return err == nil && reply == "PONG" || err != nil && strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

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

// Save writes the data set to disk now, for a later Kill and Restart.
func (s *Server) Save() {
	s.t.Helper()
	s.Do("SAVE")
	if _, err := os.Stat(filepath.Join(s.Dir, "dump.rdb")); err != nil {
		s.t.Fatal(err)
	}
}

// once speaks just enough RESP2 that tests need no client library.
func once(addr string, args []string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, kit.Patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(kit.Patience))
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
		_, err = io.ReadFull(r, b)
		return string(b[:n]), err
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
