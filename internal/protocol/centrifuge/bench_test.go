package centrifuge

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/protocol/centrifuge/tagfilter"
	"magpie/internal/session"
	"magpie/internal/wheel"
	"magpie/test/kit/stack"
)

// sink is a Link that takes everything.
type sink struct{ bytes int }

func (s *sink) TryWrite(b []byte) (int, error) { s.bytes += len(b); return len(b), nil }
func (s *sink) Write([][]byte) error           { return nil }
func (s *sink) CloseLink(fault.Reason)         {}

// receivers are subscriptions of one channel over such links.
func receivers(t testing.TB, n int, f *form, prepare func(*subscription)) []*subscription {
	t.Helper()
	st := stack.New(t, stack.Options{})
	d := New(Config{Node: st.Node, Gate: st.Gate, Wheel: wheel.New(1 << 30)})
	var list []*subscription
	for range n {
		c := d.newConn(f)
		if err := st.Node.Open(&c.Session, new(sink), auth.Identity{Kind: auth.Guest}, nil); err != nil {
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
