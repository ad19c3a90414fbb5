package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// master is one Redis that takes writes: the only one, or one of a cluster's.
// A channel lies whole on one master: its keys, its live messages, and the
// subscriptions to both of its names, so that what one Redis promises on one
// connection holds for a channel in a cluster, too.
type master struct {
	// set at construction
	e          *Engine
	addr       string // what messages call it
	client     rueidis.Client
	subscriber *subscriber
	probe      *probe
	slots      chan struct{} // one per command in flight
	end        context.CancelFunc
	running    sync.WaitGroup // subscriber and probe

	lastReply atomic.Int64 // when it last answered a probe, since e.started
}

// newMaster is of a Redis that has just answered. late says that the engine
// has begun before: what this one has to tell may have been missed.
func newMaster(e *Engine, addr string, client rueidis.Client, late bool) *master {
	m := &master{e: e, addr: addr, client: client, slots: make(chan struct{}, inFlight)}
	m.probe = newProbe(m)
	m.subscriber = newSubscriber(m, late)
	m.replied()
	return m
}

// start runs the master's goroutines until the engine ends, or m.end is called.
func (m *master) start() {
	var life context.Context
	life, m.end = context.WithCancel(m.e.life)
	for _, loop := range []func(context.Context){m.subscriber.run, m.probe.run} {
		m.running.Add(1)
		m.e.running.Go(func() {
			defer m.running.Done()
			loop(life)
		})
	}
}

// replied notes that the master answered. The clock is monotonic.
func (m *master) replied() { m.lastReply.Store(int64(time.Since(m.e.started))) }

func (m *master) silence() error {
	if silent := time.Since(m.e.started) - time.Duration(m.lastReply.Load()); silent > gateAfter {
		return engine.Unavailable("Redis at %s has not answered for %s", m.addr, silent.Round(100*time.Millisecond))
	}
	return nil
}

// ready answers nil while what is published on this master arrives.
func (m *master) ready() error {
	if err := m.silence(); err != nil {
		return err
	}
	if whole, reason := m.subscriber.state(); !whole {
		return engine.Unavailable("not subscribed at Redis %s: %w", m.addr, reason)
	}
	if quiet := m.probe.quiet(); quiet > unreadyAfter {
		return engine.Unavailable("Redis at %s has delivered nothing for %s", m.addr, quiet.Round(100*time.Millisecond))
	}
	if reason := m.probe.reason.Load(); reason != nil && *reason != "" {
		return engine.Unavailable("Redis at %s: %s", m.addr, *reason)
	}
	return nil
}

// masters are all that there are now.
func (e *Engine) masters() []*master {
	if e.cluster != nil {
		return e.cluster.all()
	}
	if e.only == nil {
		return nil
	}
	return []*master{e.only}
}

// home is the master on which a channel, or a name of ours, lies. It is nil
// for a slot of a cluster that no master has.
func (e *Engine) home(name string) *master {
	if e.cluster != nil {
		return e.cluster.home(name)
	}
	return e.only
}

// silence answers nil while a master that serves name may answer; an empty
// name is served by any.
func (e *Engine) silence(name string) (err error) {
	if name != "" {
		if m := e.home(name); m != nil {
			return m.silence()
		}
		return engine.Unavailable("no master of the cluster at %s has the slot of %q", e.addr, name)
	}
	err = engine.Unavailable("not connected to Redis at %s", e.addr)
	for _, m := range e.masters() {
		if err = m.silence(); err == nil {
			return nil
		}
	}
	return err
}

// inLine takes a place among those who wait for an answer of the name's
// master, so that a silent one holds up none but its own.
func (e *Engine) inLine(ctx context.Context, name string) (done func(), err error) {
	line := e.slots
	if m := e.home(name); name != "" && m != nil {
		line = m.slots
	}
	select {
	case line <- struct{}{}:
		return func() { <-line }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ready implements engine.Engine. In a cluster every master must deliver, and
// every slot must have one.
func (e *Engine) Ready() error {
	if e.closed.Load() {
		return engine.ErrClosed
	}
	if e.cluster != nil && !e.cluster.covered() {
		return engine.Unavailable("the cluster at %s has slots without a master", e.addr)
	}
	var errs []error
	for _, m := range e.masters() {
		errs = append(errs, m.ready())
	}
	if len(errs) == 0 {
		return e.silence("")
	}
	return errors.Join(errs...)
}
