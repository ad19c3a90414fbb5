// Package enginetest holds every engine to the contract of package engine.
// One suite runs over all of them; its tests cite the delivery contract.
//
// It starts engines and closes them; what else an engine starts is its own.
package enginetest

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// Patience bounds every wait of the suite. It is long because a busy machine
// must not fail a promise that names no time.
const Patience = 30 * time.Second

// Window is the idempotency window that engines under test must use.
const Window = 2 * time.Second

// Store makes nodes that share one state, empty at first. Each call returns a
// new engine that is not started.
type Store func(t *testing.T, rules *channel.Rules) engine.Engine

// Run runs the suite. newStore is called once per test. several says whether a
// second node can share the store.
func Run(t *testing.T, several bool, newStore func(t *testing.T) Store) {
	for _, c := range cases {
		if c.nodes > 1 && !several {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, store: newStore(t), rules: testRules(t)}
			c.run(f)
		})
	}
}

var cases = []testCase{
	{"D5 a published message comes back as it went in", 1, roundTrip},
	{"D1 messages come in the order of their offsets", 1, order},
	{"channels do not cross", 1, noCrossTalk},
	{"no message after unsubscribe", 1, unsubscribe},
	{"D3 a subscribe right after an unsubscribe listens", 1, subscribeAgain},
	{"publishers at once get offsets without hole or double", 1, concurrent},
	{"history by position limit and direction", 1, history},
	{"D3 subscribing answers the part of the log that is asked for", 1, subscribing},
	{"D3 what a subscribe does not answer comes live", 1, subscribingInTraffic},
	{"an empty channel has a position that recovers", 1, emptyChannel},
	{"D2 a position that is trimmed or lost is a gap, whatever the limit", 1, gaps},
	{"a log forgets what is older than its age", 1, age},
	{"R6 a log is bounded in bytes", 1, logBytes},
	{"R6 a log in bytes is bounded whatever is in it", 1, logBytesMixed},
	{"D4 a repeat with the same key yields the first result", 1, idempotency},
	{"D4 keys of different owners are apart", 1, idempotencyOwners},
	{"D4 fifty repeats at once make one message", 1, idempotentRace},
	{"D4 a key ends with its window", 1, idempotencyWindow},
	{"D9 a channel without a log delivers and has no positions", 1, noLog},
	{"D9 a message that skips the log leaves no hole", 1, skipLog},
	{"remove starts a new timeline", 1, remove},
	{"positions of many channels", 1, positions},
	{"after close everything says closed", 1, closed},
	{"presence follows joins and leaves", 1, presence},
	{"D9 joins and leaves pass by the log", 1, joinsAndLeaves},
	{"a batch is published channel by channel", 1, batch},
	{"a signal to all reaches this node", 1, signalSelf},
	{"signals reach the node they are for", 2, signals},
	{"joins and leaves reach the other node", 2, joinsAcrossNodes},
	{"a secret is kept", 1, secret},
	{"all nodes keep one secret", 2, secretAcrossNodes},
	{"a note is handed to its node", 1, noteSelf},
	{"notes reach every node, and those that start later", 2, notes},
	{"two nodes see one timeline", 2, twoNodes},
	{"D4 a key holds on every node", 2, idempotencyAcrossNodes},
	{"presence is one set over nodes", 2, presenceAcrossNodes},
	{"presence of a closed node goes", 2, presenceOfClosedNode},
	{"D13 presence can be read when it is told", 2, presenceTold},
}

type testCase struct {
	name  string
	nodes int
	run   func(*fixture)
}

// lightBytes bound the log of channels "light…", which keep 50 messages.
const lightBytes = 8000

// testRules: channels "short…" keep 5 messages, "brief…" one second, "light…"
// lightBytes bytes, "none…" nothing, all others the default.
func testRules(t *testing.T) *channel.Rules {
	t.Helper()
	rule := func(match string, size int, age time.Duration) channel.Rule {
		r := channel.Default(channel.Anyone)
		r.Match, r.Log = match, channel.Log{Size: size, Age: age}
		return r
	}
	light := rule("light*", 50, time.Hour)
	light.Log.Bytes = lightBytes
	rules, err := channel.NewRules([]channel.Rule{
		rule("short*", 5, time.Hour), rule("brief*", 100, time.Second), rule("none*", 0, 0), light,
	}, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

type fixture struct {
	*testing.T
	store Store
	rules *channel.Rules
}

// Node is one started engine with its recording sink.
type Node struct {
	engine.Engine
	Sink *Recorder
	t    *testing.T
}

func (f *fixture) node() *Node {
	f.Helper()
	n := &Node{Engine: f.store(f.T, f.rules), Sink: NewRecorder(), t: f.T}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := n.Start(ctx, n.Sink.Node()); err != nil {
		f.Fatalf("start: %v", err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			f.Errorf("close: %v", err)
		}
	})
	return n
}

// ask calls the engine, bounded by Patience. It reports an error, also from
// another goroutine of the test.
func ask[T any](n *Node, what string, call func(context.Context) (T, error)) T {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	answer, err := call(ctx)
	if err != nil {
		n.t.Errorf("%s: %v", what, err)
	}
	return answer
}

func (n *Node) subscribe(names ...string) {
	n.t.Helper()
	for _, name := range names {
		n.subscribeAt(name, engine.Query{})
	}
}

func (n *Node) subscribeAt(name string, q engine.Query) engine.Page {
	n.t.Helper()
	n.Sink.Listen(name)
	return ask(n, "subscribe "+name, func(ctx context.Context) (engine.Page, error) { return n.Subscribe(ctx, name, q) })
}

// publish publishes the numbers 1 to count and returns the last result.
func (n *Node) publish(name string, count int) (last engine.Result) {
	n.t.Helper()
	for i := range count {
		last = n.publishAs(engine.Publication{Channel: name, Payload: strconv.AppendInt(nil, int64(i+1), 10), Via: message.ViaHTTP})
	}
	return last
}

func (n *Node) publishAs(p engine.Publication) engine.Result {
	n.t.Helper()
	return ask(n, "publish to "+p.Channel, func(ctx context.Context) (engine.Result, error) { return n.Publish(ctx, p) })
}

func (n *Node) history(name string, q engine.Query) engine.Page {
	n.t.Helper()
	return ask(n, "history of "+name, func(ctx context.Context) (engine.Page, error) { return n.History(ctx, name, q) })
}

func (n *Node) top(name string) message.Position {
	n.t.Helper()
	return n.history(name, engine.Query{}).Top
}

// log is all that the channel's log holds.
func (n *Node) log(name string) []string {
	n.t.Helper()
	return texts(n.history(name, engine.Query{Limit: engine.All}).Messages)
}

// together runs f count times at once and waits.
func together(count int, f func(i int)) {
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func texts(list []*message.Message) []string {
	var s []string
	for _, m := range list {
		s = append(s, string(m.Payload))
	}
	return s
}
