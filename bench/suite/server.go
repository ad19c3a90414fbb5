//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// server is one process under measurement. The kernel ends it with ours: the
// thread that starts it is main's, which lives as long as the process.
type server struct {
	name string
	addr string
	cmd  *exec.Cmd
	out  *bytes.Buffer
}

// patience bounds a server's start and its end.
const patience = 15 * time.Second

// start runs a program that listens on addr and waits until it does.
func start(name, addr string, command ...string) (*server, error) {
	s := &server{name: name, addr: addr, cmd: exec.Command(command[0], command[1:]...), out: new(bytes.Buffer)}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen on %s:\n%s", name, addr, s.out)
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the process, by force when it does not end by itself.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
	s.cmd.Wait()
	force.Stop()
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // the server says what is wrong
	}
	defer l.Close()
	return l.Addr().String()
}

// target is one kind of server and the door that is measured.
type target struct {
	name  string
	door  string
	start func() (*server, error)
	// recoverable: its clients ask for subscriptions that can be resumed.
	recoverable bool
}

// binary is the Magpie under measurement.
var binary = "bin/magpie"

func magpie(more ...string) (*server, error) {
	addr := freeAddr()
	args := append([]string{binary, "serve", "--addr", addr, "--log-level", "error", "--drain-timeout", "1s"}, more...)
	return start("magpie", addr, args...)
}

func peer(more ...string) (*server, error) {
	addr := freeAddr()
	return start("peer", addr, append([]string{"bin/bench-peer", "-addr", addr}, more...)...)
}

func floor(more ...string) (*server, error) {
	addr := freeAddr()
	return start("floor", addr, append([]string{"bin/bench-floor", addr[strings.LastIndexByte(addr, ':')+1:]}, more...)...)
}

var targets = []target{
	{"floor", "raw", func() (*server, error) { return floor() }, false},
	{"peer", "centrifuge", func() (*server, error) { return peer() }, false},
	{"peer, tuned", "centrifuge", func() (*server, error) { return peer("-tuned") }, false},
	{"Magpie, raw", "raw", func() (*server, error) { return magpie() }, false},
	{"Magpie, Centrifuge", "centrifuge", func() (*server, error) { return magpie() }, false},
}
