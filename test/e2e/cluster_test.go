package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"magpie/test/kit/redistest"
)

// Slots that move from master to master in the middle of traffic lose nothing
// and double nothing, on either node; clients stay connected (P3, D4, D6).
func TestSlotsMoveUnderTraffic(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n1, n2 := start(t, "--redis", c.URL), start(t, "--redis", c.URL)
	sockets := []*socket{n1.dial("format=envelope"), n2.dial("format=envelope")}
	stop := make(chan struct{})
	var acked map[uint64]string
	var wg sync.WaitGroup
	wg.Go(func() { acked = publishUntil(n1, stop) })
	sockets[0].wait(20)
	for _, to := range c.Masters {
		if to == c.Owner("chat") {
			continue
		}
		seen := len(sockets[0].all())
		c.Move("chat", to, nil)
		sockets[0].wait(seen + 20)
		sockets[1].wait(seen + 20)
	}
	close(stop)
	wg.Wait()
	n1.publish("chat", "fence")
	for i, s := range sockets {
		got := untilFence(t, s)
		for at, text := range acked {
			if got[at] != text {
				t.Errorf("subscriber %d: acknowledged %s at %d, got %q", i, text, at, got[at])
			}
		}
	}
}

// A master that dies with kill -9 is followed by its replica: clients stay
// connected, see no offset twice on one timeline, and go on. A client that comes
// back with the position of before the crash misses nothing that the replica
// had.
func TestAMasterDiesAndItsReplicaTakesOver(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	owner := c.Owner("chat")
	c.AddReplica(owner)
	n1, n2 := start(t, "--redis", c.URL), start(t, "--redis", c.URL)
	live := n2.dial("format=envelope")
	for i := range 10 {
		n1.publish("chat", fmt.Sprint(i))
	}
	live.wait(10)
	if got := owner.Do("WAIT", "1", "5000"); got != "1" {
		t.Fatalf("%s replicas have the log", got)
	}
	since := live.envelopes(10)[9].position()
	owner.Kill()
	eventually(t, "publishing works again", func() bool {
		status, _ := n1.post("chat", "after", "k-after")
		return status == http.StatusOK
	})
	live.wait(11)
	for _, n := range []*node{n1, n2} {
		n.waitReady()
		back := n.dial("format=envelope&since=" + since)
		back.wait(1)
		if first := back.envelopes(1)[0]; !strings.Contains(string(first.Data), "after") || first.Offset != 11 {
			t.Errorf("after the failover: %+v", first)
		}
	}
	places := map[string]bool{}
	for _, e := range live.envelopes(11) {
		if places[e.position()] || e.Gap != nil {
			t.Errorf("%+v", e)
		}
		places[e.position()] = true
	}
}
