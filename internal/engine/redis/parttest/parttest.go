// Package parttest is what tests of the Redis engine's parts have in common: a
// connection to a real redis-server, rules, a log, a wait with a deadline.
package parttest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
	"magpie/test/kit"
)

// Connect returns a node of this name at the Redis of url, until the test ends.
func Connect(t testing.TB, url, node string) script.Env {
	t.Helper()
	target, err := topology.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	e := script.Env{
		Names: names.Names{Prefix: "magpie", DB: target.Option.SelectDB, Sharded: target.Cluster}, Node: node, Rules: Rules(t),
		MaxPayload: 64 << 10, IdempotencyWindow: time.Minute, Log: Log(t),
	}
	e.Redis = topology.New(target, "magpie:"+node, e.Log)
	e.Scripts = script.New(e.Redis)
	t.Cleanup(e.Redis.Close)
	if err := e.Redis.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { answer(ctx, e.Redis) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return e
}

// answer notes that masters answer, as the probes of a whole node do.
func answer(ctx context.Context, r *topology.Redis) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, m := range r.Topology.Masters() {
			ping, cancel := context.WithTimeout(ctx, time.Second)
			if m.Client.Do(ping, m.Client.B().Ping().Build()).Error() == nil {
				m.Answered()
			}
			cancel()
		}
	}
}

// Rules: channels "short…" keep 5 messages, "none…" nothing, "brief…" one
// second, "long…" 100,000 messages, all others the default.
func Rules(t testing.TB) *channel.Rules {
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

// Log shows what was logged when the test fails, and nowhere else: t.Log
// panics once the test is over, and engines end in its cleanup.
func Log(t testing.TB) *slog.Logger {
	w := &lockedWriter{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("log:\n" + w.String())
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

// Eventually asks until ok holds, and fails the test after kit.Patience. It returns
// how long it took, which is for the log: a busy machine may take long.
func Eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(start) > kit.Patience {
			t.Fatalf("not within %s: %s", kit.Patience, what)
		}
		<-tick.C
	}
	return time.Since(start)
}
