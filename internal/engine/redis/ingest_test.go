package redis

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

func streams(names ...string) func(*Config) {
	return func(c *Config) { c.Ingest.Streams = names }
}

// P1: XADD reaches the channel, what was there before the first start too.
func TestXaddIsPublished(t *testing.T) {
	server := redistest.Start(t)
	server.Do("XADD", "orders", "*", "payload", "0")
	n := startNode(t, server, streams("orders"))
	n.subscribe("orders", "chat")
	server.Do("XADD", "orders", "*", "payload", "1")
	server.Do("XADD", "orders", "*", "channel", "chat", "who", "Ann", "n", "1")
	if m := n.sink.Wait(t, "chat", 1)[0]; string(m.Payload) != `{"who":"Ann","n":"1"}` || m.Via != message.ViaXadd || m.Offset != 1 {
		t.Errorf("got %v %q via %s", m.Position, m.Payload, m.Via)
	}
	wantExactly(t, n, "orders", 2)
	server.Do("XADD", "orders", "*", "payload", "2", "idempotency_key", "k")
	server.Do("XADD", "orders", "*", "payload", "2", "idempotency_key", "k")
	server.Do("XADD", "orders", "*", "payload", "3")
	wantExactly(t, n, "orders", 4)
	eventually(t, "all acknowledged", func() bool { return pending(server, "orders") == "0" })
}

func pending(server *redistest.Server, stream string) string {
	text, _, _ := strings.Cut(server.Do("XPENDING", stream, "magpie"), "\n")
	return text
}

// Two nodes, one dies without a word in the middle, and comes back: every
// entry once, in the stream's order.
func TestXaddExactlyOnceOverACrash(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*node{startNode(t, server, streams("long")), startNode(t, server, streams("long"))}
	total := 0
	add := func(n int) {
		for range n {
			server.Do("XADD", "long", "*", "payload", strconv.Itoa(total))
			total++
		}
	}
	for range 2 {
		add(500)
		reader := server.Do("GET", "magpie:{}:ingest:long")
		for i, n := range nodes {
			if n.NodeID() == reader {
				n.crash()
				nodes[i] = startNode(t, server, streams("long"))
			}
		}
		add(500)
	}
	wantExactly(t, nodes[0], "long", total)
	eventually(t, "all acknowledged", func() bool { return pending(server, "long") == "0" })
}

// An entry was delivered to a node that died before it published.
func TestXaddPendingOfADeadNode(t *testing.T) {
	server := redistest.Start(t)
	for i := range 5 {
		server.Do("XADD", "long", "*", "payload", strconv.Itoa(i))
	}
	server.Do("XGROUP", "CREATE", "long", "magpie", "0")
	server.Do("XREADGROUP", "GROUP", "magpie", "dead", "COUNT", "3", "STREAMS", "long", ">")
	n := startNode(t, server, streams("long"))
	wantExactly(t, n, "long", 5)
	// One that was deleted meanwhile must not block those behind it.
	gone := server.Do("XADD", "long", "*", "payload", "gone")
	n.Close(context.Background())
	server.Do("XADD", "long", "*", "payload", "5")
	server.Do("XREADGROUP", "GROUP", "magpie", "dead", "STREAMS", "long", ">")
	server.Do("XDEL", "long", gone)
	again := startNode(t, server, streams("long"))
	eventually(t, "the entry behind it", func() bool { l := again.log("long"); return l[len(l)-1] == "5" })
	eventually(t, "all acknowledged", func() bool { return pending(server, "long") == "0" })
}

// A calm end gives the stream to the next node at once.
func TestXaddHandover(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, streams("long")), startNode(t, server, streams("long"))
	total := 0
	for _, n := range []*node{a, b} {
		for range 20 {
			server.Do("XADD", "long", "*", "payload", strconv.Itoa(total))
			total++
		}
		wantExactly(t, b, "long", total)
		if n == a {
			a.Close(context.Background())
		}
	}
}

// What cannot be published is kept with its reason and holds nothing up.
func TestXaddRejects(t *testing.T) {
	server := redistest.Start(t)
	rejected := make(chan string, 100)
	n := startNode(t, server, func(c *Config) {
		streams("long")(c)
		c.MaxPayload = 10
		c.Metrics.Ingested = func(result string) { rejected <- result }
	})
	server.Do("XADD", "long", "*", "channel", "a b", "payload", "x")
	server.Do("XADD", "long", "*", "payload", strings.Repeat("x", 11))
	server.Do("XADD", "long", "*", "payload", "0", "idempotency_key", "k")
	server.Do("XADD", "long", "*", "payload", "else", "idempotency_key", "k")
	wantExactly(t, n, "long", 1)
	for _, want := range []string{"rejected", "rejected", "published", "rejected"} {
		if got := <-rejected; got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	}
	list := server.Do("XRANGE", "magpie:rejected", "-", "+")
	for _, want := range []string{"character U+0020", "11 bytes", "CONFLICT"} {
		if !strings.Contains(list, want) {
			t.Errorf("no reason with %q in %q", want, list)
		}
	}
	if got := pending(server, "long"); got != "0" {
		t.Errorf("%s entries pending", got)
	}
}

// Without memory nothing is acknowledged; order holds when it is back.
func TestXaddWaitsForMemory(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, streams("long"))
	for i := range 300 {
		server.Do("XADD", "long", "*", "payload", strconv.Itoa(i))
		if i == 150 {
			server.Do("CONFIG", "SET", "maxmemory", "1")
			server.Do("CONFIG", "SET", "maxmemory", "0")
		}
	}
	wantExactly(t, n, "long", 300)
}

func TestIngestSurvivesFlush(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, streams("long"))
	server.Do("XADD", "long", "*", "payload", "0")
	wantExactly(t, n, "long", 1)
	server.Do("FLUSHALL")
	server.Do("XADD", "long", "*", "payload", "0")
	server.Do("XADD", "long", "*", "payload", "1")
	wantExactly(t, n, "long", 2)
	if top := n.history("long", engine.Query{}).Top; top.Offset != 2 {
		t.Errorf("top %v", top)
	}
}
