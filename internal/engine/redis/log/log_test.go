package log

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/parttest"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var eventually = parttest.Eventually

// node is one node's logs alone.
type node struct {
	*Logs
	t testing.TB
}

func connect(t *testing.T, server *redistest.Server) *node {
	t.Helper()
	return &node{New(parttest.Connect(t, server.URL, "node")), t}
}

func (n *node) publish(name, payload string) engine.Result {
	n.t.Helper()
	res, err := n.Publish(n.t.Context(), engine.Publication{Channel: name, Payload: []byte(payload)})
	if err != nil {
		n.t.Fatal(err)
	}
	return res
}

func (n *node) history(name string, q engine.Query) engine.Page {
	n.t.Helper()
	page, err := n.History(n.t.Context(), name, q)
	if err != nil {
		n.t.Fatal(err)
	}
	return page
}

func (n *node) log(name string) []string {
	n.t.Helper()
	var list []string
	for _, m := range n.history(name, engine.Query{Limit: engine.All}).Messages {
		list = append(list, string(m.Payload))
	}
	return list
}

// The timeline history stays short, and only its oldest forks go.
func TestD10HistoryIsBounded(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
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
	n := connect(t, server)
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

// The same after a fork: the timeline that starts behind a foreign entry
// remembers none of those before.
func TestForeignEntriesEndTheTimelineHistory(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
	first := n.publish("chat", "1").Position
	server.Do("HSET", "magpie:{chat}:meta", "r", "0123456789abcdef") // as if another Redis had written it
	second := n.publish("chat", "2").Position
	if page := n.history("chat", engine.Query{Since: &first, Limit: engine.All}); page.Gap != "" || second.Epoch == first.Epoch {
		t.Fatalf("after the fork: gap %q, %v after %v", page.Gap, second, first)
	}
	server.Do("XADD", "magpie:{chat}:log", "*", "who", "me")
	n.publish("chat", "3")
	for _, p := range []message.Position{first, second} {
		if page := n.history("chat", engine.Query{Since: &p, Limit: engine.All}); page.Gap != message.GapLost {
			t.Errorf("since %v: gap %q", p, page.Gap)
		}
	}
}

func TestDeletedEntriesAreAGap(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
	start := n.history("chat", engine.Query{}).Top
	for i := range 5 {
		n.publish("chat", strconv.Itoa(i))
	}
	// The hole is told whatever the limit, unless what was asked for ends before it.
	check := func(what string, want map[int]message.GapReason) {
		for limit, gap := range want {
			if page := n.history("chat", engine.Query{Since: &start, Limit: limit}); page.Gap != gap {
				t.Errorf("%s, limit %d: gap %q, want %q", what, limit, page.Gap, gap)
			}
		}
	}
	trimmed := message.GapTrimmed
	server.Do("XDEL", "magpie:{chat}:log", "3-0")
	check("hole inside", map[int]message.GapReason{engine.All: trimmed, 1: "", 2: "", 3: trimmed, 4: trimmed, 100: trimmed})
	server.Do("XDEL", "magpie:{chat}:log", "4-0", "5-0")
	check("hole at the end", map[int]message.GapReason{engine.All: trimmed, 1: "", 2: "", 3: trimmed, 100: trimmed})
	server.Do("DEL", "magpie:{chat}:log")
	check("log deleted", map[int]message.GapReason{engine.All: trimmed, 1: trimmed, 100: trimmed})
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
	n := connect(t, server)
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
	if d := ttl("magpie:{other}:meta"); d < 2*time.Minute || d > 3*time.Minute {
		t.Errorf("meta of an empty channel lives %s", d)
	}
}

// A long answer is read in pages and is one timeline all the same.
func TestLongHistoryIsWhole(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
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
	n := connect(t, server)
	n.publish("brief", "1")
	begun := time.Now()
	eventually(t, "time passes", func() bool { return time.Since(begun) > 600*time.Millisecond })
	n.publish("brief", "2")
	eventually(t, "only the younger is left", func() bool {
		got := n.log("brief")
		return len(got) == 1 && got[0] == "2"
	})
}

// D7: one channel whose key somebody overwrote keeps no other channel from
// being checked; who asks for that one alone is told.
func TestAForeignKeySpoilsOneChannelAlone(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
	names := []string{"a", "spoilt", "z"}
	for _, name := range names {
		n.publish(name, "1")
	}
	server.Do("DEL", "magpie:{spoilt}:meta")
	server.Do("SET", "magpie:{spoilt}:meta", "mine")
	tops, err := n.Positions(t.Context(), names)
	if err != nil || tops[0].Offset != 1 || tops[1].Offset != 0 || tops[2].Offset != 1 {
		t.Errorf("%v, %v", tops, err)
	}
	if _, err := n.Positions(t.Context(), names[1:2]); err == nil {
		t.Error("the spoilt one has a position")
	}
	server.Do("SCRIPT", "FLUSH")
	if tops, err := n.Positions(t.Context(), names); err != nil || tops[2].Offset != 1 {
		t.Errorf("without the script: %v, %v", tops, err)
	}
}

// D10: what a Redis tells of itself is another origin when a part of it that
// is known has changed; what it may not tell changes nothing.
func TestAnotherOriginIsNoticed(t *testing.T) {
	var o Origin
	for i, step := range []struct {
		now   Origin
		other bool
	}{
		{Origin{"", ""}, false}, {Origin{"a", "r"}, false}, {Origin{"a", "r"}, false}, {Origin{"", "r"}, false}, {Origin{"b", "r"}, true},
		{Origin{"b", "s"}, true}, {Origin{"b", ""}, false}, {Origin{"b", "s"}, false}, {Origin{"c", "t"}, true}, {Origin{"c", "t"}, false},
	} {
		if got := o.Became(step.now); got != step.other {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// The newest entry was deleted by hand: who missed it is told.
func TestADeletedNewestEntryIsAGap(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
	start := n.history("chat", engine.Query{}).Top
	for i := range 3 {
		n.publish("chat", strconv.Itoa(i))
	}
	server.Do("XDEL", "magpie:{chat}:log", "3-0")
	if page := n.history("chat", engine.Query{Since: &start, Limit: engine.All}); page.Gap != message.GapTrimmed {
		t.Errorf("gap %q", page.Gap)
	}
	if page := n.history("chat", engine.Query{Since: &start, Limit: 2}); page.Gap != "" || len(page.Messages) != 2 {
		t.Errorf("as many as were asked for: gap %q, %d messages", page.Gap, len(page.Messages))
	}
}

// D1, D10: an answer of several pages is of one moment and one timeline, while
// others publish and the timeline forks.
func TestPagesFitTogether(t *testing.T) {
	server := redistest.Start(t)
	n := connect(t, server)
	all := make([]engine.Publication, 2*pageSize+10)
	for i := range all {
		all[i] = engine.Publication{Channel: "long", Payload: []byte("x")}
	}
	n.PublishAll(t.Context(), all)
	over := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			server.Try("PING") // a pause: one round trip
			if i%8 == 0 {
				server.Try("HSET", "magpie:{long}:meta", "r", "0123456789abcdef") // as if another Redis had written it
			}
			n.Publish(context.Background(), all[0])
		}
	})
	defer others.Wait()
	defer close(over)
	whole := 0
	for range 25 {
		page, err := n.History(t.Context(), "long", engine.Query{Limit: engine.All})
		if errors.Is(err, engine.ErrUnavailable) {
			continue // it changed faster than it could be read
		}
		if err != nil {
			t.Fatal(err)
		}
		whole++
		if last := page.Messages[len(page.Messages)-1]; last.Position != page.Top {
			t.Fatalf("the last message is at %v, the top is %v", last.Position, page.Top)
		}
		for i, m := range page.Messages {
			if m.Offset != uint64(i+1) || m.Epoch != page.Top.Epoch {
				t.Fatalf("message %d is at %v, the top is %v", i, m.Position, page.Top)
			}
		}
	}
	t.Logf("%d of 25 answers", whole)
	if whole == 0 {
		t.Error("no answer at all")
	}
}

// Fault B21: Redis's clock is set back by an hour. An idempotency key that is
// used then lives no longer than its window from that use.
func TestB21AnIdempotencyKeyDoesNotOutliveItsWindow(t *testing.T) {
	server := redistest.StartClocked(t)
	server.SetClock(time.Hour)
	n := connect(t, server)
	p := engine.Publication{Channel: "chat", Payload: []byte("x"), IdempotencyKey: "k"}
	first, err := n.Publish(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	server.SetClock(0)
	again, err := n.Publish(t.Context(), p)
	if err != nil || !again.Duplicate || again.Position != first.Position {
		t.Errorf("%+v %v, first %+v", again, err, first)
	}
	if ttl, _ := strconv.Atoi(server.Do("TTL", "magpie:{chat}:idem:k")); ttl < 1 || ttl > 60 {
		t.Errorf("lives for %d s, the window is a minute", ttl)
	}
}

// R6: a log that a version without a bound wrote, in whole or in between, or that was
// written under another bound, is within the bound with the next message, and
// holds what has room there.
func TestABoundInBytesOnALogThatIsThere(t *testing.T) {
	server := redistest.Start(t)
	bounded := func(bytes int) *node {
		env := parttest.Connect(t, server.URL, "node")
		rule := channel.Default(channel.Anyone)
		rule.Log = channel.Log{Size: 20_000, Age: time.Hour, Bytes: bytes}
		rules, err := channel.NewRules(nil, rule)
		if err != nil {
			t.Fatal(err)
		}
		env.Rules = rules
		return &node{New(env), t}
	}
	before, low, mid, high := bounded(0), bounded(3000), bounded(8000), bounded(36_000)
	hundred, thousand := strings.Repeat("x", 100), strings.Repeat("x", 1000)
	publish := func(n *node, payload string, count int) {
		all := make([]engine.Publication, count)
		for i := range all {
			all[i] = engine.Publication{Channel: "chat", Payload: []byte(payload)}
		}
		for _, o := range n.PublishAll(t.Context(), all) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
	}
	remove := func() {
		if err := mid.Remove(t.Context(), "chat"); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what        string
		do          func()
		least, most int // messages that are held then
	}{
		{"an old log", func() { publish(before, thousand, 30); publish(mid, thousand, 1) }, 7, 8},
		{"it goes on", func() { publish(mid, thousand, 20) }, 7, 8},
		{"a lower bound", func() { publish(low, thousand, 1) }, 2, 3},
		{"a higher one", func() { publish(high, thousand, 20) }, 22, 23},
		{"an old node in between", func() { publish(before, thousand, 2); publish(mid, thousand, 1) }, 7, 8},
		{"again and again", func() {
			for range 9 {
				publish(before, thousand, 1)
				publish(mid, thousand, 1)
			}
		}, 7, 8},
		{"after remove", func() {
			remove()
			publish(mid, thousand, 5)
		}, 5, 5},
		{"somebody else's entries", func() { server.Do("XADD", "magpie:{chat}:log", "900-1", "a", "b"); publish(mid, thousand, 6) }, 6, 6},
		{"and on", func() { publish(mid, thousand, 9) }, 7, 8},
		{"from short ones to long ones", func() {
			remove()
			publish(mid, "x", 300)
			publish(mid, thousand, 20)
		}, 7, 8},
		{"old ones that are long, and short ones", func() {
			remove()
			publish(before, thousand, 30)
			publish(mid, "", 1)
		}, 7, 9},
		{"under a bound by which they are long", func() {
			remove()
			publish(high, "x", 8001)
			publish(mid, "", 1)
		}, 7000, 8001},
		{"a much lower bound", func() {
			remove()
			publish(high, hundred, 357)
			publish(low, hundred, 1)
		}, 26, 30},
		{"an old one that leaves room", func() {
			remove()
			publish(before, strings.Repeat("x", 6000), 2)
			publish(before, thousand, 3)
			publish(mid, thousand, 1)
		}, 4, 4},
		{"very many short ones", func() {
			remove()
			publish(before, "four", 10_000)
			publish(high, "four", 1)
		}, 7500, 9000},
	} {
		step.do()
		if held := len(mid.log("chat")); held < step.least || held > step.most {
			t.Errorf("%s: %d messages are held, want %d to %d", step.what, held, step.least, step.most)
		}
	}
}
