package redis

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
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

// journal keeps what a node logs and counts.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	refused map[string]int
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) use(c *Config) {
	j.refused = map[string]int{}
	c.Log = slog.New(slog.NewTextHandler(j, nil))
	c.Metrics.Refused = func(reason string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.refused[reason]++
	}
}

func (j *journal) counted(reason string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.refused[reason]
}

// lines returns those with a text.
func (j *journal) lines(text string) (list []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		if strings.Contains(line, text) {
			list = append(list, line)
		}
	}
	return list
}

// A Redis that refuses writes makes the node unready although nobody publishes,
// and everybody is told why: the publisher and readiness in words without an
// address, the log in one line, a metric by reason. All ends when the refusal does.
func TestARedisThatRefusesWritesIsSaid(t *testing.T) {
	for _, c := range []struct {
		word, label string
		begin, end  func(*redistest.Server)
	}{
		{"OOM", "oom",
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") }},
		{"NOREPLICAS", "noreplicas",
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "min-replicas-to-write", "1") },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "min-replicas-to-write", "0") }},
		{"MISCONF", "misconf", failToSave,
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no") }},
		{"READONLY", "readonly",
			func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") }},
	} {
		t.Run(c.word, func(t *testing.T) {
			t.Parallel()
			server, j := redistest.Start(t), &journal{}
			n := startNode(t, server, j.use)
			n.subscribe("chat")
			c.begin(server)
			var reason error
			eventually(t, "not ready", func() bool { reason = n.Ready(); return reason != nil })
			_, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("x")})
			for what, err := range map[string]error{"readiness": reason, "the publisher": err} {
				if said := fault.Of(err).Sentence(); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(said, "("+c.word+")") || strings.Contains(said, server.Addr) {
					t.Errorf("%s is told %q (%v)", what, said, err)
				}
			}
			if j.counted(c.label) == 0 {
				t.Errorf("counted: %v", j.refused)
			}
			c.end(server)
			n.back()
			const line = "Redis refuses what it is asked"
			eventually(t, "the end is told", func() bool { return len(j.lines(line+": ended after")) == 1 })
			if all := j.lines(line); len(all) != 2 || !strings.Contains(all[0], server.Addr) {
				t.Errorf("log: %q", all)
			}
			n.publish("chat", "y")
		})
	}
}

// failToSave has a save to disk fail.
func failToSave(s *redistest.Server) {
	if err := os.MkdirAll(filepath.Join(s.Dir, "dump.rdb", "x"), 0o755); err != nil {
		panic(err)
	}
	s.Do("CONFIG", "SET", "save", "3600 1")
	s.Do("SET", "k", "1")
	s.Do("BGSAVE")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(s.Do("INFO", "persistence"), "rdb_last_bgsave_status:err") {
			return
		}
	}
	panic("the save does not fail")
}

// One channel's key that is not ours is refused in words, counted and logged. It
// does not make the node unready: all other channels work.
func TestAKeyOfAnotherTypeIsSaid(t *testing.T) {
	server, j := redistest.Start(t), &journal{}
	n := startNode(t, server, j.use)
	server.Do("SET", "magpie:{wrong}:log", "text")
	for range 5 {
		_, err := n.Publish(t.Context(), engine.Publication{Channel: "wrong", Payload: []byte("x")})
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(fault.Of(err).Sentence(), "(WRONGTYPE)") {
			t.Errorf("told %q (%v)", fault.Of(err).Sentence(), err)
		}
	}
	if all := j.lines("WRONGTYPE"); j.counted("wrongtype") != 5 || len(all) != 1 {
		t.Errorf("counted %v, log %q", j.refused, all)
	}
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
}

// What probes write lives for a minute, and there is one of it for all nodes.
func TestProbesLeaveNothing(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	log, meta := a.env.Names.ProbeKeys("")
	echoes := b.subscriptions
	eventually(t, "both have probed", func() bool { return a.Ready() == nil && echoes.Ready() == nil })
	if got := server.Do("XLEN", log); got != "1" {
		t.Errorf("%s entries", got)
	}
	for _, key := range []string{log, meta} {
		if ttl := server.Do("TTL", key); ttl != "60" && ttl != "59" {
			t.Errorf("%s lives for %s s", key, ttl)
		}
	}
}

// A planned failover of a managed service: the master becomes a replica and lives
// on, its address leads to another Redis. Old connections would stay with the
// replica for ever.
func TestAReplicaBehindTheSameAddressIsLeft(t *testing.T) {
	old, next := redistest.Start(t), redistest.Start(t)
	host, port, _ := strings.Cut(old.Addr, ":")
	next.Do("REPLICAOF", host, port)
	eventually(t, "the replica follows", func() bool {
		return strings.Contains(next.Do("INFO", "replication"), "master_link_status:up")
	})
	p, j := startProxy(t, old), &journal{}
	n := startNode(t, old, func(c *Config) { j.use(c); p.use(c) })
	n.subscribe("chat")
	n.publish("chat", "1")
	n.sink.Wait(t, "chat", 1)
	offset := func(s *redistest.Server, field string) string {
		_, rest, _ := strings.Cut(s.Do("INFO", "replication"), field+":")
		value, _, _ := strings.Cut(rest, "\r")
		return value
	}
	eventually(t, "the replica has all", func() bool {
		return offset(old, "master_repl_offset") == offset(next, "slave_repl_offset")
	})
	next.Do("REPLICAOF", "NO", "ONE")
	host, port, _ = strings.Cut(next.Addr, ":")
	old.Do("REPLICAOF", host, port)
	eventually(t, "not ready", func() bool { return n.Ready() != nil })
	waited := time.Now() // the name leads to the replica for a while
	eventually(t, "connections were closed some times", func() bool { return time.Since(waited) > 3*time.Second })
	p.leadTo(next)
	took := eventually(t, "ready", func() bool { return n.Ready() == nil })
	t.Logf("ready %s after the name leads to the master", took.Round(time.Millisecond))
	n.publish("chat", "2")
	eventually(t, "it is heard", func() bool { return len(n.sink.Messages("chat")) >= 2 })
	if all := j.lines("level="); len(all) > 8 {
		t.Errorf("%d lines: %q", len(all), all)
	}
}

// The node leaves a replica by closing its connections. A call that waits on one
// of them is told why, and that its message may be out all the same.
func TestACallOnAConnectionThatIsLeftIsToldWhy(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n := startNode(t, server, p.use)
	const payload = "no answer comes to this"
	p.count(payload)
	p.mute(false)
	told := make(chan error)
	go func() {
		_, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte(payload)})
		told <- err
	}()
	eventually(t, "the call is at Redis", func() bool { return p.counted(payload) == 1 })
	n.env.Redis.Reconnect(errors.New("READONLY its role is that of a replica"))
	const want = "Redis is a read-only replica and refuses writes (READONLY); try again. " + fault.OutOrNot
	if said := fault.Of(<-told).Sentence(); said != want {
		t.Errorf("told %q", said)
	}
	// Once that is over, a connection that breaks is just that.
	n.env.Redis.Reconnected()
	if said := fault.Of(n.env.Redis.Failure(net.ErrClosed)).Sentence(); strings.Contains(said, "READONLY") {
		t.Errorf("told %q", said)
	}
}
