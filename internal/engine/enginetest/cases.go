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

func history(f *fixture) {
	n := f.node()
	for i := 1; i <= 10; i++ {
		n.publish("chat", fmt.Sprint(i))
	}
	top := n.history("chat", engine.Query{}).Top
	since := func(o uint64) *message.Position { return &message.Position{Epoch: top.Epoch, Offset: o} }
	for _, c := range []struct {
		what string
		q    engine.Query
		want []string
	}{
		{"position alone", engine.Query{}, nil},
		{"all", engine.Query{Limit: engine.All}, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}},
		{"first three", engine.Query{Limit: 3}, []string{"1", "2", "3"}},
		{"last three", engine.Query{Limit: 3, Reverse: true}, []string{"10", "9", "8"}},
		{"since 7", engine.Query{Since: since(7), Limit: engine.All}, []string{"8", "9", "10"}},
		{"since 0", engine.Query{Since: since(0), Limit: 2}, []string{"1", "2"}},
		{"since 4, two of them", engine.Query{Since: since(4), Limit: 2}, []string{"5", "6"}},
		{"since the top", engine.Query{Since: since(10), Limit: engine.All}, nil},
		{"before 4", engine.Query{Since: since(4), Limit: engine.All, Reverse: true}, []string{"3", "2", "1"}},
		{"two before 4", engine.Query{Since: since(4), Limit: 2, Reverse: true}, []string{"3", "2"}},
		{"before 1", engine.Query{Since: since(1), Limit: 2, Reverse: true}, nil},
		{"before 0", engine.Query{Since: since(0), Limit: 2, Reverse: true}, nil},
	} {
		page := n.history("chat", c.q)
		if got := texts(page.Messages); !slices.Equal(got, c.want) {
			f.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
		if page.Gap != "" || page.Top != top || top.Offset != 10 {
			f.Errorf("%s: gap %q, top %v", c.what, page.Gap, page.Top)
		}
		for _, m := range page.Messages {
			if m.Epoch != top.Epoch {
				f.Errorf("%s: epoch %q, want %q", c.what, m.Epoch, top.Epoch)
			}
		}
	}
}

func emptyChannel(f *fixture) {
	n := f.node()
	start := n.history("chat", engine.Query{Limit: engine.All})
	if start.Top.Epoch == "" || start.Top.Offset != 0 || len(start.Messages) != 0 {
		f.Fatalf("position of an empty channel: %+v", start)
	}
	if again := n.history("chat", engine.Query{}).Top; again != start.Top {
		f.Fatalf("position moved from %v to %v by itself", start.Top, again)
	}
	n.publish("chat", "1")
	page := n.history("chat", engine.Query{Since: &start.Top, Limit: engine.All})
	if page.Gap != "" || !slices.Equal(texts(page.Messages), []string{"1"}) {
		f.Errorf("since the empty channel's position: gap %q, %v", page.Gap, texts(page.Messages))
	}
}

func trimmed(f *fixture) {
	n := f.node()
	for i := 1; i <= 8; i++ {
		n.publish("short", fmt.Sprint(i))
	}
	top := n.history("short", engine.Query{}).Top
	for since, want := range map[uint64]message.GapReason{0: message.GapTrimmed, 2: message.GapTrimmed, 3: "", 7: "", 8: ""} {
		page := n.history("short", engine.Query{Since: &message.Position{Epoch: top.Epoch, Offset: since}, Limit: engine.All})
		if page.Gap != want {
			f.Errorf("since %d: gap %q, want %q", since, page.Gap, want)
		}
		if first := max(since, 3) + 1; uint64(len(page.Messages)) != 8-first+1 {
			f.Errorf("since %d: got %v", since, texts(page.Messages))
		}
	}
	if all := n.history("short", engine.Query{Limit: engine.All}); len(all.Messages) != 5 || all.Gap != "" {
		f.Errorf("whole log: gap %q, %v", all.Gap, texts(all.Messages))
	}
}

func foreignPosition(f *fixture) {
	n := f.node()
	n.publish("chat", "1")
	top := n.history("chat", engine.Query{}).Top
	for _, since := range []message.Position{
		{Epoch: "00000000", Offset: 0}, {Epoch: "00000000", Offset: 1}, {Epoch: top.Epoch, Offset: 2}, {Epoch: top.Epoch, Offset: 1 << 53},
	} {
		page := n.history("chat", engine.Query{Since: &since, Limit: engine.All})
		if page.Gap != message.GapLost || page.Top != top {
			f.Errorf("since %v: gap %q, top %v", since, page.Gap, page.Top)
		}
	}
}

func age(f *fixture) {
	n := f.node()
	start := n.history("brief", engine.Query{}).Top
	n.publish("brief", "1")
	n.publish("brief", "2")
	n.Sink.WaitFor(f.T, func() bool { return len(n.history("brief", engine.Query{Limit: engine.All}).Messages) == 0 })
	page := n.history("brief", engine.Query{Since: &start, Limit: engine.All})
	if page.Gap != message.GapTrimmed || page.Top.Offset != 2 || page.Top.Epoch != start.Epoch {
		f.Errorf("since before the forgotten messages: %+v", page)
	}
	res := n.publish("brief", "3")
	if res.Position.Offset != 3 || res.Position.Epoch != start.Epoch {
		f.Errorf("after the log emptied: %v, want %s.3", res.Position, start.Epoch)
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

func noLog(f *fixture) {
	n := f.node()
	n.subscribe("none")
	if res := n.publish("none", "1"); res.Position != (message.Position{}) {
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
	n.publish("chat", "1")
	p := engine.Publication{Channel: "chat", Payload: []byte("typing"), SkipLog: true, IdempotencyKey: "k"}
	if res := n.publishAs(p); res.Position != (message.Position{}) || res.Duplicate {
		f.Errorf("acknowledged with %+v, want no position", res)
	}
	if res := n.publishAs(p); !res.Duplicate {
		f.Error("D4: a repeat with the same key was published again")
	}
	if res := n.publish("chat", "2"); res.Position.Offset != 2 {
		f.Errorf("the next message has offset %d, want 2", res.Position.Offset)
	}
	live := n.Sink.Wait(f.T, "chat", 3)
	if got := texts(live); !slices.Equal(got, []string{"1", "typing", "2"}) || live[1].Logged() {
		f.Errorf("live: %v, the middle one at %v", got, live[1].Position)
	}
	if got := texts(n.history("chat", engine.Query{Limit: engine.All}).Messages); !slices.Equal(got, []string{"1", "2"}) {
		f.Errorf("log: %v", got)
	}
}

func remove(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	before := n.publish("chat", "1").Position
	if err := n.Remove(f.Context(), "chat"); err != nil {
		f.Fatal(err)
	}
	n.Sink.WaitFor(f.T, func() bool { return n.Sink.Rechecks() > 0 })
	page := n.history("chat", engine.Query{Since: &before, Limit: engine.All})
	if page.Gap != message.GapLost || page.Top.Epoch == before.Epoch || page.Top.Offset != 0 {
		f.Errorf("after remove: %+v", page)
	}
	if again := n.publish("chat", "2").Position; again.Offset != 1 || again.Epoch != page.Top.Epoch {
		f.Errorf("first message after remove at %v, want %s.1", again, page.Top.Epoch)
	}
}

func positions(f *fixture) {
	n := f.node()
	names := []string{"none"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	want := n.publish("c7", "x").Position
	tops, err := n.Positions(f.Context(), names)
	if err != nil || len(tops) != len(names) {
		f.Fatalf("%d positions, %v", len(tops), err)
	}
	if tops[0] != (message.Position{}) || tops[8] != want || tops[1].Epoch == "" || tops[1].Offset != 0 {
		f.Errorf("none %v, c7 %v (want %v), c0 %v", tops[0], tops[8], want, tops[1])
	}
	if tops, err = n.Positions(f.Context(), nil); err != nil || len(tops) != 0 {
		f.Errorf("no channels: %v %v", tops, err)
	}
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
	for what, err := range map[string]error{"publish": published, "history": read, "subscribe": n.Subscribe(ctx, "chat")} {
		if !errors.Is(err, engine.ErrClosed) {
			f.Errorf("%s after close: %v, want ErrClosed", what, err)
		}
	}
	n.Unsubscribe("chat")
}

func presence(f *fixture) {
	n := f.node()
	ann := engine.Member{Session: "s1", User: "ann", ConnInfo: []byte(`{"n":1}`)}
	bo := engine.Member{Session: "s2", User: "bo"}
	n.join("chat", ann)
	n.join("chat", ann, bo)
	n.waitMembers("chat", "s1", "s2")
	n.leave("chat", "s1", bo)
	n.waitMembers("chat", "s2")
	n.waitMembers("other")
}

func twoNodes(f *fixture) {
	a, b := f.node(), f.node()
	a.subscribe("chat")
	b.subscribe("chat")
	var wg sync.WaitGroup
	for _, n := range []*Node{a, b} {
		wg.Go(func() {
			for i := range 100 {
				if _, err := n.Publish(f.Context(), engine.Publication{Channel: "chat", Payload: fmt.Append(nil, i)}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	atA := a.Sink.Wait(f.T, "chat", 200)
	atB := b.Sink.Wait(f.T, "chat", 200)
	checkTimeline(f.T, atA, 200)
	checkTimeline(f.T, atB, 200)
	if !slices.Equal(texts(atA), texts(atB)) {
		f.Error("the two nodes saw different messages")
	}
}

func idempotencyAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	p := engine.Publication{Channel: "chat", Payload: []byte("once"), IdempotencyKey: "k"}
	first, second := a.publishAs(p), b.publishAs(p)
	if !second.Duplicate || first.Position != second.Position {
		f.Errorf("first %+v, second %+v", first, second)
	}
}

func presenceAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1", User: "ann"})
	b.join("chat", engine.Member{Session: "s2", User: "bo"})
	a.waitMembers("chat", "s1", "s2")
	b.waitMembers("chat", "s1", "s2")
	a.leave("chat", "s1")
	b.waitMembers("chat", "s2")
}

func presenceOfClosedNode(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1"})
	b.waitMembers("chat", "s1")
	if err := a.Close(f.Context()); err != nil {
		f.Fatal(err)
	}
	b.waitMembers("chat")
}

// join adds the last of all, with all as the node's own members from now on.
func (n *Node) join(name string, all ...engine.Member) {
	n.Sink.SetMembers(name, all...)
	n.Engine.(engine.Presence).Join(name, all[len(all)-1])
}

func (n *Node) leave(name, session string, left ...engine.Member) {
	n.Sink.SetMembers(name, left...)
	n.Engine.(engine.Presence).Leave(name, session)
}

func (n *Node) waitMembers(name string, sessions ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		members, err := n.Engine.(engine.Presence).Members(n.t.Context(), name)
		if err != nil {
			n.t.Fatal(err)
		}
		var got []string
		for _, m := range members {
			got = append(got, m.Session)
		}
		slices.Sort(got)
		return slices.Equal(got, sessions)
	})
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

func joinsAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	b.subscribe("chat")
	a.publishAs(engine.Publication{Channel: "chat", Kind: message.Join, By: &message.Publisher{User: "ann"}})
	if got := b.Sink.Wait(f.T, "chat", 1)[0]; got.Kind != message.Join || got.By.User != "ann" {
		f.Errorf("got %+v", got)
	}
}

func batch(f *fixture) {
	n := f.node()
	n.publishAs(engine.Publication{Channel: "c7", Payload: []byte("other"), IdempotencyKey: "k"})
	var all []engine.Publication
	for i := range 500 {
		all = append(all, engine.Publication{Channel: fmt.Sprint("c", i), Payload: []byte("x"), IdempotencyKey: "k"})
	}
	outcomes := n.Engine.(engine.Batcher).PublishAll(f.Context(), all)
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
	if got := n.Engine.(engine.Batcher).PublishAll(f.Context(), nil); len(got) != 0 {
		f.Errorf("outcomes of nothing: %v", got)
	}
}

func signalSelf(f *fixture) {
	n := f.node()
	bus := n.Engine.(engine.Bus)
	if bus.NodeID() == "" {
		f.Fatal("the node has no name")
	}
	n.send("", "to all\x00\xff")
	n.send(bus.NodeID(), "to me")
	n.waitSignals("to all\x00\xff", "to me")
	if reached, err := bus.Send(f.Context(), "nobody", []byte("x")); err != nil || reached != 0 {
		f.Errorf("a node that is not there: reached %d, %v", reached, err)
	}
}

func signals(f *fixture) {
	a, b := f.node(), f.node()
	name := b.Engine.(engine.Bus).NodeID()
	if name == a.Engine.(engine.Bus).NodeID() {
		f.Fatalf("both nodes are called %q", name)
	}
	if got := a.send("", "1"); got != 2 {
		f.Errorf("a signal to all reached %d nodes", got)
	}
	if got := a.send(name, "2"); got != 1 {
		f.Errorf("a signal to one reached %d nodes", got)
	}
	a.send("", "3")
	b.waitSignals("1", "2", "3")
	a.waitSignals("1", "3")
}

func (n *Node) send(node, data string) int {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	reached, err := n.Engine.(engine.Bus).Send(ctx, node, []byte(data))
	if err != nil {
		n.t.Fatalf("send: %v", err)
	}
	return reached
}

func (n *Node) waitSignals(want ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		var got []string
		for _, b := range n.Sink.Signals() {
			got = append(got, string(b))
		}
		return slices.Equal(got, want)
	})
}

func vault(f *fixture) {
	n := f.node()
	first, second := n.keep("key", "a\x00b"), n.keep("key", "other")
	if first != "a\x00b" || second != first || n.keep("else", "x") != "x" {
		f.Errorf("kept %q, then %q", first, second)
	}
}

func vaultAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	var wg sync.WaitGroup
	kept := make([]string, 20)
	for i := range kept {
		wg.Go(func() { kept[i] = []*Node{a, b}[i%2].keep("key", fmt.Sprint("fresh", i)) })
	}
	wg.Wait()
	for _, k := range kept {
		if k != kept[0] {
			f.Fatalf("nodes keep %q and %q", kept[0], k)
		}
	}
}

func (n *Node) keep(name, fresh string) string {
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	b, err := n.Engine.(engine.Vault).Keep(ctx, name, []byte(fresh))
	if err != nil {
		n.t.Errorf("keep: %v", err)
	}
	return string(b)
}
