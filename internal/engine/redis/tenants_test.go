package redis

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/test/kit/redistest"
)

// inDatabase is redis-cli in a database. Errors are answers, too.
func inDatabase(t *testing.T, server *redistest.Server, db int, args ...string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(server.Addr)
	out, err := exec.Command("redis-cli", append([]string{"-p", port, "-n", fmt.Sprint(db)}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func database(server *redistest.Server, db int) func(*Config) {
	return func(c *Config) { c.URL = fmt.Sprintf("%s/%d", server.URL, db) }
}

// Deployments that only the number of their database tells apart: Redis's
// Pub/Sub has no databases, so what one says the other must not take for its own.
func TestDatabasesAreApart(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*node{startNode(t, server, database(server, 0)), startNode(t, server, database(server, 1)), startNode(t, server, func(c *Config) { c.Prefix = "shop" })}
	for _, n := range nodes {
		n.subscribe("chat", "none")
	}
	for i, n := range nodes {
		for _, ch := range []string{"chat", "none"} {
			n.publish(ch, fmt.Sprint(ch, i))
		}
		if reached, err := n.Send(t.Context(), "", []byte(fmt.Sprint("order", i))); reached != 1 || err != nil {
			t.Errorf("a signal to all reached %d nodes, %v", reached, err)
		}
	}
	for i, n := range nodes {
		n.publish("chat", "fence")
		n.publish("none", "fence")
		n.sink.WaitFor(t, func() bool { return len(n.sink.Signals()) > 0 })
		for _, ch := range []string{"chat", "none"} {
			if got := n.sink.Wait(t, ch, 2); len(got) != 2 || string(got[0].Payload) != fmt.Sprint(ch, i) {
				t.Errorf("node %d heard %d messages in %s, first %q", i, len(got), ch, got[0].Payload)
			}
		}
		if got := n.sink.Signals(); len(got) != 1 || string(got[0]) != fmt.Sprint("order", i) {
			t.Errorf("node %d got the signals %q", i, got)
		}
	}
}

// Each deployment on one Redis appends every plain PUBLISH to its own log. An
// echo of another one's must not empty a node's queue: the pauses let leases end, so that
// each PUBLISH finds one node that has it and one that still asks for it.
func TestEveryDeploymentHasEveryPlainPublish(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, database(server, 0)), startNode(t, server, database(server, 1))
	a.subscribe("chat")
	b.subscribe("chat")
	for i := range 4 {
		server.Do("PUBLISH", "chat", fmt.Sprint("p", i))
		for _, n := range []*node{a, b} {
			if got := n.sink.Wait(t, "chat", i+1); string(got[i].Payload) != fmt.Sprint("p", i) || got[i].Offset != uint64(i+1) {
				t.Fatalf("got %q at %d", got[i].Payload, got[i].Offset)
			}
		}
		eventually(t, "the leases are over", func() bool {
			return inDatabase(t, server, 0, "EXISTS", "magpie:{chat}:lease") == "0" && inDatabase(t, server, 1, "EXISTS", "magpie:{chat}:lease") == "0"
		})
	}
}

// All databases share one Redis Function. It follows the rules of the database
// in which it is called, and refuses where no node serves.
func TestFcallKeepsToItsDatabase(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, func(c *Config) { c.MaxPayload = 10 })
	b := startNode(t, server, database(server, 1))
	a.subscribe("chat")
	b.subscribe("chat")
	if got := inDatabase(t, server, 0, "FCALL", "magpie_publish", "1", "chat", "eleven bytes"); !strings.Contains(got, "12 bytes and 10 is the most") {
		t.Errorf("in database 0: %s", got)
	}
	inDatabase(t, server, 1, "FCALL", "magpie_publish", "1", "chat", "eleven bytes")
	if got := b.sink.Wait(t, "chat", 1); string(got[0].Payload) != "eleven bytes" {
		t.Errorf("got %q", got[0].Payload)
	}
	a.publish("chat", "fence")
	if got := a.sink.Wait(t, "chat", 1); string(got[0].Payload) != "fence" {
		t.Errorf("FCALL in database 1 was heard in 0: %q", got[0].Payload)
	}
	if got := inDatabase(t, server, 2, "FCALL", "magpie_publish", "1", "chat", "x"); !strings.Contains(got, "no Magpie with the prefix magpie serves this database") {
		t.Errorf("in database 2: %s", got)
	}
	if got := inDatabase(t, server, 2, "DBSIZE"); got != "0" {
		t.Errorf("database 2 has %s keys", got)
	}
	server.Do("FLUSHALL")
	for db := range 2 {
		eventually(t, "FCALL is back", func() bool {
			return !strings.Contains(inDatabase(t, server, db, "FCALL", "magpie_publish", "1", "chat", "x"), "no Magpie")
		})
	}
}

// Prefixes are more than names of functions: of two that would have the same
// function the second is refused.
func TestAFunctionNameIsOfOnePrefix(t *testing.T) {
	server := redistest.Start(t)
	prefix := func(p string) func(*Config) { return func(c *Config) { c.Prefix = p } }
	startNode(t, server, prefix("my-app"))
	startNode(t, server, prefix("my-app")) // a second node of the same
	e := newEngine(t, server, prefix("my.app"))
	err := e.Start(t.Context(), engine.Node{})
	if !errors.Is(err, script.ErrTaken) || !strings.Contains(err.Error(), `"my-app" and "my.app"`) {
		t.Errorf("the second starts: %v", err)
	}
}
