package redis

import (
	"strconv"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// back waits until the node can publish again, without publishing.
func (n *node) back() {
	n.t.Helper()
	eventually(n.t, "ready again", func() bool { return n.Ready() == nil })
}

// D10 (fault C1b): Redis restarts from an older snapshot and as many messages
// are published as were lost. The offsets are the same; they must not mean
// two messages.
func TestD10RestartFromAnOlderSnapshotForksTheTimeline(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	for i := 1; i <= 3; i++ {
		n.publish("chat", strconv.Itoa(i))
	}
	server.Save()
	n.publish("chat", "4")
	before := n.publish("chat", "5").Position
	rechecks := n.sink.Rechecks()

	server.Kill()
	server.Restart()
	n.back()
	eventually(t, "the live subscriber is told", func() bool { return n.sink.Rechecks() > rechecks })

	now := n.publish("chat", "4 again").Position
	n.publish("chat", "5 again")
	if now.Epoch == before.Epoch || now.Offset != 4 {
		t.Fatalf("acknowledged %v after the rewind, %v before", now, before)
	}
	if page := n.history("chat", engine.Query{Since: &before, Limit: engine.All}); page.Gap != message.GapLost {
		t.Errorf("since a lost position: gap %q", page.Gap)
	}
	for since, want := range map[uint64]int{3: 2, 2: 3, 0: 5} {
		page := n.history("chat", engine.Query{Since: &message.Position{Epoch: before.Epoch, Offset: since}, Limit: engine.All})
		if page.Gap != "" || len(page.Messages) != want || page.Messages[0].Epoch != now.Epoch {
			t.Errorf("since %d, before the fork: gap %q, %d messages", since, page.Gap, len(page.Messages))
		}
	}
}

// D10 again, without a publish in between: Positions alone must fork.
func TestD10PositionsForkTheTimelineToo(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.publish("chat", "1")
	server.Save()
	before := n.publish("chat", "2").Position
	server.Kill()
	server.Restart()
	n.back()
	tops, err := n.Positions(t.Context(), []string{"chat"})
	if err != nil || tops[0].Epoch == before.Epoch || tops[0].Offset != 1 {
		t.Fatalf("positions %v %v after %v", tops, err, before)
	}
	if next := n.publish("chat", "2 again").Position; next.Epoch != tops[0].Epoch || next.Offset != 2 {
		t.Errorf("published at %v after %v", next, tops[0])
	}
}

// A snapshot of before the first message knows the epoch and offset 0.
func TestD10RewindToAnEmptyLog(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	start := n.history("chat", engine.Query{}).Top
	server.Save()
	lost := n.publish("chat", "1").Position
	server.Kill()
	server.Restart()
	n.back()
	n.publish("chat", "another 1")
	if page := n.history("chat", engine.Query{Since: &lost, Limit: engine.All}); page.Gap != message.GapLost {
		t.Errorf("since the lost message: gap %q", page.Gap)
	}
	if page := n.history("chat", engine.Query{Since: &start, Limit: engine.All}); page.Gap != "" || len(page.Messages) != 1 {
		t.Errorf("since the empty log: %+v", page)
	}
}

// A restart that loses nothing must not look like a loss: no false gap.
func TestD10HarmlessRestartKeepsPositions(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n := startNode(t, server, nil)
	old := n.publish("chat", "1").Position
	top := n.publish("chat", "2").Position
	for restart := range 3 {
		server.Kill()
		server.Restart()
		n.back()
		if page := n.history("chat", engine.Query{Since: &top, Limit: engine.All}); page.Gap != "" || len(page.Messages) != restart {
			t.Errorf("restart %d: since the top: gap %q, %d messages", restart, page.Gap, len(page.Messages))
		}
		n.publish("chat", "more")
	}
	if page := n.history("chat", engine.Query{Since: &old, Limit: engine.All}); page.Gap != "" || len(page.Messages) != 4 {
		t.Errorf("since the first epoch: gap %q, %d messages", page.Gap, len(page.Messages))
	}
}

func TestD10RestartWithoutPersistence(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	before := n.publish("chat", "1").Position
	rechecks := n.sink.Rechecks()
	server.Kill()
	if _, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("x")}); err == nil {
		t.Error("published without a Redis")
	}
	server.Restart()
	n.back()
	eventually(t, "a recheck", func() bool { return n.sink.Rechecks() > rechecks })
	if page := n.history("chat", engine.Query{Since: &before, Limit: engine.All}); page.Gap != message.GapLost || page.Top.Epoch == before.Epoch {
		t.Errorf("since the lost log: %+v", page)
	}
	got := len(n.sink.Messages("chat"))
	n.publish("chat", "2")
	n.sink.Wait(t, "chat", got+1)
}
