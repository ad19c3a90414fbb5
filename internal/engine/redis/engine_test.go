package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/test/kit/redistest"
)

// The client library looks at a cluster again, and closes connections to nodes
// that left it, after a second or some, on goroutines that it gives no handle to.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

func TestConformance(t *testing.T) {
	server := redistest.Start(t)
	var store atomic.Int64
	enginetest.Run(t, true, func(*testing.T) enginetest.Store {
		prefix := fmt.Sprintf("t%d", store.Add(1)) // one store per test on one server
		// Plain names are not prefixed: what tests publish goes by the live names.
		return func(t *testing.T, rules *channel.Rules) engine.Engine {
			return newEngine(t, server, func(c *Config) {
				c.Prefix, c.Rules, c.IdempotencyWindow = prefix, rules, enginetest.Window
			})
		}
	})
}

// newEngine returns an engine that is not started.
func newEngine(t testing.TB, server *redistest.Server, change func(*Config)) *Engine {
	t.Helper()
	c := Config{Node: "test", Rules: testRules(t), Log: testLog(t)}
	if server != nil {
		c.URL = server.URL
	}
	if change != nil {
		change(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// node is one started engine with its recording sink.
type node struct {
	*Engine
	sink *enginetest.Recorder
	t    testing.TB
}

func startNode(t *testing.T, server *redistest.Server, change func(*Config)) *node {
	t.Helper()
	n := &node{Engine: newEngine(t, server, change), sink: enginetest.NewRecorder(), t: t}
	if err := n.Start(t.Context(), n.sink.Node()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
		defer cancel()
		n.Close(ctx)
	})
	return n
}

func (n *node) subscribe(names ...string) {
	n.t.Helper()
	for _, name := range names {
		n.sink.Listen(name)
		if _, err := n.Subscribe(n.t.Context(), name, engine.Query{}); err != nil {
			n.t.Fatal(err)
		}
	}
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

// eventually asks until ok holds, and fails the test after a while.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(begun) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-tick.C
	}
	return time.Since(begun)
}

// testRules: channels "short…" keep 5 messages, "none…" nothing, "brief…" one
// second, "long…" 100,000 messages, all others the default.
func testRules(t testing.TB) *channel.Rules {
	t.Helper()
	rule := func(match string, size int, age time.Duration) channel.Rule {
		r := channel.Default(channel.Anyone)
		r.Match, r.Log = match, channel.Log{Size: size, Age: age}
		return r
	}
	rules, err := channel.NewRules([]channel.Rule{
		rule("short*", 5, time.Hour), rule("none*", 0, 0), rule("long*", 100000, time.Hour), rule("brief*", 100, time.Second),
	}, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// testLog shows an engine's log when its test fails, and nowhere else: t.Log
// panics once the test is over, and engines end in its cleanup.
func testLog(t testing.TB) *slog.Logger {
	w := &lockedWriter{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("engine log:\n" + w.String())
		}
	})
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type lockedWriter struct {
	mu sync.Mutex
	w  strings.Builder
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

// D7: one channel whose key somebody overwrote keeps no other channel from
// being checked; who asks for that one alone is told.
func TestAForeignKeySpoilsOneChannelAlone(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
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
