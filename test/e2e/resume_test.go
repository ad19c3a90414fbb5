package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie/test/kit"
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
func engines(t *testing.T, run func(t *testing.T, n *kit.Node)) {
	for name, redis := range map[string]func(*testing.T) []string{
		"embedded": func(*testing.T) []string { return nil },
		"redis":    func(t *testing.T) []string { return []string{"--redis", redistest.Start(t).URL} },
		"cluster":  func(t *testing.T) []string { return []string{"--redis", redistest.StartCluster(t, 3).URL} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, kit.Start(t, append(redis(t), "--config", shortLog(t))...))
		})
	}
}

// D2 at the SSE door: an EventSource that was cut comes back through its
// Last-Event-ID with exactly what it missed, in all its channels.
func TestEventSourceResumes(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, n *kit.Node) {
		const query = "channel=a&channel=b%2Fc"
		first := n.Events(query, "")
		n.Publish("a", "a1")
		n.Publish("b%2Fc", "b1")
		first.Wait(2)
		first.Close()
		n.Publish("a", "a2")
		n.Publish("b%2Fc", "b2")
		n.Publish("a", "a3\nwith a second line")
		second := n.Events(query, first.LastID())
		n.Publish("a", "a4")
		byChannel := map[string][]string{}
		for _, e := range second.Wait(4) {
			if e.Name != "" {
				t.Errorf("event %+v", e)
			}
			byChannel[e.Data[:1]] = append(byChannel[e.Data[:1]], e.Data)
		}
		if got := fmt.Sprintf("%q", byChannel); got != `map["a":["a2" "a3\nwith a second line" "a4"] "b":["b2"]]` {
			t.Errorf("came back to %s", got)
		}
	})
}

// An EventSource that was cut before its first message has a place to come
// back to as well.
func TestEventSourceResumesFromNothing(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	first := n.Events("channel=a", "")
	kit.Eventually(t, "an id comes", func() bool { return first.LastID() != "" })
	first.Close()
	n.Publish("a", "1")
	if got := n.Events("channel=a", first.LastID()).Wait(1); got[0].Data != "1" {
		t.Errorf("got %+v", got)
	}
}

// D2 at the raw door: since brings back exactly what was missed, in both
// formats.
func TestRawResumes(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, n *kit.Node) {
		first := n.Dial("channel=a&format=envelope")
		n.Publish("a", "1")
		at := first.Envelopes(1)[0].Position()
		first.Close()
		for i := 2; i <= 4; i++ {
			n.Publish("a", fmt.Sprint(i))
		}
		wrapped, plain := n.Dial("channel=a&format=envelope&since="+at), n.Dial("channel=a&since="+at)
		n.Publish("a", "5")
		for i, e := range wrapped.Envelopes(4) {
			if e.Offset != uint64(i+2) || string(e.Data) != fmt.Sprint(i+2) {
				t.Errorf("message %d: %+v", i, e)
			}
		}
		if got := strings.Join(plain.Wait(4), " "); got != "2 3 4 5" {
			t.Errorf("plain: %s", got)
		}
	})
}

// D2: whoever was away longer than the log reaches is told, at every door,
// and goes on from there.
func TestAGapIsTold(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, n *kit.Node) {
		wrapped, events := n.Dial("channel=short&format=envelope"), n.Events("channel=short", "")
		n.Publish("short", "0")
		at := wrapped.Envelopes(1)[0].Position()
		events.Wait(1)
		wrapped.Close()
		events.Close()
		for i := 1; i <= 10; i++ {
			n.Publish("short", fmt.Sprint(i))
		}
		wrapped, events = n.Dial("channel=short&format=envelope&since="+at), n.Events("channel=short", events.LastID())
		plain := n.Dial("channel=short&since=" + at)
		if code, reason := plain.CloseCode(); code != 4003 {
			t.Errorf("plain: closed with %d %s, want 4003", code, reason)
		}
		n.Publish("short", "11")
		got := wrapped.Envelopes(2)
		if got[0].Gap == nil || got[0].Gap.Reason != "trimmed" || got[0].Gap.Now.Offset != 11 || got[1].Offset != 12 {
			t.Errorf("envelopes: %+v", got)
		}
		told := events.Wait(2)
		if told[0].Name != "gap" || !strings.Contains(told[0].Data, `"reason":"trimmed"`) || told[1].Data != "11" {
			t.Errorf("events: %+v", told)
		}
		foreign := n.Dial("channel=short&format=envelope&since=00000000.3").Envelopes(1)
		if foreign[0].Gap == nil || foreign[0].Gap.Reason != "lost" {
			t.Errorf("foreign position: %+v", foreign[0])
		}
	})
}

// D9: a channel without a log delivers, and its messages carry no position.
func TestNoLogNoPositions(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, n *kit.Node) {
		s, e := n.Dial("channel=none&format=envelope"), n.Events("channel=none", "")
		if status, body := n.Post("/publish/none", "x"); status != 200 || strings.TrimSpace(body) != `{"offset":0,"epoch":""}` {
			t.Errorf("publish: %d %s", status, body)
		}
		if got := s.Wait(1)[0]; strings.Contains(got, "offset") || strings.Contains(got, "epoch") {
			t.Errorf("envelope %s", got)
		}
		if got := e.Wait(1)[0]; got.ID != "" {
			t.Errorf("id %q", got.ID)
		}
	})
}

// A resume works on another node than the one that was left, after a crash.
func TestResumeOnAnotherNodeAfterACrash(t *testing.T) {
	t.Parallel()
	_, n1, n2 := two(t)
	s := n1.Dial("channel=a&format=envelope")
	n2.Publish("a", "1")
	at := s.Envelopes(1)[0].Position()
	n1.Kill()
	n2.Publish("a", "2")
	back := n2.Dial("channel=a&format=envelope&since=" + at)
	n2.Publish("a", "3")
	if got := back.Envelopes(2); got[0].Offset != 2 || got[1].Offset != 3 {
		t.Errorf("came back to %+v", got)
	}
}
