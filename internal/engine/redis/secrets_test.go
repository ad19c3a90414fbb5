package redis

import (
	"testing"
	"time"

	"magpie/test/kit/redistest"
)

// askSecret asks for a secret and returns what later becomes of it, too.
func (n *node) askSecret(fresh string) (kept string, changed chan string) {
	n.t.Helper()
	changed = make(chan string, 1)
	got, err := n.Secret(n.t.Context(), "key", []byte(fresh), func(b []byte) { changed <- string(b) })
	if err != nil {
		n.t.Fatal(err)
	}
	return string(got), changed
}

// A Redis that lost its data loses no secret while a node lives that has it,
// not even when another node comes in the very moment.
func TestASecretIsPutBack(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, nil)
	a.askSecret("first")
	for range 3 {
		server.Do("FLUSHALL")
		if kept, _ := startNode(t, server, nil).askSecret("another"); kept != "first" {
			t.Fatalf("a new node has the secret %q", kept)
		}
	}
	server.Kill()
	server.Restart()
	eventually(t, "the secret is back after a restart", func() bool {
		return server.Do("GET", "magpie:{}:secret:key") == "first"
	})
	server.Do("DEL", "magpie:{}:secret:key")
	a.secrets.check() // as the upkeep does
	eventually(t, "the secret is back after DEL", func() bool {
		return server.Do("GET", "magpie:{}:secret:key") == "first"
	})
}

// Where another secret is in Redis by the time, all nodes go on with that one.
func TestNodesFollowTheSecretInRedis(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	_, changedA := a.askSecret("first")
	kept, changedB := b.askSecret("another")
	if kept != "first" {
		t.Fatalf("two secrets: %q", kept)
	}
	server.Do("EVAL", "redis.call('FLUSHALL') redis.call('SET', KEYS[1], 'second')", "1", "magpie:{}:secret:key")
	for _, changed := range []chan string{changedA, changedB} {
		select {
		case got := <-changed:
			if got != "second" {
				t.Errorf("the secret became %q", got)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a node kept its old secret")
		}
	}
}
