package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie/test/kit/redistest"
)

// shortLog is a configuration whose channels short… keep five messages.
func shortLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "magpie.yaml")
	if err := os.WriteFile(path, []byte("rules:\n  - match: short*\n    log: {size: 5, age: 1h}\n  - match: none\n    log: {size: 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// engines runs a test on the embedded engine, on Redis and on a cluster.
func engines(t *testing.T, run func(t *testing.T, n *node)) {
	t.Run("embedded", func(t *testing.T) { run(t, start(t, "--config", shortLog(t))) })
	t.Run("redis", func(t *testing.T) { run(t, start(t, "--config", shortLog(t), "--redis", redistest.Start(t).URL)) })
	t.Run("cluster", func(t *testing.T) {
		run(t, start(t, "--config", shortLog(t), "--redis", redistest.StartCluster(t, 3).URL))
	})
}

// D2 at the SSE door: an EventSource that was cut comes back through its
// Last-Event-ID with exactly what it missed, in all its channels.
func TestEventSourceResumes(t *testing.T) {
	engines(t, func(t *testing.T, n *node) {
		const query = "channel=a&channel=b%2Fc"
		first := n.source(query, "")
		n.publish("a", "a1")
		n.publish("b%2Fc", "b1")
		first.wait(2)
		first.close()
		n.publish("a", "a2")
		n.publish("b%2Fc", "b2")
		n.publish("a", "a3\nwith a second line")
		second := n.source(query, first.lastID())
		n.publish("a", "a4")
		byChannel := map[string][]string{}
		for _, e := range second.wait(4) {
			if e.name != "" {
				t.Errorf("event %+v", e)
			}
			byChannel[e.data[:1]] = append(byChannel[e.data[:1]], e.data)
		}
		if got := fmt.Sprintf("%q", byChannel); got != `map["a":["a2" "a3\nwith a second line" "a4"] "b":["b2"]]` {
			t.Errorf("came back to %s", got)
		}
	})
}

// An EventSource that was cut before its first message has a place to come
// back to as well.
func TestEventSourceResumesFromNothing(t *testing.T) {
	n := start(t)
	first := n.source("channel=a", "")
	eventually(t, "no id", func() bool { return first.lastID() != "" })
	first.close()
	n.publish("a", "1")
	if got := n.source("channel=a", first.lastID()).wait(1); got[0].data != "1" {
		t.Errorf("got %+v", got)
	}
}

// D2 at the raw door: since brings back exactly what was missed, in both
// formats.
func TestRawResumes(t *testing.T) {
	engines(t, func(t *testing.T, n *node) {
		first := n.dial("channel=a&format=envelope")
		n.publish("a", "1")
		at := first.envelopes(1)[0].position()
		first.close()
		for i := 2; i <= 4; i++ {
			n.publish("a", fmt.Sprint(i))
		}
		wrapped, plain := n.dial("channel=a&format=envelope&since="+at), n.dial("channel=a&since="+at)
		n.publish("a", "5")
		for i, e := range wrapped.envelopes(4) {
			if e.Offset != uint64(i+2) || string(e.Data) != fmt.Sprint(i+2) {
				t.Errorf("message %d: %+v", i, e)
			}
		}
		if got := strings.Join(plain.wait(4), " "); got != "2 3 4 5" {
			t.Errorf("plain: %s", got)
		}
	})
}

// D2: whoever was away longer than the log reaches is told, at every door,
// and goes on from there.
func TestAGapIsTold(t *testing.T) {
	engines(t, func(t *testing.T, n *node) {
		wrapped, events := n.dial("channel=short&format=envelope"), n.source("channel=short", "")
		n.publish("short", "0")
		at := wrapped.envelopes(1)[0].position()
		events.wait(1)
		wrapped.close()
		events.close()
		for i := 1; i <= 10; i++ {
			n.publish("short", fmt.Sprint(i))
		}
		wrapped, events = n.dial("channel=short&format=envelope&since="+at), n.source("channel=short", events.lastID())
		plain := n.dial("channel=short&since=" + at)
		if code, reason := plain.closeCode(); code != 4003 {
			t.Errorf("plain: closed with %d %s, want 4003", code, reason)
		}
		n.publish("short", "11")
		got := wrapped.envelopes(2)
		if got[0].Gap == nil || got[0].Gap.Reason != "trimmed" || got[0].Gap.Now.Offset != 11 || got[1].Offset != 12 {
			t.Errorf("envelopes: %+v", got)
		}
		told := events.wait(2)
		if told[0].name != "gap" || !strings.Contains(told[0].data, `"reason":"trimmed"`) || told[1].data != "11" {
			t.Errorf("events: %+v", told)
		}
		foreign := n.dial("channel=short&format=envelope&since=00000000.3").envelopes(1)
		if foreign[0].Gap == nil || foreign[0].Gap.Reason != "lost" {
			t.Errorf("foreign position: %+v", foreign[0])
		}
	})
}

// D9: a channel without a log delivers, and its messages carry no position.
func TestNoLogNoPositions(t *testing.T) {
	engines(t, func(t *testing.T, n *node) {
		s, e := n.dial("channel=none&format=envelope"), n.source("channel=none", "")
		if status, body := n.post("none", "x", ""); status != 200 || strings.TrimSpace(body) != `{"offset":0,"epoch":""}` {
			t.Errorf("publish: %d %s", status, body)
		}
		if got := s.wait(1)[0]; strings.Contains(got, "offset") || strings.Contains(got, "epoch") {
			t.Errorf("envelope %s", got)
		}
		if got := e.wait(1)[0]; got.id != "" {
			t.Errorf("id %q", got.id)
		}
	})
}

// A resume works on another node than the one that was left, after a crash.
func TestResumeOnAnotherNodeAfterACrash(t *testing.T) {
	_, n1, n2 := two(t)
	s := n1.dial("channel=a&format=envelope")
	n2.publish("a", "1")
	at := s.envelopes(1)[0].position()
	n1.kill()
	n2.publish("a", "2")
	back := n2.dial("channel=a&format=envelope&since=" + at)
	n2.publish("a", "3")
	if got := back.envelopes(2); got[0].Offset != 2 || got[1].Offset != 3 {
		t.Errorf("came back to %+v", got)
	}
}
