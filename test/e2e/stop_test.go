package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// However early or late it is stopped, a healthy node ends with 0 and has
// nothing to complain about.
func TestStoppingIsClean(t *testing.T) {
	for i := range 12 {
		n := launch(t)
		if i%3 > 0 {
			n.waitReady()
		}
		if i%3 == 2 {
			n.dial("")
			n.publish("chat", "hi")
		}
		if i%3 == 0 {
			eventually(t, "no log", func() bool { return n.log.String() != "" })
		}
		n.cmd.Process.Signal(syscall.SIGTERM)
		<-n.gone
		if log := n.log.String(); n.err != nil || strings.Contains(log, `"ERROR"`) {
			t.Errorf("round %d: %v\n%s", i, n.err, log)
		}
	}
}
