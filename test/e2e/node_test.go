// Package e2e runs the real binary on real redis-servers and looks at it from
// outside, as clients and publishers do.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
)

var binary string // built once, with the race detector

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "magpie-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "magpie")
	build := exec.Command("go", "build", "-race", "-o", binary, "magpie/cmd/magpie")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait.
const patience = 30 * time.Second

// node is one running magpie.
type node struct {
	t    testing.TB
	Addr string
	cmd  *exec.Cmd
	log  *logBuffer
	gone chan struct{}
	err  error // how it ended; read after gone
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a node on a free port and waits until it is ready. args go
// behind `serve`.
func start(t testing.TB, args ...string) *node {
	t.Helper()
	n := launch(t, args...)
	n.waitReady()
	return n
}

// launch runs a node and waits for nothing.
func launch(t testing.TB, args ...string) *node {
	t.Helper()
	n := &node{t: t, Addr: freeAddr(t), log: &logBuffer{}, gone: make(chan struct{})}
	n.cmd = exec.Command(binary, append([]string{"serve", "--addr", n.Addr, "--log-format", "json"}, args...)...)
	n.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		n.err = n.cmd.Wait()
		close(n.gone)
	}()
	t.Cleanup(n.cleanup)
	return n
}

func (n *node) cleanup() {
	n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.gone
	// Q1: no panic, no race, in any run.
	if log := n.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || strings.Contains(log, "handler panicked") {
		n.t.Errorf("the node's log:\n%s", log)
	} else if n.t.Failed() {
		n.t.Logf("log of %s:\n%s", n.Addr, tail(log, 40))
	}
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (n *node) waitReady() {
	n.t.Helper()
	eventually(n.t, "the node is not ready:\n"+n.log.String(), func() bool {
		select {
		case <-n.gone:
			n.t.Fatalf("the node ended:\n%s", n.log)
		default:
		}
		status, _ := n.get("/readyz")
		return status == http.StatusOK
	})
}

// kill ends the node as a crash does.
func (n *node) kill() {
	n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.gone
}

func (n *node) url(path string) string { return "http://" + n.Addr + path }

func (n *node) get(path string) (int, string) {
	res, err := http.Get(n.url(path))
	if err != nil {
		return 0, err.Error()
	}
	return read(res)
}

func read(res *http.Response) (int, string) {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(b)
}

// post publishes over HTTP. It is safe for any goroutine.
func (n *node) post(channel, payload, key string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", n.url("/publish/"+channel), strings.NewReader(payload))
	if err != nil {
		return 0, err.Error()
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	return read(res)
}

func (n *node) publish(channel, payload string) {
	n.t.Helper()
	if status, body := n.post(channel, payload, ""); status != http.StatusOK {
		n.t.Fatalf("publish to %s: %d %s", channel, status, body)
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

// eventually polls until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		<-tick.C
	}
}
