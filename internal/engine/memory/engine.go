// Package memory is the engine of a single node: logs live in this process
// and end with it. It is what `magpie serve` uses when no Redis is named.
//
// It shares nothing with other nodes. One goroutine, started by Start and
// ended by Close, drops what is too old.
package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
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

// Engine implements engine.Engine.
type Engine struct {
	rules  *channel.Rules
	window time.Duration
	node   engine.Node // set by Start

	done    chan struct{}
	swept   sync.WaitGroup
	closing sync.Once

	mu      sync.RWMutex // guards what follows; held for map work only
	closed  bool
	topics  map[string]*topic
	secrets map[string][]byte
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
	return &Engine{rules: c.Rules, window: c.IdempotencyWindow, done: make(chan struct{}), topics: map[string]*topic{}, secrets: map[string][]byte{}}
}

// Start implements engine.Engine. It never fails on a new engine.
func (e *Engine) Start(_ context.Context, node engine.Node) error {
	e.node = node
	e.swept.Go(e.sweepLoop)
	return nil
}

// Close implements engine.Engine.
func (e *Engine) Close(context.Context) error {
	e.closing.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		close(e.done)
	})
	e.swept.Wait()
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

// Immediate implements engine.Publisher.
func (e *Engine) Immediate() bool { return true }

// Publish implements engine.Engine.
func (e *Engine) Publish(_ context.Context, p engine.Publication) (engine.Result, error) {
	t, err := e.topic(p.Channel)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	res, err := t.publish(p, e.window)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	t.drain(e.node.Sink)
	return res, nil
}

// Subscribe implements engine.Engine.
func (e *Engine) Subscribe(_ context.Context, name string, q engine.Query) (engine.Page, error) {
	t, err := e.topic(name)
	if err != nil {
		return engine.Page{}, fmt.Errorf("subscribe %q: %w", name, err)
	}
	t.listen(true)
	return t.history(q), nil
}

// Unsubscribe implements engine.Engine.
func (e *Engine) Unsubscribe(name string) {
	if t, err := e.topic(name); err == nil {
		t.listen(false)
	}
}

// History implements engine.Engine.
func (e *Engine) History(_ context.Context, name string, q engine.Query) (engine.Page, error) {
	t, err := e.topic(name)
	if err != nil {
		return engine.Page{}, fmt.Errorf("history of %q: %w", name, err)
	}
	return t.history(q), nil
}

// Positions implements engine.Engine.
func (e *Engine) Positions(_ context.Context, names []string) ([]message.Position, error) {
	tops := make([]message.Position, len(names))
	for i, name := range names {
		t, err := e.topic(name)
		if err != nil {
			return nil, fmt.Errorf("positions: %w", err)
		}
		tops[i] = t.position()
	}
	return tops, nil
}

// Remove implements engine.Engine.
func (e *Engine) Remove(_ context.Context, name string) error {
	t, err := e.topic(name)
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	if t.remove() {
		e.node.Sink.Recheck(name)
	}
	return nil
}

// Join implements engine.Presence. The hub's own members are all there are.
func (e *Engine) Join(string, engine.Member) {}

// Leave implements engine.Presence.
func (e *Engine) Leave(string, string) {}

// Members implements engine.Presence.
func (e *Engine) Members(_ context.Context, name string) ([]engine.Member, error) {
	if err := e.Ready(); err != nil {
		return nil, fmt.Errorf("members of %q: %w", name, err)
	}
	var list []engine.Member
	for m := range e.node.Sink.Members(name) {
		list = append(list, m)
	}
	return list, nil
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

// PublishAll implements engine.Publisher.
func (e *Engine) PublishAll(ctx context.Context, all []engine.Publication) []engine.Outcome {
	outcomes := make([]engine.Outcome, len(all))
	for i, p := range all {
		outcomes[i].Result, outcomes[i].Err = e.Publish(ctx, p)
	}
	return outcomes
}

// Secret implements engine.Secrets.
func (e *Engine) Secret(_ context.Context, name string, fresh []byte) ([]byte, error) {
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

// topic returns the named channel's state, made on first use.
func (e *Engine) topic(name string) (*topic, error) {
	e.mu.RLock()
	t, closed := e.topics[name], e.closed
	e.mu.RUnlock()
	if closed {
		return nil, engine.ErrClosed
	}
	if t != nil && t.touch() {
		return t, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	if t = e.topics[name]; t == nil || !t.touch() {
		t = newTopic(name, e.rules.For(name).Log)
		e.topics[name] = t
	}
	return t, nil
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
	all := make(map[string]*topic, len(e.topics))
	for name, t := range e.topics {
		all[name] = t
	}
	e.mu.RUnlock()
	for name, t := range all {
		if !t.sweep() {
			continue
		}
		e.mu.Lock()
		if e.topics[name] == t {
			delete(e.topics, name)
		}
		e.mu.Unlock()
	}
}

// newEpoch names a log's timeline. 32 random bits tell the few epochs of one
// channel apart; they travel with every position, so they are short.
func newEpoch() string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

var _ engine.Engine = (*Engine)(nil)
