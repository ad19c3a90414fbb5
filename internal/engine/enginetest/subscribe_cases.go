package enginetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// subscribing: the same questions as to History, the first time and again,
// with answers of no page, of one and of many.
func subscribing(f *fixture) {
	n := f.node()
	const most = 700
	for i := 1; i <= most; i++ {
		n.publish("chat", strconv.Itoa(i))
	}
	top := n.history("chat", engine.Query{}).Top
	for _, again := range []bool{false, true} {
		for _, missed := range []int{0, 1, 127, 128, 129, 640, most} {
			since := message.Position{Epoch: top.Epoch, Offset: top.Offset - uint64(missed)}
			page := n.subscribeAt("chat", engine.Query{Since: &since, Limit: engine.All, Resume: true})
			if page.Top != top || page.Gap != "" || page.Reach != top.Offset || len(page.Messages) != missed {
				f.Errorf("again %v, %d missed: %d messages, top %v, gap %q, reach %d", again, missed, len(page.Messages), page.Top, page.Gap, page.Reach)
			}
			for i, m := range page.Messages {
				if m.Offset != since.Offset+1+uint64(i) {
					f.Fatalf("message %d has offset %d", i, m.Offset)
				}
			}
			if !again {
				n.Unsubscribe("chat")
			}
		}
	}
	if page := n.subscribeAt("chat", engine.Query{}); page.Top != top || len(page.Messages) != 0 {
		f.Errorf("the position alone: %+v", page)
	}
	if page := n.subscribeAt("none", engine.Query{Limit: engine.All}); page.Top != (message.Position{}) || len(page.Messages) != 0 {
		f.Errorf("without a log: %+v", page)
	}
}

// subscribingInTraffic: the answer and what comes live have no hole between
// them, in many channels at once.
func subscribingInTraffic(f *fixture) {
	n := f.node()
	var all sync.WaitGroup
	answered := map[string]uint64{}
	for c := range 20 {
		name := fmt.Sprint("busy", c)
		begun := make(chan struct{})
		all.Go(func() {
			for i := range 200 {
				if _, err := n.Publish(context.Background(), engine.Publication{Channel: name, Payload: []byte("x")}); err != nil {
					f.Error(err)
				}
				if i == 20 {
					close(begun)
				}
			}
		})
		<-begun
		start := n.history(name, engine.Query{Limit: 1}).Messages[0].Position
		page := n.subscribeAt(name, engine.Query{Since: &start, Limit: engine.All, Resume: true})
		next := start.Offset
		for _, m := range page.Messages {
			if next++; m.Offset != next {
				f.Errorf("%s: offset %d in the answer, want %d", name, m.Offset, next)
			}
		}
		if page.Top.Offset != next {
			f.Errorf("%s: the answer ends at %d, its top is %d", name, next, page.Top.Offset)
		}
		answered[name] = next
	}
	all.Wait()
	for name, upTo := range answered {
		for o := upTo + 1; o <= 200; o++ {
			n.Sink.WaitFor(f.T, func() bool {
				return slices.ContainsFunc(n.Sink.Messages(name), func(m *message.Message) bool { return m.Offset == o })
			})
		}
	}
}

// resume: with Resume a lost position brings no messages; a trimmed one
// brings what is left.
func resume(f *fixture) {
	n := f.node()
	for i := 1; i <= 8; i++ {
		n.publish("short", strconv.Itoa(i))
	}
	top := n.history("short", engine.Query{}).Top
	for _, c := range []struct {
		since message.Position
		gap   message.GapReason
		want  []string
	}{
		{message.Position{Epoch: top.Epoch, Offset: 6}, "", []string{"7", "8"}},
		{message.Position{Epoch: top.Epoch, Offset: 1}, message.GapTrimmed, []string{"4", "5", "6", "7", "8"}},
		{message.Position{Epoch: top.Epoch, Offset: 9}, message.GapLost, nil},
		{message.Position{Epoch: "00000000", Offset: 6}, message.GapLost, nil},
	} {
		page := n.history("short", engine.Query{Since: &c.since, Limit: engine.All, Resume: true})
		if page.Gap != c.gap || page.Top != top || !slices.Equal(texts(page.Messages), c.want) {
			f.Errorf("since %v: gap %q, %v", c.since, page.Gap, texts(page.Messages))
		}
	}
}
