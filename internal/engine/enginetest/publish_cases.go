package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

func roundTrip(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	payload := []byte{0, 0xff, '\r', '\n', '{', 0x80}
	by := &message.Publisher{User: "42", Session: "s1", ConnInfo: []byte(`{"name":"Ann"}`)}
	res := n.publishAs(engine.Publication{
		Channel: "chat", Payload: payload, Via: message.ViaSDK, By: by, Tags: map[string]string{"k": "ü\n"}, Binary: true,
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
		if m.By == nil || m.By.User != "42" || m.By.Session != "s1" || string(m.By.ConnInfo) != `{"name":"Ann"}` || m.Tags["k"] != "ü\n" || !m.Binary {
			f.Errorf("publisher %+v tags %v binary %t did not survive", m.By, m.Tags, m.Binary)
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
	n.publish("chat", 200)
	for i, m := range n.Sink.Wait(f.T, "chat", 200) {
		if m.Offset != uint64(i+1) || string(m.Payload) != fmt.Sprint(i+1) {
			f.Fatalf("message %d: offset %d payload %s", i, m.Offset, m.Payload)
		}
	}
}

func noCrossTalk(f *fixture) {
	n := f.node()
	n.subscribe("a", "a:b")
	n.publish("a", 1)
	n.publish("a:b", 2)
	n.publish("c", 3)
	if got := texts(n.Sink.Wait(f.T, "a:b", 2)); !slices.Equal(got, []string{"1", "2"}) {
		f.Errorf("a:b: %v", got)
	}
	if got := texts(n.Sink.Wait(f.T, "a", 1)); !slices.Equal(got, []string{"1"}) {
		f.Errorf("a: %v", got)
	}
	if got := n.Sink.Messages("c"); len(got) != 0 {
		f.Errorf("c came without a subscription: %v", texts(got))
	}
	if n.top("c").Offset != 3 {
		f.Errorf("c is not in its log")
	}
}

func concurrent(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	const publishers, each = 8, 50
	together(publishers, func(p int) {
		for i := range each {
			n.publishAs(engine.Publication{Channel: "chat", Payload: fmt.Appendf(nil, "%d/%d", p, i)})
		}
	})
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

func batch(f *fixture) {
	n := f.node()
	n.publishAs(engine.Publication{Channel: "c7", Payload: []byte("other"), IdempotencyKey: "k"})
	var all []engine.Publication
	for i := range 500 {
		all = append(all, engine.Publication{Channel: fmt.Sprint("c", i), Payload: []byte("x"), IdempotencyKey: "k"})
	}
	outcomes := n.PublishAll(f.Context(), all)
	if len(outcomes) != len(all) {
		f.Fatalf("%d outcomes", len(outcomes))
	}
	for i, o := range outcomes {
		if i == 7 {
			if !errors.Is(o.Err, engine.ErrConflict) {
				f.Errorf("c7: %v, want ErrConflict", o.Err)
			}
		} else if o.Err != nil || o.Position.Offset != 1 {
			f.Errorf("c%d: %+v", i, o)
		}
	}
	if got := n.PublishAll(f.Context(), nil); len(got) != 0 {
		f.Errorf("outcomes of nothing: %v", got)
	}
}

// once is a publication whose repeat is to be recognised.
var once = engine.Publication{Channel: "chat", Payload: []byte("once"), IdempotencyKey: "order 7\r\n"}

func idempotency(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	first, second := n.publishAs(once), n.publishAs(once)
	if first.Duplicate || !second.Duplicate || first.Position != second.Position {
		f.Errorf("first %+v, second %+v", first, second)
	}
	other := once
	other.Payload = []byte("else")
	if _, err := n.Publish(f.Context(), other); !errors.Is(err, engine.ErrConflict) {
		f.Errorf("same key, other payload: %v, want ErrConflict", err)
	}
	elsewhere := once
	elsewhere.Channel = "news"
	if res := n.publishAs(elsewhere); res.Duplicate {
		f.Errorf("the key reached into another channel")
	}
	n.publish("chat", 1)
	if got := texts(n.Sink.Wait(f.T, "chat", 2)); !slices.Equal(got, []string{"once", "1"}) {
		f.Errorf("live: %v", got)
	}
	if got := n.log("chat"); !slices.Equal(got, []string{"once", "1"}) {
		f.Errorf("log: %v", got)
	}
}

// Y2, D4: one key of two owners is two keys, whatever stands in them.
func idempotencyOwners(f *fixture) {
	n := f.node()
	owned := []struct{ owner, key string }{{"", "k"}, {"guest:", "k"}, {"user:a", "k"}, {"user:a", "k:k"}, {"user:a:k", "k"}, {"", "user:a:k"}}
	for i, o := range owned {
		p := engine.Publication{Channel: "chat", Payload: []byte{byte(i)}, KeyOwner: o.owner, IdempotencyKey: o.key}
		first := n.publishAs(p)
		if first.Duplicate || first.Position.Offset != n.top("chat").Offset {
			f.Errorf("%q: answered with another owner's %+v", o, first)
		}
		if again := n.publishAs(p); !again.Duplicate || again.Position != first.Position {
			f.Errorf("%q: a repeat got %+v, want %+v", o, again, first)
		}
	}
}

func idempotentRace(f *fixture) {
	n := f.node()
	results := make([]engine.Result, 50)
	together(len(results), func(i int) { results[i] = n.publishAs(once) })
	firsts := 0
	for _, r := range results {
		if r.Position != results[0].Position {
			f.Fatalf("positions differ: %v and %v", r.Position, results[0].Position)
		}
		if !r.Duplicate {
			firsts++
		}
	}
	if top := n.top("chat"); firsts != 1 || top.Offset != 1 {
		f.Errorf("%d firsts, top %v", firsts, top)
	}
}

func idempotencyWindow(f *fixture) {
	n := f.node()
	first := n.publishAs(once)
	n.Sink.WaitFor(f.T, func() bool { return n.publishAs(once).Position.Offset == first.Position.Offset+1 })
}

func noLog(f *fixture) {
	n := f.node()
	n.subscribe("none")
	if res := n.publish("none", 1); res.Position != (message.Position{}) {
		f.Errorf("position %v in a channel without a log", res.Position)
	}
	m := n.Sink.Wait(f.T, "none", 1)[0]
	if m.Logged() || string(m.Payload) != "1" {
		f.Errorf("got %v %q", m.Position, m.Payload)
	}
	page := n.history("none", engine.Query{Limit: engine.All})
	if page.Top != (message.Position{}) || len(page.Messages) != 0 {
		f.Errorf("history %+v", page)
	}
}

func skipLog(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	n.publish("chat", 1)
	p := engine.Publication{Channel: "chat", Payload: []byte("typing"), SkipLog: true, IdempotencyKey: "k"}
	if res := n.publishAs(p); res.Position != (message.Position{}) || res.Duplicate {
		f.Errorf("acknowledged with %+v, want no position", res)
	}
	if res := n.publishAs(p); !res.Duplicate {
		f.Error("D4: a repeat with the same key was published again")
	}
	if res := n.publish("chat", 1); res.Position.Offset != 2 {
		f.Errorf("the next message has offset %d, want 2", res.Position.Offset)
	}
	live := n.Sink.Wait(f.T, "chat", 3)
	if got := texts(live); !slices.Equal(got, []string{"1", "typing", "1"}) || live[1].Logged() {
		f.Errorf("live: %v, the middle one at %v", got, live[1].Position)
	}
	if got := n.log("chat"); !slices.Equal(got, []string{"1", "1"}) {
		f.Errorf("log: %v", got)
	}
}

func joinsAndLeaves(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	ann := &message.Publisher{User: "ann", Session: "s1", ConnInfo: []byte(`{"n":1}`)}
	for _, kind := range []message.Kind{message.Join, message.Leave} {
		res := n.publishAs(engine.Publication{Channel: "chat", Kind: kind, By: ann})
		if res.Position != (message.Position{}) {
			f.Errorf("kind %d got the position %v", kind, res.Position)
		}
	}
	got := n.Sink.Wait(f.T, "chat", 2)
	if got[0].Kind != message.Join || got[1].Kind != message.Leave || got[0].Logged() || got[0].By == nil ||
		got[0].By.User != "ann" || got[0].By.Session != "s1" || string(got[0].By.ConnInfo) != `{"n":1}` {
		f.Errorf("got %+v and %+v", got[0], got[1])
	}
	if page := n.history("chat", engine.Query{Limit: engine.All}); len(page.Messages) != 0 || page.Top.Offset != 0 {
		f.Errorf("they are in the log: %+v", page)
	}
}

func closed(f *fixture) {
	n := f.node()
	n.publish("chat", 1)
	ctx, cancel := context.WithTimeout(f.Context(), Patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		f.Fatal(err)
	}
	_, published := n.Publish(ctx, engine.Publication{Channel: "chat"})
	_, read := n.History(ctx, "other", engine.Query{})
	_, subscribed := n.Subscribe(ctx, "chat", engine.Query{})
	_, compared := n.Positions(ctx, []string{"chat"})
	_, listed := n.Members(ctx, "chat")
	for what, err := range map[string]error{"publish": published, "history": read, "subscribe": subscribed, "positions": compared,
		"members": listed, "remove": n.Remove(ctx, "chat"), "ready": n.Ready()} {
		if !errors.Is(err, engine.ErrClosed) {
			f.Errorf("%s after close: %v, want ErrClosed", what, err)
		}
	}
	n.Unsubscribe("chat")
}
