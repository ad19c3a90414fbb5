package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/memory"
	"magpie/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) {
	enginetest.Run(t, false, func(*testing.T) enginetest.Store {
		return func(_ *testing.T, rules *channel.Rules) engine.Engine {
			return memory.New(memory.Config{Rules: rules, IdempotencyWindow: enginetest.Window})
		}
	})
}

// eager is a sink whose deliveries bring about more publications, as those of
// other publishers do that come meanwhile.
type eager struct {
	*enginetest.Recorder
	publish func()
	left    int
	here    int
	offsets []uint64
}

func (s *eager) ReceiveInline(m *message.Message) {
	s.here++
	s.Receive(m)
}

func (s *eager) Receive(m *message.Message) {
	s.offsets = append(s.offsets, m.Offset)
	if s.left > 0 {
		s.left--
		s.publish()
	}
}

// A publisher delivers for others a few times, and hands the rest over in
// order (D1).
func TestAPublisherIsNotKept(t *testing.T) {
	rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	e := memory.New(memory.Config{Rules: rules})
	s := &eager{Recorder: enginetest.NewRecorder(), left: 100}
	s.publish = func() {
		if _, err := e.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("x")}); err != nil {
			t.Error(err)
		}
	}
	if err := e.Start(t.Context(), engine.Node{Sink: s}); err != nil {
		t.Fatal(err)
	}
	defer e.Close(t.Context())
	if _, err := e.Subscribe(t.Context(), "chat", engine.Query{}); err != nil {
		t.Fatal(err)
	}
	s.publish()
	if len(s.offsets) != 101 || s.here != 16 {
		t.Fatalf("%d came, %d of them here", len(s.offsets), s.here)
	}
	for i, offset := range s.offsets {
		if offset != uint64(i+1) {
			t.Fatalf("message %d has offset %d", i+1, offset)
		}
	}
}
