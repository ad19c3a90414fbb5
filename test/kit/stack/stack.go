// Package stack is one node in the test's own process, over the memory engine:
// all that a door stands on. It is for tests of doors and of what is below
// them; tests of the whole server run the binary (package kit).
//
// Goroutines: those of what it builds, and the wheel's; the test's cleanup
// ends and waits for all of them.
package stack

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/hub"
	"magpie/internal/node"
	"magpie/internal/wheel"
)

// Options say how the node is to be; zero values are the defaults named.
type Options struct {
	Rules   []channel.Rule
	Default channel.Allowed // of all other channels (Anyone)
	Limits  node.Limits     // 64 KB, 1 MB, 100 subscriptions
	Auth    auth.Config     // its Rules are set here
	// LeaveAfter and Coalesce are the hub's.
	LeaveAfter, Coalesce time.Duration
	// Over puts an engine of the test's before the memory engine.
	Over func(engine.Engine) engine.Engine
	// Bus and Name are the node's place among others (the engine's own).
	Bus  engine.Bus
	Name string
	// Timeout is how long a question to all nodes waits (20 s).
	Timeout time.Duration
}

// Stack is a started node.
type Stack struct {
	Memory *memory.Engine
	Engine engine.Engine // Memory, or what Options.Over made of it
	Rules  *channel.Rules
	Hub    *hub.Hub
	Node   *node.Node
	Gate   *node.Gate
	Peers  *node.Peers
	Access door.Access // all origins

	t         testing.TB
	closing   []func(context.Context) error
	stopWheel func() // nil: no wheel was started
}

// closeTimeout bounds the end of a test.
const closeTimeout = 20 * time.Second

// New starts a node. The test's cleanup drains it, closes what OnClose was
// called with, then the rest.
func New(t testing.TB, o Options) *Stack {
	t.Helper()
	defaults(&o)
	rules, err := channel.NewRules(o.Rules, channel.Default(o.Default))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &Stack{t: t, Rules: rules, Memory: memory.New(memory.Config{Rules: rules})}
	s.Engine = s.Memory
	if o.Over != nil {
		s.Engine = o.Over(s.Memory)
	}
	if o.Bus == nil {
		o.Bus = s.Engine
	}
	o.Auth.Rules = rules
	if o.Auth.Revoked == nil {
		o.Auth.Revoked = new(auth.Revocations)
	}
	s.Access.Auth = auth.New(o.Auth)
	s.Hub = hub.New(hub.Config{Engine: s.Engine, Rules: rules, LeaveAfter: o.LeaveAfter, Coalesce: o.Coalesce})
	s.Node = node.New(s.Hub, o.Limits, o.Auth.Revoked)
	s.Gate = node.NewGate(node.GateConfig{Engine: s.Engine, Hub: s.Hub, Auth: s.Access.Auth, Rules: rules, Limits: o.Limits, Node: s.Node})
	s.Peers = node.NewPeers(node.PeersConfig{Bus: o.Bus, Notes: s.Engine, Node: s.Node, Hub: s.Hub, Log: log, Name: o.Name, Timeout: o.Timeout})
	t.Cleanup(s.close)
	if err := s.Engine.Start(context.Background(), engine.Node{Sink: s.Hub, Admit: s.Gate.Admit, Signal: s.Peers.Signal, Note: s.Node.Note, Notes: s.Node.Notes}); err != nil {
		t.Fatal(err)
	}
	return s
}

func defaults(o *Options) {
	if o.Default == "" {
		o.Default = channel.Anyone
	}
	if o.Timeout == 0 {
		o.Timeout = closeTimeout
	}
	if o.Limits == (node.Limits{}) {
		o.Limits = node.Limits{Payload: 64 << 10, Outbox: 1 << 20, Subscriptions: 100}
	}
}

// OnClose has f called when the test ends and the sessions are closed.
func (s *Stack) OnClose(f func(context.Context) error) { s.closing = append(s.closing, f) }

func (s *Stack) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, f := range append([]func(context.Context) error{s.Node.Drain}, s.closing...) {
		if err := f(ctx); err != nil {
			s.t.Error(err)
		}
	}
	s.Peers.Close()
	s.Hub.Close()
	if err := s.Engine.Close(ctx); err != nil {
		s.t.Error(err)
	}
	if s.stopWheel != nil {
		s.stopWheel()
	}
}

// Wheel starts a clock of 5 ms that stops last.
func (s *Stack) Wheel() *wheel.Wheel {
	w := wheel.New(5 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	s.stopWheel = func() {
		cancel()
		<-done
	}
	return w
}

// Publish publishes as a server does.
func (s *Stack) Publish(p engine.Publication) engine.Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	res, err := s.Gate.Publish(ctx, node.ServerActor, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}
