package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// Slots that move from master to master in the middle of traffic lose nothing
// and double nothing, on either node; clients stay connected (P3, D4, D6).
func TestSlotsMoveUnderTraffic(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	n1, n2 := kit.Start(t, "--redis", c.URL), kit.Start(t, "--redis", c.URL)
	sockets := []*kit.Socket{n1.Dial("format=envelope"), n2.Dial("format=envelope")}
	stop := make(chan struct{})
	var acked map[uint64]string
	var wg sync.WaitGroup
	wg.Go(func() { acked = publishUntil(n1, stop) })
	sockets[0].Wait(20)
	for _, to := range c.Masters {
		if to == c.Owner("chat") {
			continue
		}
		seen := len(sockets[0].All())
		c.Move("chat", to, nil)
		sockets[0].Wait(seen + 20)
		sockets[1].Wait(seen + 20)
	}
	close(stop)
	wg.Wait()
	n1.Publish("chat", "fence")
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
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	owner := c.Owner("chat")
	c.AddReplica(owner)
	n1, n2 := kit.Start(t, "--redis", c.URL), kit.Start(t, "--redis", c.URL)
	live := n2.Dial("format=envelope")
	for i := range 10 {
		n1.Publish("chat", fmt.Sprint(i))
	}
	live.Wait(10)
	owner.WaitReplicated()
	since := live.Envelopes(10)[9].Position()
	owner.Kill()
	kit.Eventually(t, "publishing works again", func() bool {
		status, _ := n1.Post("/publish/chat", "after", "Idempotency-Key: k-after")
		return status == http.StatusOK
	})
	live.Wait(11)
	for _, n := range []*kit.Node{n1, n2} {
		n.WaitReady()
		back := n.Dial("format=envelope&since=" + since)
		back.Wait(1)
		if first := back.Envelopes(1)[0]; !strings.Contains(string(first.Data), "after") || first.Offset != 11 {
			t.Errorf("after the failover: %+v", first)
		}
	}
	places := map[string]bool{}
	for _, e := range live.Envelopes(11) {
		if places[e.Position()] || e.Gap != nil {
			t.Errorf("%+v", e)
		}
		places[e.Position()] = true
	}
}
