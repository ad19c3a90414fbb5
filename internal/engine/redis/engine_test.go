package redis

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/parttest"
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
	c := Config{Node: "test", Rules: parttest.Rules(t), Log: parttest.Log(t)}
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

var eventually = parttest.Eventually

// cutSubscriber ends a node's subscriber connection, as a network may.
func (n *node) cutSubscriber(server *redistest.Server) {
	n.t.Helper()
	killed := false
	for client := range strings.Lines(server.Do("CLIENT", "LIST", "TYPE", "pubsub")) {
		if strings.Contains(client, " name=magpie:"+n.NodeID()+" ") {
			id, _, _ := strings.Cut(strings.TrimPrefix(client, "id="), " ")
			server.Do("CLIENT", "KILL", "ID", id)
			killed = true
		}
	}
	if !killed {
		n.t.Fatal("there is no subscriber connection")
	}
}
