package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the program as users run it: exit codes and signals are promises
// of a process, not of a function.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "magpie-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "magpie")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// patience bounds every wait for a process.
const patience = 30 * time.Second

// cleanEnviron is this environment without settings of whoever runs the tests.
func cleanEnviron(more ...string) []string {
	var env []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "MAGPIE_") {
			env = append(env, line)
		}
	}
	return append(env, more...)
}

type result struct {
	code        int
	out, errOut string
}

// magpie runs the binary to its end.
func magpie(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return magpieWith(t, "", env, args...)
}

func magpieWith(t *testing.T, stdin string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = cleanEnviron(env...)
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("magpie %q: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("magpie %q did not end; it said:\n%s%s", args, &out, &errOut)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// process is the binary while it runs. One goroutine reads each output.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *transcript
	err  *transcript
	done chan struct{}
}

func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), out: newTranscript(), err: newTranscript(), done: make(chan struct{})}
	p.cmd.Env = cleanEnviron(env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the end and returns the exit code.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%q did not end; it said:\n%s%s", p.cmd.Args, p.out.text(), p.err.text())
		return -1
	}
}

// serve starts a server on a free port and returns it and its URL.
func serve(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	p := start(t, nil, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "text"}, args...)...)
	line := p.out.wait(t, p.done, "  open ")
	return p, strings.TrimSpace(strings.TrimPrefix(line, "  open"))
}
