package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

var cases = []testCase{
	{"D5 a published message comes back as it went in", 1, roundTrip},
	{"D1 messages come in the order of their offsets", 1, order},
	{"channels do not cross", 1, noCrossTalk},
	{"no message after unsubscribe", 1, unsubscribe},
	{"publishers at once get offsets without hole or double", 1, concurrent},
	{"history by position limit and direction", 1, history},
	{"D3 subscribing answers the part of the log that is asked for", 1, subscribing},
	{"D3 what a subscribe does not answer comes live", 1, subscribingInTraffic},
	{"D2 a lost position resumes nothing", 1, resume},
	{"an empty channel has a position that recovers", 1, emptyChannel},
	{"D2 a position before the log's start is a gap", 1, trimmed},
	{"D2 a position that never was is a gap", 1, foreignPosition},
	{"a log forgets what is older than its age", 1, age},
	{"D4 a repeat with the same key yields the first result", 1, idempotency},
	{"D4 fifty repeats at once make one message", 1, idempotentRace},
	{"D4 a key ends with its window", 1, idempotencyWindow},
	{"D9 a channel without a log delivers and has no positions", 1, noLog},
	{"D9 a message that skips the log leaves no hole", 1, skipLog},
	{"remove begins a new timeline", 1, remove},
	{"positions of many channels", 1, positions},
	{"after close everything says closed", 1, closed},
	{"presence follows joins and leaves", 1, presence},
	{"D9 joins and leaves pass by the log", 1, joinsAndLeaves},
	{"a batch is published channel by channel", 1, batch},
	{"a signal to all reaches this node", 1, signalSelf},
	{"signals reach the node they are for", 2, signals},
	{"joins and leaves reach the other node", 2, joinsAcrossNodes},
	{"a secret is kept", 1, vault},
	{"all nodes keep one secret", 2, vaultAcrossNodes},
	{"two nodes see one timeline", 2, twoNodes},
	{"D4 a key holds on every node", 2, idempotencyAcrossNodes},
	{"presence is one set over nodes", 2, presenceAcrossNodes},
	{"presence of a closed node goes", 2, presenceOfClosedNode},
}

func roundTrip(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	payload := []byte{0, 0xff, '\r', '\n', '{', 0x80}
	by := &message.Publisher{User: "42", Session: "s1", ConnInfo: []byte(`{"name":"Ann"}`)}
	res := n.publishAs(engine.Publication{
		Channel: "chat", Payload: payload, Via: message.ViaSDK, By: by, Tags: map[string]string{"k": "ü\n"},
	})
	live := n.Sink.Wait(f.T, "chat", 1)[0]
	logged := n.history("chat", engine.Query{Limit: engine.All}).Messages
	if len(logged) != 1 {
		f.Fatalf("log has %d messages, want 1", len(logged))
	}
	for _, m := range []*message.Message{live, logged[0]} {
		if m.Channel != "chat" || m.Position != res.Position || !bytes.Equal(m.Payload, payload) || m.Via != message.ViaSDK {
			f.Errorf("got %q %v %q via %s, want chat %v %q via sdk", m.Channel, m.Position, m.Payload, m.Via, res.Position, payload)
		}
		if m.By == nil || m.By.User != "42" || m.By.Session != "s1" || string(m.By.ConnInfo) != `{"name":"Ann"}` || m.Tags["k"] != "ü\n" {
			f.Errorf("publisher %+v tags %v did not survive", m.By, m.Tags)
		}
		if age := time.Since(time.UnixMilli(m.Time)); age < -time.Minute || age > time.Minute {
			f.Errorf("time %d is not now", m.Time)
		}
	}
	if live.Time != logged[0].Time {
		f.Errorf("live time %d, logged %d", live.Time, logged[0].Time)
	}
}

func order(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	for i := range 200 {
		n.publish("chat", fmt.Sprint(i))
	}
	for i, m := range n.Sink.Wait(f.T, "chat", 200) {
		if m.Offset != uint64(i+1) || string(m.Payload) != fmt.Sprint(i) {
			f.Fatalf("message %d: offset %d payload %s", i, m.Offset, m.Payload)
		}
	}
}

func noCrossTalk(f *fixture) {
	n := f.node()
	n.subscribe("a")
	n.subscribe("a:b")
	n.publish("a", "1")
	n.publish("a:b", "2")
	n.publish("c", "3")
	if got := texts(n.Sink.Wait(f.T, "a", 1)); !slices.Equal(got, []string{"1"}) {
		f.Errorf("a: %v", got)
	}
	if got := texts(n.Sink.Wait(f.T, "a:b", 1)); !slices.Equal(got, []string{"2"}) {
		f.Errorf("a:b: %v", got)
	}
	if got := n.Sink.Messages("c"); len(got) != 0 {
		f.Errorf("c came without a subscription: %v", texts(got))
	}
	if n.history("c", engine.Query{Limit: engine.All}).Top.Offset != 1 {
		f.Errorf("c is not in its log")
	}
}

func unsubscribe(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	n.subscribe("fence")
	n.Unsubscribe("chat")
	// Unsubscribing takes effect after a while: publish until a message stays out.
	n.Sink.WaitFor(f.T, func() bool {
		before := len(n.Sink.Messages("chat"))
		n.publish("chat", "x")
		fences := len(n.Sink.Messages("fence"))
		n.publish("fence", "x")
		n.Sink.Wait(f.T, "fence", fences+1)
		return len(n.Sink.Messages("chat")) == before
	})
	// And the way back.
	n.subscribe("chat")
	before := len(n.Sink.Messages("chat"))
	n.publish("chat", "again")
	n.Sink.Wait(f.T, "chat", before+1)
}

func concurrent(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	const publishers, each = 8, 50
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if _, err := n.Publish(f.Context(), engine.Publication{Channel: "chat", Payload: fmt.Appendf(nil, "%d/%d", p, i)}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n.Sink.Wait(f.T, "chat", publishers*each)
	page := n.history("chat", engine.Query{Limit: engine.All})
	checkTimeline(f.T, page.Messages, publishers*each)
	next := make([]int, publishers)
	for _, m := range page.Messages {
		var p, i int
		fmt.Sscanf(string(m.Payload), "%d/%d", &p, &i)
		if next[p] != i {
			f.Fatalf("publisher %d: message %d where %d was due", p, i, next[p])
		}
		next[p]++
	}
}

func idempotency(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	p := engine.Publication{Channel: "chat", Payload: []byte("once"), IdempotencyKey: "order 7\r\n"}
	first := n.publishAs(p)
	second := n.publishAs(p)
	if first.Duplicate || !second.Duplicate || first.Position != second.Position {
		f.Errorf("first %+v, second %+v", first, second)
	}
	other := p
	other.Payload = []byte("else")
	if _, err := n.Publish(f.Context(), other); !errors.Is(err, engine.ErrConflict) {
		f.Errorf("same key, other payload: %v, want ErrConflict", err)
	}
	elsewhere := p
	elsewhere.Channel = "news"
	if res := n.publishAs(elsewhere); res.Duplicate {
		f.Errorf("the key reached into another channel")
	}
	if got := texts(n.history("chat", engine.Query{Limit: engine.All}).Messages); !slices.Equal(got, []string{"once"}) {
		f.Errorf("log: %v", got)
	}
}

func idempotentRace(f *fixture) {
	n := f.node()
	var wg sync.WaitGroup
	results := make([]engine.Result, 50)
	for i := range results {
		wg.Go(func() {
			res, err := n.Publish(f.Context(), engine.Publication{Channel: "chat", Payload: []byte("once"), IdempotencyKey: "k"})
			if err != nil {
				f.Error(err)
			}
			results[i] = res
		})
	}
	wg.Wait()
	firsts := 0
	for _, r := range results {
		if r.Position != results[0].Position {
			f.Fatalf("positions differ: %v and %v", r.Position, results[0].Position)
		}
		if !r.Duplicate {
			firsts++
		}
	}
	if top := n.history("chat", engine.Query{}).Top; firsts != 1 || top.Offset != 1 {
		f.Errorf("%d firsts, top %v", firsts, top)
	}
}

func idempotencyWindow(f *fixture) {
	n := f.node()
	p := engine.Publication{Channel: "chat", Payload: []byte("x"), IdempotencyKey: "k"}
	first := n.publishAs(p)
	n.Sink.WaitFor(f.T, func() bool { return n.publishAs(p).Position.Offset == first.Position.Offset+1 })
}

func closed(f *fixture) {
	n := f.node()
	ctx, cancel := context.WithTimeout(f.Context(), Patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		f.Fatal(err)
	}
	_, published := n.Publish(ctx, engine.Publication{Channel: "chat"})
	_, read := n.History(ctx, "chat", engine.Query{})
	_, subscribed := n.Subscribe(ctx, "chat", engine.Query{})
	for what, err := range map[string]error{"publish": published, "history": read, "subscribe": subscribed} {
		if !errors.Is(err, engine.ErrClosed) {
			f.Errorf("%s after close: %v, want ErrClosed", what, err)
		}
	}
	n.Unsubscribe("chat")
}

// checkTimeline fails unless the messages are offsets 1 to n of one epoch.
func checkTimeline(t *testing.T, list []*message.Message, n int) {
	t.Helper()
	if len(list) != n {
		t.Fatalf("%d messages, want %d", len(list), n)
	}
	for i, m := range list {
		if m.Offset != uint64(i+1) || m.Epoch != list[0].Epoch {
			t.Fatalf("message %d is at %v", i, m.Position)
		}
	}
}

func texts(list []*message.Message) []string {
	var s []string
	for _, m := range list {
		s = append(s, string(m.Payload))
	}
	return s
}
