package hub_test

import (
	"context"
	"fmt"
	"testing"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/message"
)

// counter is a Subscriber that only counts, as cheaply as it can.
type counter struct{ got int }

func (c *counter) Deliver(b *message.Batch) { c.got += len(b.Messages) }
func (c *counter) Gap(message.Gap)          {}

// bench starts a hub on a memory engine with receivers in the channel chat.
func bench(t testing.TB, receivers int) (*hub.Hub, *memory.Engine, []*counter) {
	rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	e := memory.New(memory.Config{Rules: rules})
	h := hub.New(hub.Config{Engine: e, Rules: rules})
	if err := e.Start(context.Background(), engine.Node{Sink: h}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		e.Close(context.Background())
	})
	all := make([]*counter, receivers)
	for i := range all {
		all[i] = &counter{}
		joined, err := h.Join(context.Background(), "chat", all[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		joined.Subscription.Live()
	}
	return h, e, all
}

var payload = []byte(`{"content":"hello, world"}`)

// One operation is one message, published and delivered to all receivers on
// the publisher's goroutine.
func BenchmarkDeliverInline(b *testing.B) {
	for _, receivers := range []int{0, 1, 10, 32} {
		b.Run(fmt.Sprint(receivers), func(b *testing.B) {
			_, e, _ := bench(b, receivers)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Publish(context.Background(), engine.Publication{Channel: "chat", Payload: payload}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One operation is one message, received and delivered by the channel's worker.
func BenchmarkDeliverByWorker(b *testing.B) {
	for _, receivers := range []int{1, 1000, 10000} {
		b.Run(fmt.Sprint(receivers), func(b *testing.B) {
			h, e, all := bench(b, receivers)
			top, _ := e.Positions(context.Background(), []string{"chat"})
			at, last := top[0], all[len(all)-1]
			done := make(chan struct{})
			joined, err := h.Join(context.Background(), "chat", &signalling{done: done}, nil)
			if err != nil {
				b.Fatal(err)
			}
			joined.Subscription.Live()
			b.ReportAllocs()
			sent := 0
			for b.Loop() {
				at.Offset++
				sent++
				h.Receive(&message.Message{Channel: "chat", Position: at, Payload: payload})
				<-done
			}
			if last.got != sent {
				b.Fatalf("%d of %d came", last.got, sent)
			}
		})
	}
}

// signalling tells that a message came.
type signalling struct{ done chan struct{} }

func (s *signalling) Deliver(b *message.Batch) {
	for range b.Messages {
		s.done <- struct{}{}
	}
}
func (s *signalling) Gap(message.Gap) {}

// One operation is a subscriber that comes to where the channel is, and goes.
func BenchmarkJoinAndLeave(b *testing.B) {
	h, _, _ := bench(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		joined, err := h.Join(context.Background(), "chat", &counter{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		joined.Subscription.Live()
		joined.Subscription.Leave()
	}
}

// A receiver costs a delivery no allocation: only the message itself does.
func TestAReceiverAllocatesNothing(t *testing.T) {
	perMessage := func(receivers int) float64 {
		_, e, all := bench(t, receivers)
		n := testing.AllocsPerRun(200, func() {
			if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: payload}); err != nil {
				t.Fatal(err)
			}
		})
		if all[0].got == 0 {
			t.Fatal("nothing was delivered")
		}
		return n
	}
	if one, many := perMessage(1), perMessage(32); many > one || one > 6 {
		t.Errorf("%v allocations for one receiver, %v for 32", one, many)
	}
}
