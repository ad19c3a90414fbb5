// Package kit is what tests share that look at Magpie from outside: real
// processes, nodes of the built binary, clients of its doors, and waits that
// have a deadline. Package redistest below it has the redis-servers.
//
// It imports nothing of Magpie, so that tests of any package may import it. It
// refuses to skip: what is missing on the machine fails the test. Each process
// and each client has one goroutine, which the cleanup of its test ends and
// waits for.
package kit

import (
	"testing"
	"time"
)

// Patience bounds every wait of the kit. It is far longer than anything takes
// on a busy machine, and far shorter than the timeout of a test run.
const Patience = 30 * time.Second

// Eventually polls until ok returns true. After Patience the test fails with
// what did not happen. It is for the goroutine of the test.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", Patience, what)
		}
		<-tick.C
	}
}

// waitClosed waits until c is closed. After Patience the test fails with what
// did not happen.
func waitClosed(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(Patience):
		t.Fatalf("not within %s: %s", Patience, what)
	}
}
