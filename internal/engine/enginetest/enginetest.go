// Package enginetest holds every engine to the contract of package engine.
// One suite runs over all of them; its tests cite the delivery contract.
//
// It starts engines and closes them; what else an engine starts is its own.
package enginetest

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// Patience bounds every wait of the suite. It is long because a busy machine
// must not fail a promise that names no time.
const Patience = 20 * time.Second

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

type testCase struct {
	name  string
	nodes int
	run   func(*fixture)
}

// testRules: channels "short…" keep 5 messages, "brief…" one second, "none…"
// nothing, all others the default.
func testRules(t *testing.T) *channel.Rules {
	t.Helper()
	rule := func(match string, size int, age time.Duration) channel.Rule {
		r := channel.Default(channel.Anyone)
		r.Match, r.Log = match, channel.Log{Size: size, Age: age}
		return r
	}
	rules, err := channel.NewRules([]channel.Rule{
		rule("short*", 5, time.Hour), rule("brief*", 100, time.Second), rule("none*", 0, 0),
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

func (n *Node) subscribe(name string) { n.subscribeAt(name, engine.Query{}) }

func (n *Node) subscribeAt(name string, q engine.Query) engine.Page {
	n.t.Helper()
	n.Sink.Listen(name)
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	page, err := n.Subscribe(ctx, name, q)
	if err != nil {
		n.t.Fatalf("subscribe %q: %v", name, err)
	}
	return page
}

func (n *Node) publish(name, payload string) engine.Result {
	n.t.Helper()
	return n.publishAs(engine.Publication{Channel: name, Payload: []byte(payload), Via: message.ViaHTTP})
}

func (n *Node) publishAs(p engine.Publication) engine.Result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	res, err := n.Publish(ctx, p)
	if err != nil {
		n.t.Fatalf("publish to %q: %v", p.Channel, err)
	}
	return res
}

func (n *Node) history(name string, q engine.Query) engine.Page {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	page, err := n.History(ctx, name, q)
	if err != nil {
		n.t.Fatalf("history of %q: %v", name, err)
	}
	return page
}

// Recorder is a Sink that remembers.
type Recorder struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and renewed at each change
	channels []string
	members  map[string][]engine.Member
	messages []*message.Message
	signals  [][]byte
	rechecks int
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{changed: make(chan struct{}), members: map[string][]engine.Member{}}
}

func (r *Recorder) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Listen makes the sink name the channel as one it listens to.
func (r *Recorder) Listen(name string) {
	r.update(func() {
		if !slices.Contains(r.channels, name) {
			r.channels = append(r.channels, name)
		}
	})
}

// SetMembers says who this node's own members of a channel are.
func (r *Recorder) SetMembers(name string, members ...engine.Member) {
	r.update(func() { r.members[name] = members })
}

// ReceiveInline implements engine.Sink.
func (r *Recorder) ReceiveInline(m *message.Message) { r.Receive(m) }

// Receive implements engine.Sink.
func (r *Recorder) Receive(m *message.Message) {
	r.update(func() { r.messages = append(r.messages, m) })
}

// Node is an engine.Node whose sink r is, and which admits everything.
func (r *Recorder) Node() engine.Node {
	return engine.Node{Sink: r, Signal: r.Signal, Admit: func(engine.Publication) error { return nil }}
}

// Signal is an engine.Node's.
func (r *Recorder) Signal(data []byte) {
	r.update(func() { r.signals = append(r.signals, data) })
}

// Signals returns what was received from the bus so far.
func (r *Recorder) Signals() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.signals)
}

// Recheck implements engine.Sink.
func (r *Recorder) Recheck(...string) { r.update(func() { r.rechecks++ }) }

// Channels implements engine.Sink.
func (r *Recorder) Channels() iter.Seq[string] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Values(slices.Clone(r.channels))
}

// Members implements engine.Sink.
func (r *Recorder) Members(name string) iter.Seq[engine.Member] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Values(slices.Clone(r.members[name]))
}

// Messages returns what was received for one channel so far, in order.
func (r *Recorder) Messages(name string) []*message.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*message.Message
	for _, m := range r.messages {
		if m.Channel == name {
			list = append(list, m)
		}
	}
	return list
}

// Rechecks returns how often a re-check was asked for.
func (r *Recorder) Rechecks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rechecks
}

// Wait returns the channel's messages once there are n, or fails the test.
func (r *Recorder) Wait(t *testing.T, name string, n int) []*message.Message {
	t.Helper()
	r.WaitFor(t, func() bool { return len(r.Messages(name)) >= n })
	return r.Messages(name)
}

// WaitFor waits until ok holds; it is asked again at every change, and now and
// then for what changes elsewhere. It fails the test after Patience.
func (r *Recorder) WaitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("not within %s; received so far: %d messages, %d re-checks", Patience, len(r.messages), r.Rechecks())
		}
	}
}
