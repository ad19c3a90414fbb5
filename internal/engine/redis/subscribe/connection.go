package subscribe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/fault"
)

// Reconnects wait a random time up to a bound that doubles between these.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
)

var (
	errNotYet = errors.New("not connected yet")
	errSilent = errors.New("the subscriber connection was silent")
	errEnded  = errors.New("the subscriber connection ended")
)

// connection keeps one Redis connection to one master subscribed to the names
// that are wanted.
//
// Confirmations and messages come on the client's reader, which must never
// wait: its callbacks change memory and call the sink, nothing else.
type connection struct {
	// set at construction
	*setup
	master  *topology.Master
	probe   *probe
	kick    chan struct{}
	end     context.CancelFunc // set by start
	running sync.WaitGroup

	cut atomic.Pointer[context.CancelFunc] // ends the present connection

	// lines of the log
	lost     throttle.Throttle
	refusals throttle.Kinds

	wanted
}

// wanted is what a connection is reconciled to.
type wanted struct {
	mu        sync.Mutex // guards what follows; memory only
	channels  map[string]*channel
	names     map[key]*name
	probes    map[string]bool // names of the probe that are known
	dirty     []*name         // those that run must look at
	elsewhere []*name         // refused because their slot is elsewhere, for now
	refused   map[*name]bool  // refused for another reason; true: not to be asked for now

	// of the present connection
	count    int           // of connections, this one included
	missing  int           // names that are not confirmed yet
	complete chan struct{} // closed when none is missing
	whole    bool          // the connection is there and all names are confirmed
	reason   error         // why not
}

// newConnection is to m. late says that others may have been subscribed for
// the same channels before.
func newConnection(s *setup, m *topology.Master, late bool) *connection {
	c := &connection{setup: s, master: m, kick: make(chan struct{}, 1)}
	c.wanted = wanted{channels: map[string]*channel{}, names: map[key]*name{}, refused: map[*name]bool{}, reason: errNotYet}
	if late {
		c.count = 1
	}
	c.probe = newProbe(c)
	for _, p := range s.patterns {
		c.addLocked(&name{key: p.live, want: true})
		c.addLocked(&name{key: p.plain, want: true})
	}
	return c
}

// start runs the goroutines until the engine ends, or c.end is called.
func (c *connection) start() {
	life, end := context.WithCancel(c.life)
	c.end = end
	for _, loop := range []func(context.Context){c.run, c.probe.run} {
		c.running.Add(1)
		c.loops.Go(func() {
			defer c.running.Done()
			loop(life)
		})
	}
}

// retire ends the goroutines and then lets go of the master, without waiting.
func (c *connection) retire() {
	c.end()
	c.loops.Go(func() {
		c.running.Wait()
		c.master.Client.Close()
	})
}

// isHome tells whether a name lies on this master.
func (c *connection) isHome(name string) bool { return c.Redis.Topology.Home(name) == c.master }

func (c *connection) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// state tells whether all names are confirmed on a living connection.
func (c *connection) state() (whole bool, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole, c.reason
}

// ready answers nil while what is published on this master arrives.
func (c *connection) ready() error {
	if err := c.master.Silence(); err != nil {
		return err
	}
	if why := c.probe.refusal.Load(); why != nil {
		return why.Fault
	}
	if whole, reason := c.state(); !whole {
		return c.notSubscribed(reason)
	}
	if err := c.refusal(); err != nil {
		return err
	}
	return c.probe.ready()
}

// notSubscribed says why the connection is not whole.
func (c *connection) notSubscribed(reason error) error {
	f := &fault.Fault{Kind: fault.Unavailable, Wait: time.Second, Message: "This node is not connected to Redis for what it listens to."}
	if topology.Answered(reason) {
		f.Message = topology.Refused(c.master.Addr, reason).Message
	}
	f.Cause = fmt.Errorf("not subscribed at Redis %s: %w", c.master.Addr, reason)
	return f
}

// reconnect ends the present connection, because it is silent.
func (c *connection) reconnect() {
	if cut := c.cut.Load(); cut != nil {
		(*cut)()
	}
}

// run keeps a connection until ctx ends.
func (c *connection) run(ctx context.Context) {
	backoff := backoffMin
	for ctx.Err() == nil {
		start := time.Now()
		err := c.serve(ctx)
		c.ended(err, ctx.Err() == nil)
		if time.Since(start) > backoffMax {
			backoff = backoffMin
		}
		topology.Pause(ctx, rand.N(backoff)) // full jitter: nodes must not come back in step
		backoff = min(2*backoff, backoffMax)
	}
}

// serve runs one connection until it ends.
func (c *connection) serve(ctx context.Context) error {
	conn, release := c.master.Client.Dedicate()
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.cut.Store(&cancel)
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: c.receive, OnSubscription: c.confirmed})
	defer func() {
		conn.Close()
		for range ended { // after this no callback of this connection comes
		}
	}()
	select {
	case err := <-ended:
		return err // Redis did not take the connection: no name is asked for
	default:
	}
	complete, again := c.opened()
	later := newRetry()
	defer later.timer.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return errSilent
		case err := <-ended:
			if err == nil {
				err = errEnded
			}
			return err
		case <-complete:
			complete = nil
			c.completed(again)
		case <-c.kick:
			asked = true
		case <-later.timer.C:
			asked = true
			c.askAgain(later)
		}
		if !asked {
			continue
		}
		if err := c.reconcile(ctx, conn); err != nil {
			return err
		}
		c.retryRefused(later)
	}
}

// opened forgets what another connection had and marks everything that is
// wanted. again says that this is not the first connection.
func (c *connection) opened() (complete chan struct{}, again bool) {
	listened := c.listened()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range listened {
		c.wantLocked(ch).ready = true
	}
	c.count++
	c.dirty = c.dirty[:0]
	clear(c.refused)
	c.missing = 0
	for _, n := range c.names {
		n.state, n.err, n.due = off, nil, n.want
		if n.want {
			c.missing++
		}
		c.dirty = append(c.dirty, n) // what is not wanted is forgotten there
	}
	c.wake()
	c.complete = make(chan struct{})
	return c.complete, c.count > 1
}

// completed runs once per connection, when all its names are confirmed.
func (c *connection) completed(again bool) {
	c.mu.Lock()
	c.whole, c.reason = true, nil
	c.mu.Unlock()
	c.probe.connected()
	loss := c.lost.End()
	if again {
		if loss != "" {
			c.Log.Info("subscribed again", "redis", c.master.Addr, "loss", loss)
		}
		c.recheckAll()
		c.Events.Returned()
	}
}

// ended runs when a connection has ended; early says that it should not have.
func (c *connection) ended(err error, early bool) {
	c.mu.Lock()
	was := c.whole
	c.whole, c.reason = false, err
	for _, n := range c.names {
		n.state = off
		n.tellLocked()
	}
	c.mu.Unlock()
	c.Plain.Cut(c.isHome)
	if !early {
		return
	}
	if !c.probe.isReplica() && c.lost.Allow() { // connections to a replica are closed by us
		c.Log.Warn("lost the subscriber connection", "redis", c.master.Addr, "times", c.lost.Times(), "error", err)
	}
	if was {
		c.Events.Lost()
	}
}

// listened are the channels that the sink listens to here. The sink has locks of
// its own: not to be called under ours.
func (c *connection) listened() (list []string) {
	for ch := range c.Sink.Channels() {
		if c.isHome(ch) {
			list = append(list, ch)
		}
	}
	return list
}

// recheckAll has all channels of this master compared.
func (c *connection) recheckAll() {
	if len(c.Redis.Topology.Masters()) == 1 {
		c.Sink.Recheck()
		return
	}
	if list := c.listened(); len(list) > 0 {
		c.Sink.Recheck(list...)
	}
}

// rewound is called when this master is not what it was.
func (c *connection) rewound() {
	c.Log.Warn("Redis restarted, failed over or lost its data: checking all channels", "redis", c.master.Addr)
	c.recheckAll()
	c.Events.Rewound()
}
