package enginetest

import (
	"fmt"
	"slices"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

func unsubscribe(f *fixture) {
	n := f.node()
	n.subscribe("chat", "fence")
	n.Unsubscribe("chat")
	// Unsubscribing takes effect after a while: publish until a message stays out.
	n.Sink.WaitFor(f.T, func() bool {
		before := len(n.Sink.Messages("chat"))
		n.publish("chat", 1)
		fences := len(n.Sink.Messages("fence"))
		n.publish("fence", 1)
		n.Sink.Wait(f.T, "fence", fences+1)
		return len(n.Sink.Messages("chat")) == before
	})
	// And the way back.
	n.subscribe("chat")
	before := len(n.Sink.Messages("chat"))
	n.publish("chat", 1)
	n.Sink.Wait(f.T, "chat", before+1)
}

// subscribeAgain: leaving does not wait, so it may still be under way when the
// channel is subscribed again.
func subscribeAgain(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	for range 50 {
		n.Unsubscribe("chat")
		n.subscribe("chat")
		n.waitOffset("chat", n.publish("chat", 1).Position.Offset)
	}
}

func (n *Node) waitOffset(name string, offset uint64) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		return slices.ContainsFunc(n.Sink.Messages(name), func(m *message.Message) bool { return m.Offset == offset })
	})
}

// subscribing: the same questions as to History, the first time and again,
// with answers of no page, of one and of many.
func subscribing(f *fixture) {
	n := f.node()
	const most = 700
	n.publish("chat", most)
	top := n.top("chat")
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
			n.publish(name, 20)
			close(begun)
			n.publish(name, 180)
		})
		<-begun
		start := message.Position{Epoch: n.top(name).Epoch, Offset: 1}
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
			n.waitOffset(name, o)
		}
	}
}
