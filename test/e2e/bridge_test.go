package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"magpie/test/kit"
)

// The founding article's contract: what one client sends, all get, the sender
// too; the channel is chat.
func TestClassicChat(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	a, b := n.Dial(""), n.Dial("")
	a.Send(`{"content":"has joined the chat"}`)
	b.Send("plain text")
	for _, s := range []*kit.Socket{a, b} {
		got := s.Wait(2)
		slices.Sort(got)
		if !slices.Equal(got, []string{"plain text", `{"content":"has joined the chat"}`}) {
			t.Errorf("got %q", got)
		}
	}
}

// P1: a plain PUBLISH reaches every node's clients exactly once and is in the
// log exactly once; FCALL answers its position.
func TestRedisIsTheAPI(t *testing.T) {
	t.Parallel()
	r, n1, n2 := two(t)
	a, b := n1.Dial(""), n2.Dial("format=envelope")
	if got := r.Do("PUBLISH", "chat", `{"content":"hi"}`); got != "2" {
		t.Errorf("PUBLISH reached %s nodes, want 2", got)
	}
	if got := a.Wait(1)[0]; got != `{"content":"hi"}` {
		t.Errorf("node 1 got %s", got)
	}
	first := b.Envelopes(1)[0]
	if string(first.Data) != `{"content":"hi"}` || first.Offset != 1 || first.Via != "plain" {
		t.Errorf("node 2 got %+v", first)
	}
	reply := strings.Split(r.Do("FCALL", "magpie_publish", "1", "chat", `{"content":"two"}`, "key-1"), "\n")
	again := strings.Split(r.Do("FCALL", "magpie_publish", "1", "chat", `{"content":"two"}`, "key-1"), "\n")
	if len(reply) != 2 || reply[0] != "2" || reply[1] != first.Epoch || !slices.Equal(reply, again) {
		t.Errorf("FCALL answered %q, then %q", reply, again)
	}
	n1.Publish("chat", "fence")
	for _, s := range []*kit.Socket{a, b} {
		if got := s.Wait(3); len(got) != 3 {
			t.Errorf("got %d messages: %q", len(got), got)
		}
	}
	if log := history(t, n2, "chat"); len(log) != 3 {
		t.Errorf("%d messages in the log: %+v", len(log), log)
	}
}

// 10,000 messages from five kinds of publishers reach fifty subscribers on two
// nodes complete, once and in one order (P3, D1, D5, D6).
func TestTenThousandMixedMessages(t *testing.T) {
	t.Parallel()
	const each = 2000
	config := filepath.Join(t.TempDir(), "magpie.yaml")
	if err := os.WriteFile(config, []byte("rules:\n  - match: chat\n    log: {size: 20000, age: 1h}\ningest:\n  streams: [orders]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, n1, n2 := two(t, "--config", config, "--ping-interval", "10m")
	sockets := []*kit.Socket{n1.Dial("format=envelope"), n2.Dial("format=envelope")}
	var taps []*tap
	for i := range 48 {
		taps = append(taps, newTap(t, []*kit.Node{n1, n2}[i%2], "format=envelope"))
	}
	publishers := map[string]func(text string){
		"http":  func(text string) { n1.Publish("chat", text) },
		"plain": func(text string) { r.Do("PUBLISH", "chat", text) },
		"fcall": func(text string) { r.Do("FCALL", "magpie_publish", "1", "chat", text) },
		"xadd":  func(text string) { r.Do("XADD", "orders", "*", "channel", "chat", "payload", text) },
	}
	raw := n2.Dial("channel=chat")
	publishers["raw"] = raw.Send
	var wg sync.WaitGroup
	for name, publish := range publishers {
		wg.Go(func() {
			for i := range each {
				publish(fmt.Sprintf(`{"from":%q,"n":%d}`, name, i))
			}
		})
	}
	wg.Wait()
	var order []string
	for i, s := range sockets {
		list := s.Envelopes(5 * each)
		got := make([]string, len(list))
		for k, e := range list {
			if e.Offset != uint64(k+1) {
				t.Fatalf("subscriber %d: message %d has offset %d", i, k+1, e.Offset)
			}
			got[k] = string(e.Data)
		}
		if order == nil {
			order = got
		} else if !slices.Equal(order, got) {
			t.Fatalf("subscriber %d saw another order", i)
		}
	}
	checkComplete(t, order, publishers, each)
	want := textFrames(sockets[0].All())
	for i, s := range taps {
		kit.Eventually(t, "all have come", func() bool { return s.len() >= len(want) })
		if !s.equals(want) {
			t.Errorf("subscriber %d got other bytes", i)
		}
	}
	if log := history(t, n1, "chat"); len(log) != 5*each {
		t.Errorf("%d messages in the log", len(log))
	}
}

// checkComplete fails unless every publisher's messages are there once and in
// its order (S3, S4).
func checkComplete(t *testing.T, order []string, publishers map[string]func(string), each int) {
	t.Helper()
	next := map[string]int{}
	for _, text := range order {
		var m struct {
			From string
			N    int
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		if m.N != next[m.From] {
			t.Fatalf("%s: message %d where %d was due", m.From, m.N, next[m.From])
		}
		next[m.From]++
	}
	for name := range publishers {
		if next[name] != each {
			t.Errorf("%s: %d of %d messages", name, next[name], each)
		}
	}
}

// Binary in, binary out; nobody is disconnected for it.
func TestPayloadsThatAreNoText(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	plain, wrapped, events := n.Dial(""), n.Dial("format=envelope"), n.Events("", "")
	n.Publish("chat", "\xff\x00\x01")
	n.Publish("chat", "ok")
	if got := plain.Wait(2); got[0] != "\xff\x00\x01" || got[1] != "ok" {
		t.Errorf("raw: %q", got)
	}
	if got := wrapped.Wait(2); !strings.Contains(got[0], `"b64":"/wAB"`) {
		t.Errorf("envelope: %q", got)
	}
	if got := events.Wait(2); got[0].Name != "base64" || got[0].Data != "/wAB" || got[1].Data != "ok" {
		t.Errorf("events: %+v", got)
	}
}
