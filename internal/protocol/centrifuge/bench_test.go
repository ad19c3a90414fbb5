package centrifuge

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"unsafe"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/protocol/centrifuge/tagfilter"
	"magpie/internal/session"
	"magpie/internal/wheel"
)

// sink is a Link that takes everything.
type sink struct{ bytes int }

func (s *sink) TryWrite(b []byte) (int, error) { s.bytes += len(b); return len(b), nil }
func (s *sink) Write([][]byte) error           { return nil }
func (s *sink) Goodbye(session.Reason)         {}

// receivers are subscriptions of one channel over such links.
func receivers(t testing.TB, n int, f *form, prepare func(*subscription)) []*subscription {
	t.Helper()
	rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	e := memory.New(memory.Config{Rules: rules})
	h := hub.New(hub.Config{Engine: e, Rules: rules, Log: slog.New(slog.DiscardHandler)})
	node := session.NewNode(session.Config{Hub: h, Engine: e, Auth: auth.New(auth.Config{Rules: rules}), MaxPayload: 1 << 16, Outbox: 1 << 20, Subscriptions: 10})
	d := New(Config{Node: node, Rules: rules, Wheel: wheel.New(1 << 30)})
	var list []*subscription
	for range n {
		c := d.newConn(f)
		if err := node.Open(&c.Session, new(sink), auth.Identity{Kind: auth.Guest}); err != nil {
			t.Fatal(err)
		}
		c.Attach()
		s := c.newSubscription("chat", &terms{})
		s.epoch = "e"
		if prepare != nil {
			prepare(s)
		}
		list = append(list, s)
	}
	t.Cleanup(func() {
		if err := node.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return list
}

func sample(offset uint64) *message.Message {
	return &message.Message{
		Channel: "chat", Position: message.Position{Epoch: "e", Offset: offset}, Tags: map[string]string{"k": "v"},
		Payload: []byte(`{"id":17,"from":"ada","text":"` + strings.Repeat("hello ", 20) + `"}`),
		By:      &message.Publisher{User: "42", Session: "5f2b8c", ConnInfo: []byte(`{"name":"Ada"}`)},
	}
}

// Bytes are made once per message and shared: one receiver more costs no
// allocation, in any form.
func TestADeliveryAllocatesNothingPerReceiver(t *testing.T) {
	filter, err := tagfilter.Compile(&protocol.FilterNode{Key: "k", Cmp: "eq", Val: "v"})
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func(*subscription){
		"plain": nil, "members": func(s *subscription) { s.flags |= members },
		"filter": func(s *subscription) { s.filter = filter }, "delta": func(s *subscription) { s.delta = new(delta) },
	} {
		for kind, f := range map[string]*form{"JSON": jsonSocket, "Protobuf": protoSocket} {
			s := receivers(t, 2, f, prepare)
			first := sample(1)
			b := &message.Batch{Messages: []*message.Message{sample(2)}, Before: first.Payload}
			for _, one := range s {
				one.Deliver(&message.Batch{Messages: []*message.Message{first}})
				one.Deliver(b)
			}
			if n := testing.AllocsPerRun(100, func() { s[1].Deliver(b) }); n != 0 {
				t.Errorf("%s, %s: %v allocations", name, kind, n)
			}
		}
	}
}

// A subscription is small, and a connection without any costs little more
// than its session.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(subscription{}); n > 144 {
		t.Errorf("a subscription is %d bytes", n)
	}
	if n := unsafe.Sizeof(conn{}) - unsafe.Sizeof(session.Session{}); n > 224 {
		t.Errorf("a connection is %d bytes more than its session", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, f := range map[string]*form{"JSON": jsonSocket, "Protobuf": protoSocket} {
		b.Run(name, func(b *testing.B) {
			m := sample(1)
			b.ReportAllocs()
			for b.Loop() {
				f.push(m, false)
			}
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	const n = 1000
	for name, prepare := range map[string]func(*subscription){"plain": nil, "delta": func(s *subscription) { s.delta = new(delta) }} {
		b.Run(name, func(b *testing.B) {
			all := receivers(b, n, jsonSocket, prepare)
			before := sample(1).Payload
			b.ReportAllocs()
			for b.Loop() {
				batch := &message.Batch{Messages: []*message.Message{sample(2)}, Before: before}
				for _, s := range all {
					s.Deliver(batch)
				}
				before = batch.Messages[0].Payload
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/delivery")
		})
	}
}
