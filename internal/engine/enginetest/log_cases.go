package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"magpie/internal/engine"
	"magpie/internal/message"
)

func history(f *fixture) {
	n := f.node()
	n.publish("chat", 10)
	top := n.top("chat")
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
		{"three bytes of all", engine.Query{Limit: engine.All, Bytes: 3}, []string{"1", "2", "3"}},
		{"three bytes since 4", engine.Query{Since: since(4), Limit: engine.All, Bytes: 3, Resume: true}, []string{"5", "6", "7"}},
		{"the last three bytes, of which a message has two", engine.Query{Limit: 9, Bytes: 3, Reverse: true}, []string{"10", "9"}},
		{"a limit before so many bytes", engine.Query{Limit: 2, Bytes: 100}, []string{"1", "2"}},
		{"more bytes than there are", engine.Query{Limit: engine.All, Bytes: 100}, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}},
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
	if again := n.top("chat"); again != start.Top {
		f.Fatalf("position moved from %v to %v by itself", start.Top, again)
	}
	n.publish("chat", 1)
	page := n.history("chat", engine.Query{Since: &start.Top, Limit: engine.All})
	if page.Gap != "" || !slices.Equal(texts(page.Messages), []string{"1"}) {
		f.Errorf("since the empty channel's position: gap %q, %v", page.Gap, texts(page.Messages))
	}
}

// gaps: what a page says of a gap does not depend on how many messages are
// asked for. With Resume a lost position brings no messages.
func gaps(f *fixture) {
	n := f.node()
	n.publish("short", 8)
	top, all := n.top("short"), n.log("short")
	if want := []string{"4", "5", "6", "7", "8"}; !slices.Equal(all, want) {
		f.Errorf("whole log: %v", all)
	}
	for _, before := range []uint64{0, 2, 4} {
		page := n.history("short", engine.Query{Since: &message.Position{Epoch: top.Epoch, Offset: before}, Limit: engine.All, Reverse: true})
		if page.Gap != "" || len(page.Messages) != 0 {
			f.Errorf("back from %d: gap %q, %v", before, page.Gap, texts(page.Messages))
		}
	}
	for _, c := range []struct {
		epoch string
		since uint64
		gap   message.GapReason
		from  int // the first in all that is answered
	}{
		{top.Epoch, 0, message.GapTrimmed, 0}, {top.Epoch, 2, message.GapTrimmed, 0}, {top.Epoch, 3, "", 0}, {top.Epoch, 6, "", 3},
		{top.Epoch, 7, "", 4}, {top.Epoch, 8, "", 5}, {top.Epoch, 9, message.GapLost, 0}, {top.Epoch, 1 << 53, message.GapLost, 0},
		{"00000000", 0, message.GapLost, 0}, {"00000000", 6, message.GapLost, 0}, {"00000000", 8, message.GapLost, 0},
	} {
		for _, limit := range []int{engine.All, 0, 1, 2, 100} {
			for _, resume := range []bool{false, true} {
				since := message.Position{Epoch: c.epoch, Offset: c.since}
				page := n.history("short", engine.Query{Since: &since, Limit: limit, Resume: resume})
				want := all[c.from:]
				if limit >= 0 {
					want = want[:min(limit, len(want))]
				}
				if resume && c.gap == message.GapLost {
					want = nil
				}
				if page.Gap != c.gap || page.Top != top || !slices.Equal(texts(page.Messages), want) {
					f.Errorf("since %v, limit %d, resume %v: gap %q, %v; want %q, %v", since, limit, resume, page.Gap, texts(page.Messages), c.gap, want)
				}
			}
		}
	}
}

func age(f *fixture) {
	n := f.node()
	start := n.top("brief")
	n.publish("brief", 2)
	n.Sink.WaitFor(f.T, func() bool { return len(n.log("brief")) == 0 })
	page := n.history("brief", engine.Query{Since: &start, Limit: engine.All})
	if page.Gap != message.GapTrimmed || page.Top.Offset != 2 || page.Top.Epoch != start.Epoch {
		f.Errorf("since before the forgotten messages: %+v", page)
	}
	res := n.publish("brief", 1)
	if res.Position.Offset != 3 || res.Position.Epoch != start.Epoch {
		f.Errorf("after the log emptied: %v, want %s.3", res.Position, start.Epoch)
	}
}

func remove(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	before := n.publish("chat", 1).Position
	if err := n.Remove(f.Context(), "chat"); err != nil {
		f.Fatal(err)
	}
	n.Sink.WaitFor(f.T, func() bool { return n.Sink.Rechecks() > 0 })
	page := n.history("chat", engine.Query{Since: &before, Limit: engine.All})
	if page.Gap != message.GapLost || page.Top.Epoch == before.Epoch || page.Top.Offset != 0 {
		f.Errorf("after remove: %+v", page)
	}
	if again := n.publish("chat", 1).Position; again.Offset != 1 || again.Epoch != page.Top.Epoch {
		f.Errorf("first message after remove at %v, want %s.1", again, page.Top.Epoch)
	}
}

func positions(f *fixture) {
	n := f.node()
	names := []string{"none"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	want := n.publish("c7", 1).Position
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

// light publishes a message of so many bytes to "light" and checks what the log
// then holds: the newest message, no more than the bound, and no less than it
// must; all sizes are those of what was published. It returns those of what is held.
func (n *Node) light(f *fixture, sizes []int) []int {
	f.Helper()
	n.publishAs(engine.Publication{Channel: "light", Payload: make([]byte, sizes[len(sizes)-1])})
	var held []int
	sum := 0
	for _, m := range n.history("light", engine.Query{Limit: engine.All}).Messages {
		held, sum = append(held, len(m.Payload)), sum+len(m.Payload)
	}
	if len(held) == 0 || !slices.Equal(held, sizes[len(sizes)-len(held):]) {
		f.Fatalf("of %v the log holds %v", sizes, held)
	}
	if len(held) > 1 && sum > lightBytes || len(held) > 50 {
		f.Fatalf("the log holds %d messages of %d bytes", len(held), sum)
	}
	if next := len(sizes) - len(held) - 1; next >= 0 && len(held) < 50 && sum+sizes[next] <= lightBytes*7/8-slices.Max(sizes) {
		f.Fatalf("the log holds no more than %v of %v", held, sizes)
	}
	return held
}

// logBytes: a log that is full by its bytes drops whole messages, the oldest
// first; the newest stays though it alone is over the bound; the number bounds it
// as well.
func logBytes(f *fixture) {
	n := f.node()
	var sizes, held []int
	publish := func(count, size int) {
		for range count {
			sizes = append(sizes, size)
			held = n.light(f, sizes)
		}
	}
	publish(30, 999)
	if len(held) < 7 || len(held) > 8 {
		f.Errorf("of 999 bytes each it holds %d", len(held))
	}
	publish(2, lightBytes+1)
	if len(held) != 1 {
		f.Errorf("it holds %v", held)
	}
	publish(60, 1)
	if len(held) != 50 {
		f.Errorf("of one byte each it holds %d", len(held))
	}
	top := n.top("light")
	page := n.history("light", engine.Query{Since: &message.Position{Epoch: top.Epoch, Offset: 3}, Limit: engine.All})
	if page.Gap != message.GapTrimmed {
		f.Errorf("since a message that was dropped: gap %q", page.Gap)
	}
}

func logBytesMixed(f *fixture) {
	n := f.node()
	dice := rand.New(rand.NewPCG(1, 2))
	var sizes []int
	for range 400 {
		sizes = append(sizes, []int{0, 1, 40, 500, 1000, 3000, lightBytes, 2 * lightBytes}[min(dice.IntN(10), dice.IntN(8))%8])
		n.light(f, sizes)
	}
}
