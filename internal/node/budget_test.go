package node_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
	"magpie/test/kit/stack"
)

// The constants of session/budget.go.
const (
	budgetMost  = 128 << 20
	budgetPages = 64 << 20
	budgetSmall = 64 << 10
	budgetWait  = 2 * time.Second
)

// deaf is a hub.Subscriber.
type deaf struct{}

func (deaf) Deliver(*message.Batch) {}
func (deaf) Gap(message.Gap)        {}

// What clients missed is bounded for all of them together: a few that ask for
// long logs and read nothing do not hold all of the memory. They are in nobody's
// way who wants a page; who missed little comes back all the same; and when
// others have read there is room again.
func TestTheBacklogsOfAllAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		n := stack.New(t, stack.Options{Limits: node.Limits{Payload: 1 << 20, Outbox: 1, Subscriptions: 9}})
		var at [30]message.Position
		for i := range at {
			at[i] = n.Publish(engine.Publication{Channel: "chat", Payload: bytes.Repeat([]byte("x"), budgetSmall/2)}).Position
		}
		comeBack := func(since message.Position) error {
			s := new(session.Session)
			if err := n.Node.Open(s, new(recordingLink), auth.Identity{Kind: auth.Guest}, nil); err != nil {
				t.Fatal(err)
			}
			_, err := n.Gate.Subscribe(ctx, s, "chat", deaf{}, &since)
			return err
		}
		refused := func(err error) bool { return fault.KindOf(err) == fault.Unavailable }

		who := node.CallerActor(auth.Identity{Kind: auth.Guest})
		done := n.Gate.Hold(budgetMost + 1)
		if err := comeBack(at[0]); !refused(err) {
			t.Errorf("more than a page was missed, and there is no room: %v", err)
		}
		if err := comeBack(at[len(at)-3]); err != nil {
			t.Errorf("less than a page was missed: %v", err)
		}
		if page, err := n.Gate.History(ctx, who, "chat", engine.Query{Limit: engine.All}); err != nil || !page.More || len(page.Messages) < 20 {
			t.Errorf("a page of history: %d messages, more %v, %v", len(page.Messages), page.More, err)
		}
		donePages := n.Gate.Hold(budgetPages)
		if err := comeBack(at[len(at)-3]); !refused(err) {
			t.Errorf("less than a page was missed, and there is no room for pages: %v", err)
		}
		if err := comeBack(at[len(at)-2]); err != nil {
			t.Errorf("little was missed: %v", err)
		}
		if _, err := n.Gate.History(ctx, who, "chat", engine.Query{Limit: engine.All}); !refused(err) {
			t.Errorf("history of all: %v", err)
		}
		if page, err := n.Gate.History(ctx, who, "chat", engine.Query{Limit: 1}); err != nil || len(page.Messages) != 1 {
			t.Errorf("history of one: %v", err)
		}
		donePages()
		time.AfterFunc(budgetWait/2, done)
		if err := comeBack(at[0]); err != nil {
			t.Errorf("others have read meanwhile: %v", err)
		}
	})
}
