package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

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
