package enginetest

import (
	"fmt"
	"slices"

	"magpie/internal/engine"
	"magpie/internal/message"
)

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
