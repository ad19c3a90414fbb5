package kit

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child says which test of another test process is to be run, and how it ends.
const child = "KIT_CHILD"

// A process is gone with its test process, however that ends.
func TestNoProcessOutlivesItsTestProcess(t *testing.T) {
	for _, end := range []string{"panic", "timeout", "exit", "pass"} {
		t.Run(end, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.v", "-test.timeout=2s")
			cmd.Env = append(os.Environ(), child+"="+end)
			out, _ := cmd.CombinedOutput()
			_, rest, _ := strings.Cut(string(out), "PID ")
			line, _, _ := strings.Cut(rest, "\n")
			pid, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("no process was started:\n%s", out)
			}
			Eventually(t, "the process is gone", func() bool { return gone(pid) })
		})
	}
}

// TestChild is what the test above runs.
func TestChild(t *testing.T) {
	end := os.Getenv(child)
	if end == "" {
		return
	}
	p := Run(t, exec.Command("sleep", "60"))
	os.Stdout.WriteString("PID " + strconv.Itoa(p.PID()) + "\n")
	switch end {
	case "panic":
		panic("as a test does")
	case "timeout":
		select {}
	case "exit":
		os.Exit(1)
	}
}

// What a process started itself ends with it.
func TestKillEndsTheGroup(t *testing.T) {
	p := Run(t, exec.Command("sh", "-c", "sleep 60 & echo $!; wait"))
	Eventually(t, "the child is there", func() bool { return strings.HasSuffix(p.Output(), "\n") })
	pid, err := strconv.Atoi(strings.TrimSpace(p.Output()))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.Kill()
	Eventually(t, "the child is gone", func() bool { return gone(pid) })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

// gone tells whether a process has ended; one that waits for its parent to be
// told has.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil && syscall.Kill(pid, 0) == syscall.ESRCH || strings.Contains(string(stat), ") Z ")
}
