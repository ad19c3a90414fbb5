// Package memory is the engine of a single node: logs live in this process
// and end with it. It is what `magpie serve` uses when no Redis is named.
//
// It shares nothing with other nodes. One goroutine, started by Start and
// ended by Close, drops what is too old.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// Config is what New needs.
type Config struct {
	Rules *channel.Rules
	// IdempotencyWindow is how long a key is remembered. 0 means 5 minutes.
	IdempotencyWindow time.Duration
}

// Engine implements engine.Engine; it has many methods because the contract has.
type Engine struct {
	// Set at construction, node by Start.
	rules  *channel.Rules
	window time.Duration
	newLog func() log
	node   engine.Node

	done    chan struct{}
	sweeper sync.WaitGroup

	mu       sync.RWMutex // guards what follows; held for map work only
	closed   bool
	channels map[string]*channelState
	secrets  map[string][]byte
}

// sweepEvery is how often old messages, keys and idle channels are looked
// for. Reads filter by age themselves, so this only bounds memory.
const sweepEvery = 30 * time.Second

// idleFor is how much longer than its log a channel's epoch is kept, so that
// a position of before an idle time stays comparable.
const idleFor = time.Hour

// New returns an engine that is not started.
func New(c Config) *Engine {
	if c.IdempotencyWindow == 0 {
		c.IdempotencyWindow = 5 * time.Minute
	}
	return &Engine{rules: c.Rules, window: c.IdempotencyWindow, newLog: newRing, done: make(chan struct{}),
		channels: map[string]*channelState{}, secrets: map[string][]byte{}}
}

// Start implements engine.Engine. It never fails on a new engine.
func (e *Engine) Start(_ context.Context, node engine.Node) error {
	e.node = node
	e.sweeper.Go(e.sweepLoop)
	return nil
}

// Close implements engine.Engine.
func (e *Engine) Close(context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	e.mu.Unlock()
	e.sweeper.Wait()
	return nil
}

// Ready implements engine.Engine: memory is there as long as the engine is.
func (e *Engine) Ready() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return engine.ErrClosed
	}
	return nil
}

// Listening implements engine.Live.
func (e *Engine) Listening(context.Context, string) error { return e.Ready() }

// Immediate implements engine.Publisher.
func (e *Engine) Immediate() bool { return true }

// Publish implements engine.Publisher.
func (e *Engine) Publish(_ context.Context, p engine.Publication) (engine.Result, error) {
	c, err := e.channel(p.Channel)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	res, err := c.publish(p, e.window)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	c.drain(e.node.Sink)
	return res, nil
}

// PublishAll implements engine.Publisher.
func (e *Engine) PublishAll(ctx context.Context, all []engine.Publication) []engine.Outcome {
	outcomes := make([]engine.Outcome, len(all))
	for i, p := range all {
		outcomes[i].Result, outcomes[i].Err = e.Publish(ctx, p)
	}
	return outcomes
}

// Subscribe implements engine.Live.
func (e *Engine) Subscribe(_ context.Context, name string, q engine.Query) (engine.Page, error) {
	c, err := e.channel(name)
	if err != nil {
		return engine.Page{}, fmt.Errorf("subscribe %q: %w", name, err)
	}
	return c.subscribe(q)
}

// Unsubscribe implements engine.Live.
func (e *Engine) Unsubscribe(name string) {
	if c, err := e.channel(name); err == nil {
		c.unsubscribe()
	}
}

// History implements engine.Logs.
func (e *Engine) History(_ context.Context, name string, q engine.Query) (engine.Page, error) {
	c, err := e.channel(name)
	if err != nil {
		return engine.Page{}, fmt.Errorf("history of %q: %w", name, err)
	}
	return c.history(q)
}

// Positions implements engine.Logs.
func (e *Engine) Positions(ctx context.Context, names []string) ([]message.Position, error) {
	tops := make([]message.Position, len(names))
	for i, name := range names {
		page, err := e.History(ctx, name, engine.Query{})
		if err != nil {
			return nil, fmt.Errorf("positions: %w", err)
		}
		tops[i] = page.Top
	}
	return tops, nil
}

// Remove implements engine.Logs.
func (e *Engine) Remove(_ context.Context, name string) error {
	c, err := e.channel(name)
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	if c.remove() {
		e.node.Sink.Recheck(name)
	}
	return nil
}

// Join implements engine.Presence. The hub's own members are all there are.
func (e *Engine) Join(string, engine.Member) {}

// Leave implements engine.Presence.
func (e *Engine) Leave(string, string) {}

// Told implements engine.Presence.
func (e *Engine) Told(context.Context, iter.Seq[string]) error { return nil }

// Members implements engine.Presence.
func (e *Engine) Members(_ context.Context, name string) ([]engine.Member, error) {
	if err := e.Ready(); err != nil {
		return nil, fmt.Errorf("members of %q: %w", name, err)
	}
	return slices.Collect(e.node.Sink.Members(name)), nil
}

// NodeID implements engine.Bus. There is one node.
func (e *Engine) NodeID() string { return "local" }

// Send implements engine.Bus.
func (e *Engine) Send(_ context.Context, node string, data []byte) (int, error) {
	if err := e.Ready(); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	if node != "" && node != e.NodeID() {
		return 0, nil
	}
	e.node.Signal(data)
	return 1, nil
}

// Secret implements engine.Secrets.
func (e *Engine) Secret(_ context.Context, name string, fresh []byte, _ func([]byte)) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("secret %q: %w", name, engine.ErrClosed)
	}
	if e.secrets[name] == nil {
		e.secrets[name] = bytes.Clone(fresh)
	}
	return bytes.Clone(e.secrets[name]), nil
}

// Keep implements engine.Notes. The node's own memory is all there is.
func (e *Engine) Keep(_ context.Context, notes []engine.Note) error {
	if err := e.Ready(); err != nil {
		return fmt.Errorf("keep notes: %w", err)
	}
	if e.node.Note != nil {
		e.node.Note(notes)
	}
	return nil
}

// channel returns the named channel's state, made on first use.
func (e *Engine) channel(name string) (*channelState, error) {
	e.mu.RLock()
	c, closed := e.channels[name], e.closed
	e.mu.RUnlock()
	if closed {
		return nil, engine.ErrClosed
	}
	if c != nil && c.touch() {
		return c, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	if c = e.channels[name]; c == nil || !c.touch() {
		c = newChannelState(name, e.rules.For(name).Log, e.newLog)
		e.channels[name] = c
	}
	return c, nil
}

func (e *Engine) sweepLoop() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.done:
			return
		case <-tick.C:
			e.sweep()
		}
	}
}

func (e *Engine) sweep() {
	e.mu.RLock()
	all := maps.Clone(e.channels)
	e.mu.RUnlock()
	for name, c := range all {
		if !c.sweep() {
			continue
		}
		e.mu.Lock()
		if e.channels[name] == c {
			delete(e.channels, name)
		}
		e.mu.Unlock()
	}
}

var _ engine.Engine = (*Engine)(nil)
