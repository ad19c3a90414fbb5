package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"magpie/test/kit"
)

// However early or late it is stopped, a healthy node ends with 0 and has
// nothing to complain about.
func TestStoppingIsClean(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			n := kit.Launch(t)
			if i%3 > 0 {
				n.WaitReady()
			}
			if i%3 == 2 {
				n.Dial("")
				n.Publish("chat", "hi")
			}
			if i%3 == 0 {
				kit.Eventually(t, "the node has written to its log", func() bool { return n.Output() != "" })
			}
			n.Signal(syscall.SIGTERM)
			err := n.Wait()
			if log := n.Output(); err != nil || strings.Contains(log, `"ERROR"`) {
				t.Errorf("%v\n%s", err, log)
			}
		})
	}
}

// The order of docs/operations.md: /readyz fails while all else goes on, the
// port closes after drain_delay, and only then sessions are closed.
func TestANodeIsNotReadyBeforeItsPortCloses(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--drain-delay", "2s")
	s := n.Dial("channel=chat")
	kept := n.Connect() // as a balancer keeps connections
	n.Signal(syscall.SIGTERM)
	began := time.Now()
	kit.Eventually(t, "the node is not ready", func() bool {
		status, body := n.Get("/readyz", "Connection: close")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "shutting down")
	})
	if status, _ := n.Get("/livez", "Connection: close"); status != http.StatusOK {
		t.Errorf("livez: %d", status)
	}
	io.WriteString(kept, "GET /readyz HTTP/1.1\r\nHost: "+n.Addr+"\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(kept), nil)
	if status, body := kit.Read(res, err); status != http.StatusServiceUnavailable || !res.Close {
		t.Errorf("on a kept connection: %d %s, close %t", status, body, res != nil && res.Close)
	}
	n.Dial("channel=chat")
	n.Publish("chat", "meanwhile")
	s.Wait(1)
	answered := 0
	kit.Eventually(t, "the port is closed", func() bool {
		open := s.Open()
		c, err := net.Dial("tcp", n.Addr)
		if err != nil {
			return true
		}
		c.Close()
		if answered++; !open {
			t.Error("a session was closed while the port was open")
		}
		return false
	})
	if took := time.Since(began); took < 1900*time.Millisecond || answered < 10 {
		t.Errorf("the port was open for %s, for %d tries", took, answered)
	}
	s.WaitClosed()
	if err := n.Wait(); err != nil {
		t.Error(err)
	}
}

// A second signal ends the node also while it waits for balancers.
func TestASecondSignalEndsTheDrainDelay(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--drain-delay", "1h")
	n.Dial("channel=chat")
	n.Signal(syscall.SIGTERM)
	kit.Eventually(t, "the node is not ready", func() bool {
		status, _ := n.Get("/readyz", "Connection: close")
		return status == http.StatusServiceUnavailable
	})
	n.Signal(syscall.SIGHUP) // which does not count
	if status, _ := n.Get("/livez", "Connection: close"); status != http.StatusOK {
		t.Errorf("livez after SIGHUP: %d", status)
	}
	n.Signal(syscall.SIGTERM)
	var end *exec.ExitError
	if err := n.Wait(); !errors.As(err, &end) || end.ExitCode() != 143 {
		t.Errorf("ended with %v", err)
	}
}
