package kit

import (
	"context"
	"flag"
	"fmt"
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
)

// Node is one running magpie with its doors. The test fails when the process
// ended before the test asked it to, or wrote about a race or a panic.
type Node struct {
	Doors
	*Process
	t testing.TB
}

// Start runs a node on a free port and waits until it is ready. args go behind
// `magpie serve`.
func Start(t testing.TB, args ...string) *Node {
	t.Helper()
	n := Launch(t, args...)
	n.WaitReady()
	return n
}

// StartAsShipped is Start with the binary as users have it, without the race
// detector: for what sends so much that the detector would take minutes.
func StartAsShipped(t testing.TB, args ...string) *Node {
	t.Helper()
	n := launch(t, buildAsShipped, args)
	n.WaitReady()
	return n
}

// Launch runs a node and waits for nothing.
func Launch(t testing.TB, args ...string) *Node {
	t.Helper()
	return launch(t, build, args)
}

func launch(t testing.TB, build func() (string, error), args []string) *Node {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{Doors: Doors{Addr: FreeAddr(t), t: t}, t: t}
	cmd := exec.Command(binary, append([]string{"serve", "--addr", n.Addr, "--log-format", "json"}, args...)...)
	cmd.Env = environment("GORACE=halt_on_error=1 exitcode=66")
	n.Process = Run(t, cmd)
	t.Cleanup(n.check)
	return n
}

// WaitReady waits until the node says that it is ready.
func (n *Node) WaitReady() {
	n.t.Helper()
	Eventually(n.t, "the node is ready", func() bool {
		if n.Ended() {
			n.t.Fatalf("the node ended:\n%s", n.Output())
		}
		status, _ := n.Get("/readyz")
		return status == http.StatusOK
	})
}

func (n *Node) check() {
	ended := n.Ended() && !n.stopped.Load()
	n.Kill()
	log := n.Output()
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		n.t.Errorf("the node's log:\n%s", log)
	} else if ended {
		n.t.Errorf("the node ended by itself:\n%s", lastLines(log, 40))
	} else if n.t.Failed() {
		n.t.Logf("log of %s:\n%s", n.Addr, lastLines(log, 40))
	}
}

// environment is this process's without the settings of whoever runs the tests.
func environment(more ...string) (list []string) {
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "MAGPIE_") {
			list = append(list, line)
		}
	}
	return append(list, more...)
}

// build makes the binary with the race detector, buildAsShipped without.
var (
	build          = sync.OnceValues(func() (string, error) { return buildInto("race", []string{"CGO_ENABLED=1"}, "-race") })
	buildAsShipped = sync.OnceValues(func() (string, error) { return buildInto("shipped", []string{"CGO_ENABLED=0"}) })
)

// buildInto makes the binary in a folder below bin, once for a process, and
// returns its path. All test processes share the file: who comes second waits
// for the first and then has nothing to link.
func buildInto(folder string, env []string, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(module))), "bin", folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "magpie")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", binary, "magpie/cmd/magpie")...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// Main is TestMain of packages that start nodes: it builds the binary, runs the
// tests, and fails when a goroutine is left. Four parallel tests at a time,
// unless -parallel says otherwise: they wait for processes more than they
// compute.
func Main(m *testing.M) {
	_ = flag.Set("test.parallel", "4")
	if _, err := build(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(code) }))
}
