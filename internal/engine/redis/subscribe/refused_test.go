package subscribe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/test/kit/redistest"
)

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// with returns the lines that have a text.
func (l *lines) with(text string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			list = append(list, line)
		}
	}
	return list
}

func (l *lines) use(c *Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }

// keepBusy has a script keep the server busy for a time, and returns when it
// refuses others.
func keepBusy(t *testing.T, server *redistest.Server, d time.Duration) {
	t.Helper()
	server.Do("CONFIG", "SET", "lua-time-limit", "50")
	var running sync.WaitGroup
	running.Go(func() {
		_, _ = server.Try("EVAL", `local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
			local over = now() + ARGV[1] while now() < over do end`, "0", fmt.Sprint(d.Milliseconds()))
	})
	t.Cleanup(running.Wait)
	eventually(t, "the server is busy", func() bool {
		_, err := server.Try("PING")
		return err != nil && strings.HasPrefix(err.Error(), "BUSY")
	})
}

// back waits until the node is ready, which after a refusal is within 5 s.
func (n *node) back() {
	n.t.Helper()
	eventually(n.t, "ready again", func() bool { return n.Ready() == nil })
}

// D12: a name that Redis refuses while the node subscribes again is asked for
// until Redis takes it. Meanwhile the node is not ready and lets nobody in.
func TestD12ARefusedNameIsHeardAgain(t *testing.T) {
	server := redistest.Start(t)
	log := &lines{}
	n := startNode(t, server, log.use)
	var refused sync.Map
	n.Redis.Refusals.Counted = func(reason string) { refused.Store(reason, true) }
	n.subscribe("chat")
	server.Do("ACL", "SETUSER", "default", "resetchannels", "&*magpie*") // cuts who holds other names
	var reason error
	eventually(t, "not ready because of the ACL", func() bool {
		reason = n.Ready()
		return reason != nil && strings.Contains(reason.Error(), "NOPERM")
	})
	if said := fault.Of(reason).Sentence(); !strings.Contains(said, "NOPERM") || strings.Contains(said, "127.0.0.1") {
		t.Errorf("the reason is said as %q", said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := n.Listening(ctx, "chat"); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(fault.Of(err).Sentence(), "NOPERM") || ctx.Err() != nil {
		t.Errorf("a newcomer: %v", err)
	}
	if _, counted := refused.Load("noperm"); !counted || n.Unheard() != 1 {
		t.Errorf("counted %v, unheard %d", counted, n.Unheard())
	}
	eventually(t, "some refusals", func() bool { return n.home("chat").refusals.Of("noperm").Times() >= 3 })
	rechecks := n.sink.Rechecks()
	server.Do("ACL", "SETUSER", "default", "allchannels")
	n.back()
	if err := n.Listening(t.Context(), "chat"); err != nil || n.Unheard() != 0 {
		t.Errorf("after the refusal: %v, %d unheard", err, n.Unheard())
	}
	eventually(t, "a recheck", func() bool { return n.sink.Rechecks() > rechecks })
	server.Do("PUBLISH", "chat", "x")
	eventually(t, "it is heard", func() bool { return n.plain.noted("arrived chat x") })
	eventually(t, "the end is told", func() bool { return len(log.with("subscriptions: ended after")) == 1 })
	if all := log.with("Redis refuses subscriptions"); len(all) != 2 {
		t.Errorf("log: %q", all)
	}
}

// D12: BUSY refuses all names of all channels, while the node subscribes again.
func TestD12NamesRefusedByABusyRedis(t *testing.T) {
	server := redistest.Start(t)
	log := &lines{}
	n := startNode(t, server, log.use)
	for i := range 1200 { // more than two SUBSCRIBE batches
		n.subscribe(fmt.Sprint("c", i))
	}
	keepBusy(t, server, 1500*time.Millisecond)
	n.home("").reconnect()
	eventually(t, "not ready", func() bool { return n.Ready() != nil })
	eventually(t, "some names are refused", func() bool { return len(log.with("Redis refuses subscriptions")) > 0 })
	n.back()
	if got := len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))); got != 3+2*1200 {
		t.Errorf("ready with %d names", got)
	}
	if all := log.with(""); len(all) > 10 {
		t.Errorf("%d lines: %q", len(all), all[:10])
	}
	n.publish("c1199", "x")
	n.sink.Wait(t, "c1199", 1)
}

// A name that Redis does not let go of is left later, and may be wanted again.
func TestAnUnsubscribeThatIsRefused(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	n.subscribe("news")
	keepBusy(t, server, time.Second)
	n.Unsubscribe("chat")
	n.Unsubscribe("news")
	eventually(t, "it is refused", func() bool { return n.home("chat").refusals.Of("busy").Times() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := n.Subscribe(ctx, "news", engine.Query{}); err != nil && !errors.Is(err, engine.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("subscribe again: %v", err)
	}
	eventually(t, "the name is left", func() bool {
		names, err := server.Try("PUBSUB", "NUMSUB", "chat")
		return err == nil && names == "chat\n0"
	})
}

// MISCONF refuses PING, which the client sends behind each UNSUBSCRIBE and cannot
// do without: a node that left a channel while Redis could not save to disk died.
func TestAChannelIsLeftWhileRedisCannotSave(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	if err := os.MkdirAll(filepath.Join(server.Dir, "dump.rdb", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "SET", "save", "3600 1")
	server.Do("SET", "k", "1")
	server.Do("BGSAVE")
	eventually(t, "the save fails", func() bool {
		return strings.Contains(server.Do("INFO", "persistence"), "rdb_last_bgsave_status:err")
	})
	n.Unsubscribe("chat")
	eventually(t, "it is refused", func() bool { return n.home("chat").refusals.Of("misconf").Times() > 0 })
	if _, err := n.Subscribe(t.Context(), "none-news", engine.Query{}); err != nil {
		t.Errorf("subscribe: %v", err)
	}
	server.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
	eventually(t, "the name is left", func() bool { return server.Do("PUBSUB", "NUMSUB", "chat") == "chat\n0" })
}

// Who asks for names that Redis does not allow is refused, and makes the node
// neither unready nor deaf.
func TestAForbiddenNewcomerDoesNotMakeTheNodeUnready(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "magpie", "on", ">pw", "~*", "&*magpie*", "&chat", "+@all")
	url := server.URL
	server.URL = strings.Replace(url, "://", "://magpie:pw@", 1)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	for range 20 {
		if _, err := n.Subscribe(t.Context(), "secret", engine.Query{}); !errors.Is(err, engine.ErrUnavailable) {
			t.Fatalf("subscribe to a forbidden channel: %v", err)
		}
		if err := n.Ready(); err != nil {
			t.Fatalf("unready: %v", err)
		}
	}
}

// A connection that Redis refuses is one line, not one for each channel, and all
// comes back when it is taken again.
func TestARefusedConnectionIsOneLine(t *testing.T) {
	server := redistest.Start(t)
	log := &lines{}
	n := startNode(t, server, log.use)
	for i := range 300 {
		n.subscribe(fmt.Sprint("c", i))
	}
	set := func(password string) {
		cmd := n.Redis.Client().B().Arbitrary("CONFIG", "SET", "requirepass", password).Build()
		if err := n.Redis.Client().Do(t.Context(), cmd).Error(); err != nil {
			t.Fatal(err)
		}
	}
	set("other")
	home := n.home("")
	home.reconnect()
	eventually(t, "some refused connections", func() bool { return home.lost.Times() >= 5 })
	if err := n.Ready(); err == nil || !strings.Contains(fault.Of(err).Sentence(), "NOAUTH") {
		t.Errorf("ready: %v", err)
	}
	if all := log.with(""); len(all) > 2 {
		t.Errorf("%d lines: %q", len(all), all[:3])
	}
	set("")
	n.back()
	eventually(t, "the end is told", func() bool { return len(log.with("ended after")) == 1 })
	n.publish("c299", "x")
	n.sink.Wait(t, "c299", 1)
}
