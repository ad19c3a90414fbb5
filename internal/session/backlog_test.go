package session

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/problem"
)

// sink is a Link and a hub.Subscriber that takes everything, unless it is
// full: then it takes nothing until its session ends.
type sink struct {
	full bool
	over chan struct{}
}

func (s *sink) TryWrite([]byte) (int, error) { return 0, nil }
func (s *sink) Goodbye(Reason)               { close(s.over) }
func (s *sink) Deliver(*message.Batch)       {}
func (s *sink) Gap(message.Gap)              {}
func (s *sink) Write([][]byte) error {
	if s.full {
		<-s.over
		return ErrClosed
	}
	return nil
}

// What clients missed is bounded for all of them together: a few that ask for
// long logs and read nothing do not hold all of the memory. Who missed little
// comes back all the same, and when others have read there is room again.
func TestTheBacklogsOfAllAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		rules, err := channel.NewRules(nil, channel.Default(channel.Anyone))
		if err != nil {
			t.Fatal(err)
		}
		e := memory.New(memory.Config{Rules: rules})
		h := hub.New(hub.Config{Engine: e, Rules: rules, Log: slog.New(slog.DiscardHandler)})
		if err := e.Start(ctx, engine.Node{Sink: h}); err != nil {
			t.Fatal(err)
		}
		n := NewNode(Config{Hub: h, Engine: e, Auth: auth.New(auth.Config{Rules: rules}), MaxPayload: 1 << 20, Outbox: 1, Subscriptions: 9})
		defer func() {
			if err := n.Drain(ctx); err != nil {
				t.Error(err)
			}
			h.Close()
			e.Close(ctx)
			if left := n.backlog.Load(); left != 0 {
				t.Errorf("%d bytes are still counted", left)
			}
		}()
		var at [3]message.Position
		for i := range at {
			r, err := e.Publish(ctx, engine.Publication{Channel: "chat", Payload: make([]byte, backlogSmall/2+1)})
			if err != nil {
				t.Fatal(err)
			}
			at[i] = r.Position
		}
		comeBack := func(since message.Position) error {
			s, l := new(Session), &sink{over: make(chan struct{})}
			if err := n.Open(s, l, auth.Identity{Kind: auth.Guest}); err != nil {
				t.Fatal(err)
			}
			_, err := s.Subscribe(ctx, "chat", l, &since)
			return err
		}
		refused := func(err error) bool { return err != nil && problem.Of(err).Status == 503 }

		done := n.Carry(backlogMost + 1)
		if err := comeBack(at[0]); !refused(err) {
			t.Errorf("much was missed, and there is no room: %v", err)
		}
		if err := comeBack(at[1]); err != nil {
			t.Errorf("little was missed: %v", err)
		}
		who := auth.Identity{Kind: auth.Guest}
		if _, err := n.History(ctx, who, "chat", engine.Query{Limit: engine.All}); !refused(err) {
			t.Errorf("history of all: %v", err)
		}
		if page, err := n.History(ctx, who, "chat", engine.Query{Limit: 1}); err != nil || len(page.Messages) != 1 {
			t.Errorf("history of one: %v", err)
		}
		time.AfterFunc(backlogWait/2, done)
		if err := comeBack(at[0]); err != nil {
			t.Errorf("others have read meanwhile: %v", err)
		}
	})
}

// What waits is counted until it is written, or the session ends.
func TestABacklogIsCountedWhileItWaits(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := NewNode(Config{Outbox: 1})
			s, l := new(Session), &sink{full: full, over: make(chan struct{})}
			if err := n.Open(s, l, auth.Identity{Kind: auth.Guest}); err != nil {
				t.Fatal(err)
			}
			s.SendBacklog(make([]byte, 10))
			s.Attach()
			s.SendBacklog(make([]byte, 20))
			s.SendBacklog(make([]byte, 30))
			synctest.Wait()
			want := int64(0)
			if full {
				want = 60
			}
			if got := n.backlog.Load(); got != want {
				t.Errorf("full %v: %d bytes are counted, want %d", full, got, want)
			}
			s.Close(ReasonClient)
			s.SendBacklog(make([]byte, 40))
			synctest.Wait()
			if got := n.backlog.Load(); got != 0 {
				t.Errorf("full %v: %d bytes are still counted", full, got)
			}
		})
	}
}
