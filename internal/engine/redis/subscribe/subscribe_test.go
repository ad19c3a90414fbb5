package subscribe

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/parttest"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/fault"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var eventually = parttest.Eventually

// plain stands for the part that appends. It has always something to wait for.
type plain struct {
	mu    sync.Mutex
	calls []string
}

func (p *plain) note(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
}

func (p *plain) noted(call string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.calls, call)
}

func (p *plain) Arrived(ch, payload string, _ bool) { p.note("arrived " + ch + " " + payload) }
func (p *plain) Seen(string, wire.Envelope)         {}
func (p *plain) Cut(func(string) bool)              { p.note("cut") }
func (p *plain) Moved(func(string) bool)            { p.note("moved") }
func (p *plain) Left(ch string) bool                { p.note("left " + ch); return true }

// node is one node's subscriptions alone.
type node struct {
	*Subscriptions
	logs  *log.Logs
	sink  *enginetest.Recorder
	plain *plain
	t     *testing.T
}

func startNode(t *testing.T, server *redistest.Server, change func(*Config)) *node {
	t.Helper()
	env := parttest.Connect(t, server.URL, "node")
	n := &node{sink: enginetest.NewRecorder(), plain: &plain{}, t: t}
	n.logs = log.New(env)
	c := Config{
		Env: env, Logs: n.logs, Plain: n.plain, Sink: n.sink,
		Admit: func(engine.Publication) error { return nil }, Signal: n.sink.Node().Signal,
		Events: Events{
			Dropped: func(string) {}, Skipped: func() {}, Lost: func() {}, RoundTrip: func(time.Duration) {}, Returned: func() {}, Rewound: func() {},
		},
	}
	if change != nil {
		change(&c)
	}
	life, end := context.WithCancel(context.Background())
	n.Subscriptions = New(life, c)
	t.Cleanup(func() { end(); n.Wait() })
	n.Follow(topology.Change{Masters: env.Redis.Topology.Masters()})
	if err := n.WaitUntilProven(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) subscribe(ch string) {
	n.t.Helper()
	n.sink.Listen(ch)
	if _, err := n.Subscribe(n.t.Context(), ch, engine.Query{}); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) publish(ch, payload string) {
	n.t.Helper()
	if _, err := n.logs.Publish(n.t.Context(), engine.Publication{Channel: ch, Payload: []byte(payload)}); err != nil {
		n.t.Fatal(err)
	}
}

// A name that Redis ends unasked (a cluster does) comes back, with a recheck.
func TestUnaskedUnsubscribeHeals(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	n.home("chat").confirmed(rueidis.PubSubSubscription{Kind: "unsubscribe", Channel: "magpie:{chat}:live"})
	eventually(t, "a recheck", func() bool { return n.sink.Rechecks() > rechecks })
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
}

// What was received under the plain name comes back under the live one: that
// one is left only when nothing is waited for any more.
func TestTheLiveNameIsLeftLast(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	listeners := func() string { return server.Do("PUBSUB", "NUMSUB", "chat", "magpie:{chat}:live") }
	n.Unsubscribe("chat")
	eventually(t, "the appender is told", func() bool { return n.plain.noted("left chat") })
	if got := listeners(); got != "chat\n0\nmagpie:{chat}:live\n1" {
		t.Errorf("listeners: %q", got)
	}
	n.Released("chat")
	eventually(t, "the live name is left", func() bool { return listeners() == "chat\n0\nmagpie:{chat}:live\n0" })

	n.subscribe("chat")
	n.Unsubscribe("chat")
	n.subscribe("chat")
	n.Released("chat") // too late: it is wanted again
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
	if got := listeners(); got != "chat\n1\nmagpie:{chat}:live\n1" {
		t.Errorf("listeners: %q", got)
	}
}

// D7: what a connection missed is told when the next one has all names, and the
// appender learns at once that it may have missed echoes.
func TestALostConnectionIsTold(t *testing.T) {
	server := redistest.Start(t)
	lost, returned := make(chan struct{}, 10), make(chan struct{}, 10)
	n := startNode(t, server, func(c *Config) {
		c.Events.Lost = func() { lost <- struct{}{} }
		c.Events.Returned = func() { returned <- struct{}{} }
	})
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	for what, c := range map[string]chan struct{}{"lost": lost, "returned": returned} {
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal("never " + what)
		}
	}
	if n.sink.Rechecks() == rechecks || !n.plain.noted("cut") {
		t.Errorf("%d rechecks, cut %v", n.sink.Rechecks()-rechecks, n.plain.noted("cut"))
	}
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
}

// A removed log is a hint to look: whoever listens is told, nobody else.
func TestARemovedLogIsTold(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	if err := n.logs.Remove(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a recheck", func() bool { return n.sink.Rechecks() > rechecks })
}

// What is not admitted goes nowhere, and is counted by its reason.
func TestAPlainPublishThatIsNotAdmitted(t *testing.T) {
	server := redistest.Start(t)
	dropped := make(chan string, 10)
	n := startNode(t, server, func(c *Config) {
		c.Admit = func(p engine.Publication) error {
			if p.Channel == "closed" || string(p.Payload) == "no" {
				return fault.New(fault.Forbidden, "not here")
			}
			return nil
		}
		c.Events.Dropped = func(reason string) { dropped <- reason }
	})
	n.subscribe("chat")
	n.subscribe("none-chat")
	for _, ch := range []string{"chat", "none-chat"} {
		server.Do("PUBLISH", ch, "no")
		select {
		case reason := <-dropped:
			if reason != string(fault.Forbidden) {
				t.Errorf("reason %q", reason)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it is not counted")
		}
		server.Do("PUBLISH", ch, "yes")
	}
	n.sink.Wait(t, "none-chat", 1)
	eventually(t, "the admitted one is there", func() bool { return n.plain.noted("arrived chat yes") })
	if list := n.sink.Messages("none-chat"); len(list) != 1 || n.plain.noted("arrived chat no") {
		t.Errorf("%d messages", len(list))
	}
}

// A channel that went to another master is left here as nobody's: its plain
// messages are not taken from that moment on, who waits for it is sent there,
// and the appender, which goes on with it, is not told that it was left.
func TestAChannelThatMovedIsNotLeft(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	c := n.home("chat")
	c.mu.Lock()
	live := c.channels["chat"].live
	c.evictLocked("chat", c.channels["chat"])
	c.mu.Unlock()
	if takes, _ := c.takes("chat"); takes {
		t.Error("a plain message is taken")
	}
	if err := c.waitOn(t.Context(), live); err != errMoved {
		t.Errorf("who waits: %v", err)
	}
	eventually(t, "the names are left", func() bool {
		return server.Do("PUBSUB", "NUMSUB", "chat", "magpie:{chat}:live") == "chat\n0\nmagpie:{chat}:live\n0"
	})
	c.adopt([]string{"chat"}, time.Hour)
	eventually(t, "it is here again", func() bool {
		return server.Do("PUBSUB", "NUMSUB", "chat", "magpie:{chat}:live") == "chat\n1\nmagpie:{chat}:live\n1"
	})
	if takes, _ := c.takes("chat"); takes {
		t.Error("a plain message is taken that the old master has delivered, too")
	}
	c.mu.Lock()
	plain := c.channels["chat"].plain
	plain.ignore = time.Now().Add(-time.Second)
	c.mu.Unlock()
	if takes, moved := c.takes("chat"); !takes || !moved {
		t.Errorf("a second later: taken %v, moved %v", takes, moved)
	}
	c.mu.Lock()
	plain.ignore = time.Now().Add(-movedTime)
	c.mu.Unlock()
	if takes, moved := c.takes("chat"); !takes || moved {
		t.Errorf("long after: taken %v, moved %v", takes, moved)
	}
	c.mu.Lock()
	plain.live.sharded, plain.live.state = true, off
	c.mu.Unlock()
	if takes, _ := c.takes("chat"); takes {
		t.Error("a plain message is taken whose echo would not come")
	}
	c.mu.Lock()
	plain.live.sharded, plain.live.state = false, on
	c.mu.Unlock()
	if n.plain.noted("left chat") {
		t.Error("the appender was told that the channel is left")
	}
}
