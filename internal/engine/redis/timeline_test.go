package redis

import (
	"strconv"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// back waits until the node can publish again, without publishing.
func (n *node) back() {
	n.t.Helper()
	eventually(n.t, "ready again", 15*time.Second, func() bool { return n.Ready() == nil })
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
	eventually(t, "the live subscriber is told", 5*time.Second, func() bool { return n.sink.Rechecks() > rechecks })

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
	eventually(t, "a recheck", 5*time.Second, func() bool { return n.sink.Rechecks() > rechecks })
	if page := n.history("chat", engine.Query{Since: &before, Limit: engine.All}); page.Gap != message.GapLost || page.Top.Epoch == before.Epoch {
		t.Errorf("since the lost log: %+v", page)
	}
	got := len(n.sink.Messages("chat"))
	n.publish("chat", "2")
	n.sink.Wait(t, "chat", got+1)
}

// The timeline history stays short, and only its oldest forks go.
func TestD10HistoryIsBounded(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	var epochs []message.Position
	for i := range 20 {
		epochs = append(epochs, n.publish("chat", strconv.Itoa(i)).Position)
		server.Do("HSET", "magpie:{chat}:meta", "r", "0123456789abcdef") // as if another Redis had written it
	}
	for i, p := range epochs {
		page := n.history("chat", engine.Query{Since: &p, Limit: engine.All})
		if lost := page.Gap == message.GapLost; lost != (i < 4) {
			t.Errorf("epoch %d of 20: gap %q", i, page.Gap)
		}
	}
}

// Somebody writes into the log with XADD: the log goes on, and no position of
// before is taken for one of after.
func TestForeignEntriesBeginANewTimeline(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	before := n.publish("chat", "1").Position
	server.Do("XADD", "magpie:{chat}:log", "*", "who", "me")
	if got := n.log("chat"); len(got) != 1 {
		t.Errorf("log with a foreign entry: %q", got)
	}
	after := n.publish("chat", "2").Position
	if after.Epoch == before.Epoch {
		t.Errorf("%v after %v", after, before)
	}
	if got := n.log("chat"); len(got) != 1 || got[0] != "2" {
		t.Errorf("log: %q", got)
	}
	if page := n.history("chat", engine.Query{Since: &before, Limit: engine.All}); page.Gap != message.GapLost {
		t.Errorf("gap %q", page.Gap)
	}
}

func TestDeletedEntriesAreAGap(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	start := n.history("chat", engine.Query{}).Top
	for i := range 5 {
		n.publish("chat", strconv.Itoa(i))
	}
	server.Do("XDEL", "magpie:{chat}:log", "3-0")
	if page := n.history("chat", engine.Query{Since: &start, Limit: engine.All}); page.Gap != message.GapTrimmed {
		t.Errorf("hole inside: gap %q", page.Gap)
	}
	server.Do("DEL", "magpie:{chat}:log")
	if page := n.history("chat", engine.Query{Since: &start, Limit: engine.All}); page.Gap != message.GapTrimmed {
		t.Errorf("log deleted: gap %q", page.Gap)
	}
	if p := n.publish("chat", "6").Position; p.Offset != 6 || p.Epoch != start.Epoch {
		t.Errorf("published at %v", p)
	}
	server.Do("DEL", "magpie:{chat}:meta")
	if p := n.publish("chat", "7").Position; p.Offset != 7 || p.Epoch == start.Epoch {
		t.Errorf("without meta published at %v", p)
	}
}

// Keys must not stay for ever, and must not go too early.
func TestKeysExpire(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.history("chat", engine.Query{})
	n.publish("chat", "1")
	ttl := func(key string) time.Duration {
		ms, err := strconv.Atoi(server.Do("PTTL", key))
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	if d := ttl("magpie:{chat}:log"); d < 24*time.Hour || d > 28*time.Hour {
		t.Errorf("log lives %s", d)
	}
	if d := ttl("magpie:{chat}:meta"); d < 7*24*time.Hour || d > 9*24*time.Hour {
		t.Errorf("meta lives %s", d)
	}
	n.history("other", engine.Query{})
	if d := ttl("magpie:{other}:meta"); d < 7*24*time.Hour {
		t.Errorf("meta of an empty channel lives %s", d)
	}
}

// A long answer is read in pages and is one timeline all the same.
func TestLongHistoryIsWhole(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	start := n.history("long", engine.Query{}).Top
	const total = 3*pageSize + 7
	for i := range total {
		n.publish("long", strconv.Itoa(i))
	}
	for _, q := range []engine.Query{{Limit: engine.All}, {Since: &start, Limit: engine.All}, {Limit: 2*pageSize + 1}, {Limit: pageSize}, {Limit: 2*pageSize + 1, Reverse: true}, {Limit: engine.All, Reverse: true}} {
		page := n.history("long", q)
		want := total
		if q.Limit > 0 {
			want = q.Limit
		}
		if len(page.Messages) != want || page.Gap != "" {
			t.Fatalf("%+v: %d messages, gap %q", q, len(page.Messages), page.Gap)
		}
		for i, m := range page.Messages {
			offset := uint64(i + 1)
			if q.Reverse {
				offset = uint64(total - i)
			}
			if m.Offset != offset {
				t.Fatalf("%+v: message %d has offset %d", q, i, m.Offset)
			}
		}
	}
}

// A reader never gets what is older than the rule's age, to the moment, though
// the key itself lives longer.
func TestAgeIsExactForReaders(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.publish("brief", "1")
	begun := time.Now()
	eventually(t, "time passes", 2*time.Second, func() bool { return time.Since(begun) > 600*time.Millisecond })
	n.publish("brief", "2")
	eventually(t, "only the younger is left", 5*time.Second, func() bool {
		got := n.log("brief")
		return len(got) == 1 && got[0] == "2"
	})
}
