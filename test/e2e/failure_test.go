package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// publishUntil publishes numbered messages until stop is closed and returns
// those that were acknowledged, by offset: a restart of Redis that loses
// nothing keeps the offsets and begins a new epoch. A failure is repeated with its
// idempotency key, as the docs tell users to.
func publishUntil(n *kit.Node, stop chan struct{}) map[uint64]string {
	acked := map[uint64]string{}
	for i := 0; ; i++ {
		text := fmt.Sprint(i)
		for {
			select {
			case <-stop:
				return acked
			default:
			}
			status, body := n.Post("/publish/chat", text, "Idempotency-Key: k"+text)
			if status == http.StatusOK {
				var at struct{ Offset uint64 }
				json.Unmarshal([]byte(body), &at)
				acked[at.Offset] = text
				break
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

// Killing and restarting Redis in the middle of traffic loses nothing that was
// acknowledged and is still in the log; subscribers stay connected, nothing is
// restarted (P3, D4, D7).
func TestRedisRestartUnderTraffic(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n1, n2 := kit.Start(t, "--redis", r.URL), kit.Start(t, "--redis", r.URL)
	sockets := []*kit.Socket{n1.Dial("format=envelope"), n2.Dial("format=envelope")}
	stop := make(chan struct{})
	var acked map[uint64]string
	var wg sync.WaitGroup
	wg.Go(func() { acked = publishUntil(n1, stop) })
	sockets[0].Wait(20)
	for round := range 2 {
		r.Kill()
		kit.Eventually(t, "the node is not ready without Redis", func() bool { s, _ := n1.Get("/readyz"); return s == 503 })
		if status, body := n2.Post("/publish/chat", "while away"); status != 503 || !strings.Contains(body, "unavailable") {
			t.Errorf("publish while Redis is away: %d %s", status, body)
		}
		r.Restart()
		sockets[0].Wait(20 * (round + 2))
		sockets[1].Wait(20 * (round + 2))
	}
	close(stop)
	wg.Wait()
	n1.WaitReady()
	n2.WaitReady()
	n1.Publish("chat", "fence")
	for i, s := range sockets {
		got := untilFence(t, s)
		for at, text := range acked {
			if got[at] != text {
				t.Errorf("subscriber %d: acknowledged %s at %d, got %q", i, text, at, got[at])
			}
		}
		if len(acked) < 40 {
			t.Errorf("only %d acknowledged", len(acked))
		}
	}
}

// untilFence returns what a subscriber got, by offset, and checks that
// nothing came twice and that no gap is left.
func untilFence(t *testing.T, s *kit.Socket) map[uint64]string {
	t.Helper()
	kit.Eventually(t, "the fence comes", func() bool { return strings.Contains(last(s.All()), "fence") })
	got, texts := map[uint64]string{}, map[string]bool{}
	before := uint64(0)
	for _, e := range s.Envelopes(1) {
		text := strings.Trim(string(e.Data), `"`)
		if e.Gap != nil {
			t.Fatalf("a gap, though the log lost nothing: %+v", e.Gap)
		}
		if texts[text] || e.Offset != before+1 {
			t.Fatalf("%s at %s after offset %d: twice or out of order", text, e.Position(), before)
		}
		texts[text], got[e.Offset], before = true, text, e.Offset
	}
	return got
}

// D10 at the doors: a Redis that comes back without its data is told once to
// everybody, and offsets that begin again never pass for the old ones.
func TestALostRedisIsTold(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	live := n.Dial("format=envelope")
	plain := n.Dial("")
	for i := range 3 {
		n.Publish("chat", fmt.Sprint(i))
	}
	old := live.Envelopes(3)[2].Position()
	r.Kill()
	r.Restart()
	if code, _ := plain.CloseCode(); code != 4003 {
		t.Errorf("plain client: closed with %d, want 4003", code)
	}
	n.WaitReady()
	for i := range 5 {
		n.Publish("chat", fmt.Sprint("new", i))
	}
	gaps := 0
	for _, e := range live.Envelopes(9)[3:] {
		if e.Gap != nil {
			gaps++
		}
	}
	if gaps != 1 {
		t.Errorf("the live subscriber was told %d times", gaps)
	}
	if back := n.Dial("format=envelope&since=" + old).Envelopes(1)[0]; back.Gap == nil || back.Gap.Reason != "lost" {
		t.Errorf("with the old position: %+v", back)
	}
}

// P7: readiness is the truth. A frozen Redis is found out, publishers get 503 and nothing piles up; after it
// everything goes on.
func TestFrozenRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	s := n.Dial("")
	n.Publish("chat", "1")
	s.Wait(1)
	r.Freeze()
	kit.Eventually(t, "the node is not ready", func() bool { status, _ := n.Get("/readyz"); return status == 503 })
	if status, _ := n.Get("/livez"); status != 200 {
		t.Errorf("livez: %d", status)
	}
	// All at once: each is answered only when the node gives Redis up.
	var asked sync.WaitGroup
	asked.Go(func() {
		res, err := n.Do("POST", "/publish/chat", "2")
		if err != nil {
			t.Error(err)
			return
		}
		if status, body := kit.Read(res, nil); status != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("publish: %d %s, Retry-After %q", status, body, res.Header.Get("Retry-After"))
		}
	})
	asked.Go(func() {
		// An EventSource would give up for good at a 503: it is asked to come back.
		if status, body := n.Get("/sse?channel=fresh", "Accept: text/event-stream"); status != 200 || !strings.Contains(body, "retry: ") || !strings.Contains(body, "event: unavailable") {
			t.Errorf("an EventSource while Redis is frozen: %d %q", status, body)
		}
	})
	asked.Go(func() {
		if status, _ := n.Get("/sse?channel=fresh"); status != 503 {
			t.Errorf("another client: %d, want 503", status)
		}
	})
	asked.Wait()
	r.Thaw()
	n.WaitReady()
	n.Publish("chat", "3")
	kit.Eventually(t, "delivery goes on", func() bool { return last(s.All()) == "3" })
}

// D8: a client that does not read is cut; the others see nothing of it.
func TestASlowClientIsCut(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--outbox", "128KB")
	slowDial(t, n)
	fast := n.Dial("channel=big")
	payload := strings.Repeat("x", 32<<10)
	for i := range 600 {
		n.Publish("big", fmt.Sprint(i, payload))
	}
	fast.Wait(600)
	kit.Eventually(t, "the slow client is cut", func() bool {
		_, m := n.Get("/metrics")
		return strings.Contains(m, `magpie_sessions_closed_total{reason="slow"} 1`)
	})
}

// A drain: not ready, then everybody is told to come back elsewhere, exit 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	r, n1, n2 := two(t)
	var sockets []*kit.Socket
	for range 20 {
		sockets = append(sockets, n1.Dial("channel=a&format=envelope"))
	}
	events := n1.Events("channel=a", "")
	n2.Publish("a", "1")
	at := sockets[0].Envelopes(1)[0].Position()
	n1.Signal(syscall.SIGTERM)
	for _, s := range sockets {
		if code, reason := s.CloseCode(); code != 4000 {
			t.Errorf("closed with %d %s, want 4000", code, reason)
		}
	}
	events.WaitClosed()
	if err := n1.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	n2.Publish("a", "2")
	if got := n2.Dial("channel=a&format=envelope&since=" + at).Envelopes(1); got[0].Offset != 2 {
		t.Errorf("on the other node: %+v", got)
	}
	if leases := r.Do("KEYS", "magpie:{}:node:*"); strings.Count(leases, "magpie:{}:node:") != 1 {
		t.Errorf("node leases after the drain: %q", leases)
	}
}

// A drain does not wait for a Redis that is away, and a second signal ends at
// once.
func TestDrainWithoutRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	n.Dial("")
	r.Freeze()
	defer r.Thaw()
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	n.Wait()
	if took := time.Since(began); took > 15*time.Second+kit.Patience {
		t.Errorf("took %s", took)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL, "--drain-timeout", "60s")
	slowDial(t, n)
	r.Freeze()
	defer r.Thaw()
	n.Signal(syscall.SIGTERM)
	n.Signal(syscall.SIGINT)
	n.Wait()
}
