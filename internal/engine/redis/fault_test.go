package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/message"
	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// D7 (fault B10): nobody publishes, and the loss is told all the same.
func TestD7FlushOfAnIdleChannelIsTold(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	before := n.publish("chat", "1").Position
	rechecks := n.sink.Rechecks()
	server.Do("FLUSHALL")
	took := eventually(t, "a recheck", func() bool { return n.sink.Rechecks() > rechecks })
	tops, err := n.Positions(t.Context(), []string{"chat"})
	if err != nil || tops[0].Epoch == before.Epoch {
		t.Errorf("positions %v %v", tops, err)
	}
	t.Logf("told after %s", took.Round(time.Millisecond))
}

// D7 (fault B5): killed subscriber connections come back, and what was
// published meanwhile is in the log.
func TestD7KilledSubscriberHeals(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	for i := range 1200 { // more than two SUBSCRIBE batches
		n.subscribe("c" + strconv.Itoa(i))
	}
	for round := range 3 {
		rechecks := n.sink.Rechecks()
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		took := eventually(t, "subscribed again", func() bool { return n.sink.Rechecks() > rechecks })
		t.Logf("round %d: healed after %s", round, took.Round(time.Millisecond))
		for _, ch := range []string{"c0", "c1199"} {
			got := len(n.sink.Messages(ch))
			n.publish(ch, "x")
			n.sink.Wait(t, ch, got+1)
		}
	}
}

// D7: Redis answers all that it is asked, pings on the subscriber connection
// too, and delivers nothing there. Only our own probe can notice.
func TestD7SilentSubscriberConnection(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	lost := make(chan struct{}, 10)
	n := startNode(t, server, func(c *Config) {
		p.use(c)
		c.Metrics.SubscriberLost = func() { lost <- struct{}{} }
	})
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	p.dropMessages(true)
	silent := time.Now()
	var reason error
	eventually(t, "not ready", func() bool { reason = n.Ready(); return reason != nil })
	if !strings.Contains(reason.Error(), "has delivered nothing") {
		t.Errorf("not ready, but for another reason: %v", reason)
	}
	if _, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("1")}); err != nil {
		t.Errorf("publishing works all the while: %v", err)
	}
	select {
	case <-lost:
		t.Logf("given up after %s", time.Since(silent).Round(time.Millisecond))
	case <-time.After(3500 * time.Millisecond):
		t.Fatal("the connection is not given up")
	}
	p.dropMessages(false)
	eventually(t, "subscribed again", func() bool { return n.sink.Rechecks() > rechecks })
	n.back()
	n.publish("chat", "2")
	n.sink.Wait(t, "chat", 1)
}

// D7 (fault B3): a Redis that answers nothing makes the node unready within
// 2 s, publishers fail fast, and all heals by itself.
func TestD7FrozenRedis(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	n.publish("chat", "1")
	goroutines := runtime.NumGoroutine()
	server.Freeze()
	frozen := time.Now()
	took := eventually(t, "not ready", func() bool { return n.Ready() != nil })
	t.Logf("unready after %s: %v", took.Round(time.Millisecond), n.Ready())

	// A publisher of before the gate closes has its call's bound, later ones
	// fail at once.
	eventually(t, "publishing fails at once", func() bool {
		begun := time.Now()
		_, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("lost?")})
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Fatalf("publish to a frozen Redis: %v", err)
		}
		return time.Since(begun) < 50*time.Millisecond
	})
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() { n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("x")}) })
	}
	wg.Wait()
	if more := runtime.NumGoroutine() - goroutines; more > 50 {
		t.Errorf("%d goroutines more", more)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	if _, err := n.Subscribe(ctx, "news", engine.Query{}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("subscribe at a frozen Redis: %v", err)
	}
	cancel()
	eventually(t, "3 s of it", func() bool { return time.Since(frozen) > 3*time.Second })
	server.Thaw()
	took = eventually(t, "ready again", func() bool { return n.Ready() == nil })
	t.Logf("ready %s after the thaw", took.Round(time.Millisecond))
	got := len(n.sink.Messages("chat"))
	n.publish("chat", "2")
	n.sink.Wait(t, "chat", got+1)
}

// A publisher whose patience ends before Redis answers gets its call back.
func TestContextEndsEveryCall(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	server.Freeze()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer server.Thaw()
	for what, call := range map[string]func(context.Context) error{
		"publish": func(ctx context.Context) error {
			_, err := n.Publish(ctx, engine.Publication{Channel: "c"})
			return err
		},
		"history":   func(ctx context.Context) error { _, err := n.History(ctx, "c", engine.Query{}); return err },
		"positions": func(ctx context.Context) error { _, err := n.Positions(ctx, []string{"c"}); return err },
		"subscribe": func(ctx context.Context) error { _, err := n.Subscribe(ctx, "c", engine.Query{}); return err },
		"members":   func(ctx context.Context) error { _, err := n.Members(ctx, "c"); return err },
		"remove":    func(ctx context.Context) error { return n.Remove(ctx, "c") },
	} {
		patient := make(chan error, 1) // ends by the engine's own bounds
		go func() { patient <- call(t.Context()) }()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := call(ctx); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		cancel()
		select {
		case <-patient:
			t.Errorf("%s did not come back before one that had more time", what)
		default:
			waiting.Go(func() { <-patient })
		}
	}
}

// Close must end at a Redis that is gone or frozen, whatever was open.
func TestCloseWithoutRedis(t *testing.T) {
	for _, what := range []string{"frozen", "killed"} {
		server := redistest.Start(t)
		n := startNode(t, server, func(c *Config) { c.Ingest = Ingest{Streams: []string{"s"}, Channels: []string{"in:*"}} })
		n.subscribe("chat")
		server.Do("PUBLISH", "chat", "x")
		n.sink.Wait(t, "chat", 1)
		server.Do("PUBLISH", "chat", "y") // may be on its way when all stops
		if what == "frozen" {
			server.Freeze()
		} else {
			server.Kill()
		}
		begun := time.Now()
		if err := n.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(begun); took > kit.Patience {
			t.Errorf("%s: close took %s", what, took)
		} else {
			t.Logf("%s: closed within %s", what, took.Round(time.Millisecond))
		}
		if what == "frozen" {
			server.Thaw()
		}
	}
}

// Fault B20: Redis forgets the scripts; each publish happens once.
func TestScriptFlushIsNotSeen(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	for i := range 20 {
		server.Do("SCRIPT", "FLUSH")
		if p := n.publish("chat", "x").Position; p.Offset != uint64(i+1) {
			t.Fatalf("publish %d at %v", i, p)
		}
		if _, err := n.Positions(t.Context(), []string{"chat"}); err != nil {
			t.Fatal(err)
		}
	}
	server.Do("SCRIPT", "FLUSH")
	for i, o := range n.PublishAll(t.Context(), []engine.Publication{{Channel: "a"}, {Channel: "a"}, {Channel: "b"}, {Channel: "bad name"}, {Channel: "none"}}) {
		if want := []uint64{1, 2, 1, 0, 0}[i]; (o.Err != nil) != (i == 3) || o.Position.Offset != want {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	server.Do("SCRIPT", "FLUSH")
	server.Do("PUBLISH", "chat", "plain")
	n.sink.Wait(t, "chat", 21)
}

// Fault B13: without memory nothing is half done: no message without its
// entry, and no lasting damage.
func TestOutOfMemoryLeavesNothingHalfDone(t *testing.T) {
	server, j := redistest.Start(t), &journal{}
	n := startNode(t, server, j.use)
	n.subscribe("chat")
	first := n.publish("chat", "1").Position
	server.Do("CONFIG", "SET", "maxmemory", "1")
	for range 3 {
		_, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("no"), IdempotencyKey: "k"})
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "out of memory") {
			t.Fatalf("publish without memory: %v", err)
		}
	}
	server.Do("PUBLISH", "chat", "plain, waits for memory")
	if page := n.history("chat", engine.Query{Limit: engine.All}); page.Top != first || len(page.Messages) != 1 {
		t.Errorf("log: %+v", page)
	}
	eventually(t, "the log says that it waits", func() bool { return len(j.lines("cannot append plain PUBLISHes now")) > 0 })
	server.Do("CONFIG", "SET", "maxmemory", "0")
	n.sink.Wait(t, "chat", 2)
	eventually(t, "the log says that this is over", func() bool { return len(j.lines("cannot append plain PUBLISHes: ended after")) == 1 })
	res, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("yes"), IdempotencyKey: "k"})
	if err != nil || res.Duplicate || res.Position.Offset != 3 {
		t.Errorf("after: %+v %v", res, err)
	}
	for i, m := range n.sink.Wait(t, "chat", 3) {
		if m.Offset != uint64(i+1) {
			t.Errorf("message %d came with offset %d", i, m.Offset)
		}
	}
}

// What keeps Redis from serving is an unavailable engine, said in words.
func TestRedisErrorsAreExplained(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	server.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	_, err := n.Publish(t.Context(), engine.Publication{Channel: "chat"})
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "too few replicas") {
		t.Errorf("no replicas: %v", err)
	}
	server.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	server.Do("REPLICAOF", "127.0.0.1", "1")
	_, err = n.Publish(t.Context(), engine.Publication{Channel: "chat"})
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "read-only replica") {
		t.Errorf("read only: %v", err)
	}
	eventually(t, "not ready on a replica", func() bool { return n.Ready() != nil })
	server.Do("REPLICAOF", "NO", "ONE")
	n.back()
	server.Do("SET", "magpie:{wrong}:log", "text")
	if _, err = n.Publish(t.Context(), engine.Publication{Channel: "wrong"}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("wrong type: %v", err)
	}
}

// A user that may not ask INFO, FUNCTION or one channel gets all else.
func TestACL(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "magpie", "on", ">pw", "~magpie:*", "&magpie:*", "&chat", "+@all", "-@dangerous", "-function")
	n := startNode(t, server, func(c *Config) { c.URL = strings.Replace(server.URL, "://", "://magpie:pw@", 1) })
	n.subscribe("chat")
	n.publish("chat", "1")
	server.Do("PUBLISH", "chat", "2")
	n.sink.Wait(t, "chat", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := n.Subscribe(ctx, "secret", engine.Query{})
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "ACL") || ctx.Err() != nil {
		t.Errorf("subscribe to a forbidden channel: %v", err)
	}
	n.publish("chat", "3")
	n.sink.Wait(t, "chat", 3)
}

// Names that come and go must end as they were last asked for.
func TestSubscriptionsFollowTheLastWish(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			ch := fmt.Sprintf("c%d", c)
			for range 20 {
				if _, err := n.Subscribe(t.Context(), ch, engine.Query{}); err != nil {
					t.Error(err)
				}
				n.Unsubscribe(ch)
			}
			if c%2 == 0 {
				n.sink.Listen(ch)
				if _, err := n.Subscribe(t.Context(), ch, engine.Query{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := 3 + 2*10 // the probe, the bus twice, and two names for each channel
	eventually(t, "the right names", func() bool {
		return len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))) == want
	})
	for c := 0; c < 20; c += 2 {
		ch := fmt.Sprintf("c%d", c)
		n.publish(ch, "x")
		n.sink.Wait(t, ch, 1)
	}
}

// Two Magpies with different prefixes share a Redis and no message.
func TestPrefixesDoNotCross(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, nil)
	b := startNode(t, server, func(c *Config) { c.Prefix = "other:one" })
	a.subscribe("chat")
	b.subscribe("chat")
	a.publish("chat", "a")
	b.publish("chat", "b")
	for n, want := range map[*node]string{a: "a", b: "b"} {
		if m := n.sink.Wait(t, "chat", 1); string(m[0].Payload) != want || len(m) != 1 {
			t.Errorf("got %q, want %q", m[0].Payload, want)
		}
	}
}

// Junk under our live name must not stop what follows.
func TestJunkIsSkipped(t *testing.T) {
	server := redistest.Start(t)
	skipped := make(chan struct{}, 10)
	n := startNode(t, server, func(c *Config) { c.Metrics.EnvelopeSkipped = func() { skipped <- struct{}{} } })
	n.subscribe("chat")
	for _, junk := range []string{"", "m1", "m9 later", "m1 1 e 5 http 99999\n", "f1", "{}"} {
		server.Do("PUBLISH", "magpie:{chat}:live", junk)
		<-skipped
	}
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
}

func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	e := newEngine(b, server, nil)
	if err := e.Start(b.Context(), enginetest.NewRecorder().Node()); err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	payload := []byte(strings.Repeat("x", 128))
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Publish(context.Background(), engine.Publication{Channel: "chat", Payload: payload, Via: message.ViaHTTP}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A client may listen to any channel name. It must not thereby hear Redis's
// keyspace events, and names by which nodes talk are no channel names.
func TestReservedNamesAreNotHeard(t *testing.T) {
	server := redistest.Start(t, "--notify-keyspace-events", "KEA")
	n := startNode(t, server, nil)
	for _, name := range []string{n.env.Names.Probe(n.NodeID(), ""), n.env.Names.Bus(""), n.env.Names.Bus(n.NodeID())} {
		if _, err := n.Subscribe(t.Context(), name, engine.Query{}); err == nil {
			t.Errorf("a client may listen to %s", name)
		}
	}
	ch := "__keyevent@0__:set"
	n.subscribe(ch)
	server.Do("SET", "k", "v")
	server.Do("PUBLISH", ch, "plain")
	n.publish(ch, "published")
	if m := n.sink.Wait(t, ch, 1); len(m) != 1 || string(m[0].Payload) != "published" {
		t.Errorf("%s: %d messages, first %q", ch, len(m), m[0].Payload)
	}
	n.Unsubscribe(ch)
	eventually(t, "the live names are gone", func() bool {
		return len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))) == 3
	})
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
}

// Fault B6: a killed connection costs a reader nothing.
func TestReadersSurviveAKilledConnection(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.publish("chat", "x")
	for range 20 {
		server.Do("CLIENT", "KILL", "TYPE", "normal")
		n.log("chat") // fails the test on an error
		if _, err := n.Positions(t.Context(), []string{"chat"}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Members(t.Context(), "chat"); err != nil {
			t.Fatal(err)
		}
	}
}
