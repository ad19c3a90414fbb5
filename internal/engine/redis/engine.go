// Package redis is the engine of many nodes: logs, live messages, leases and
// presence in one Redis 6.2 or later, or in a cluster. What it has there is a
// public contract, docs/redis.md. This package only puts the parts together:
//
//	topology   where a name lives, how to reach it, when to give up
//	script     what runs inside Redis: lua/, the Redis Function
//	log        publish, history, positions, timeline
//	subscribe  listen, receive, prove that messages arrive
//	plain      plain PUBLISHes into logs: queue, lease, append
//	presence   who is there, on all nodes
//	ingest     streams into logs
//	names      keys and Pub/Sub names
//	wire       envelopes and log entries
//	diagnose   what magpie doctor sees
//
// It refuses to buffer publications while Redis is away: they fail at once
// with engine.ErrUnavailable. It refuses Sentinel, so far.
//
// Its goroutines, which Start starts and Close ends and waits for: two for each
// master (subscribe), the appender (plain), the writer and the lease of presence,
// the keeper of the Redis Function (script), those of the secrets (secrets.go) and of the notes (notes.go), the upkeep (upkeep.go), one per
// ingested stream (ingest), and in a cluster who looks after the slots (topology).
package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/diagnose"
	"magpie/internal/engine/redis/ingest"
	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/plain"
	"magpie/internal/engine/redis/presence"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/subscribe"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/fault"
)

const (
	// startTimeout bounds Start when its context does not.
	startTimeout = 10 * time.Second
	// drainTimeout bounds what Close does before it lets go of Redis.
	drainTimeout = 2 * time.Second
)

// Engine implements engine.Engine. It has more than a dozen methods because the
// contract has; all but a few are those of the parts.
type Engine struct {
	// the parts that are the contract, set by Start
	engine.Publisher
	engine.Logs
	engine.Live
	engine.Presence
	*secrets // set by New
	*notes   // set by New

	// set by New
	cfg     Config
	env     script.Env
	library *script.Library

	parts // set by Start
	life  lifetime
}

// parts are what Start makes besides the contract's.
type parts struct {
	admit         func(engine.Publication) error // of the node that is served
	sink          engine.Sink
	subscriptions *subscribe.Subscriptions
	plain         *plain.Appender
	presence      *presence.Presence
	ingest        *ingest.Ingest
}

// lifetime is that of the goroutines.
type lifetime struct {
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// New checks the configuration. It does not connect.
func New(c Config) (*Engine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	target, err := topology.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if target.Cluster && len(c.Ingest.Streams)+len(c.Ingest.Channels) > 0 {
		return nil, errClusterIngest
	}
	e := &Engine{cfg: c}
	e.life.ctx, e.life.end = context.WithCancel(context.Background())
	e.env = script.Env{
		Names: names.Names{Prefix: c.Prefix, DB: target.Option.SelectDB, Sharded: target.Cluster}, Node: instance(c.Node),
		Rules: c.Rules, MaxPayload: c.MaxPayload, IdempotencyWindow: c.IdempotencyWindow, Log: c.Log,
	}
	e.env.Redis = topology.New(target, c.Prefix+":"+e.env.Node, c.Log)
	e.env.Redis.Refusals.Counted = c.Metrics.Refused
	e.env.Scripts = script.New(e.env.Redis)
	e.library = script.NewLibrary(e.env)
	e.secrets = newSecrets(e.env)
	e.notes = newNotes(e.env)
	return e, nil
}

// instance makes a run's name from a node's: the random part keeps a node that
// comes back from owning what its predecessor left.
func instance(name string) string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	if name == "" {
		name = "node"
	}
	return name + "-" + hex.EncodeToString(b[:])
}

// NodeID implements engine.Bus. It is new at each start.
func (e *Engine) NodeID() string { return e.env.Node }

// Start implements engine.Engine.
func (e *Engine) Start(ctx context.Context, node engine.Node) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	e.build(node)
	if err := e.start(ctx); err != nil {
		e.Close(ctx)
		return err
	}
	return nil
}

// build makes the parts. None talks to Redis yet.
func (e *Engine) build(node engine.Node) {
	if node.Signal == nil {
		node.Signal = func([]byte) {}
	}
	e.sink, e.admit, e.notes.node = node.Sink, node.Admit, node
	m, logs := e.cfg.Metrics, log.New(e.env)
	e.presence = presence.New(presence.Config{Env: e.env, Sink: node.Sink, Rewritten: m.PresenceRewrites})
	e.plain = plain.New(plain.Config{
		Env: e.env, Read: logs.History, Dropped: m.PlainDropped, Released: func(ch string) { e.subscriptions.Released(ch) },
	})
	e.subscriptions = subscribe.New(e.life.ctx, subscribe.Config{
		Env: e.env, Patterns: e.cfg.Ingest.Channels, Logs: logs, Plain: e.plain, Sink: node.Sink, Admit: e.admitPlain, Signal: node.Signal,
		Events: subscribe.Events{
			Dropped: m.PlainDropped, Skipped: m.EnvelopeSkipped, Lost: m.SubscriberLost, RoundTrip: m.ProbeRoundTrip,
			Returned: e.returned, Rewound: e.rewound,
		},
	})
	e.ingest = ingest.New(ingest.Config{Env: e.env, Streams: e.cfg.Ingest.Streams, Admit: e.admitPlain, Ingested: m.Ingested})
	e.Publisher, e.Logs, e.Live, e.Presence = logs, logs, e.subscriptions, e.presence
}

// admitPlain decides about what was published in Redis itself.
func (e *Engine) admitPlain(p engine.Publication) error {
	if size := len(p.Payload); size > e.cfg.MaxPayload {
		return fault.Newf(fault.TooBig, "the payload has %d bytes and %d is the most", size, e.cfg.MaxPayload)
	}
	if e.admit == nil {
		return nil
	}
	return e.admit(p)
}

// returned is called when a master is there again, perhaps another one.
func (e *Engine) returned() {
	e.library.Check()
	e.notes.check()
}

// rewound is called when Redis is not what it was: what it knows of this node
// may be gone, or old.
func (e *Engine) rewound() {
	e.returned()
	e.secrets.check()
	e.presence.Rewrite()
}

func (e *Engine) start(ctx context.Context) error {
	r := e.env.Redis
	if err := r.Connect(ctx); err != nil {
		return err
	}
	if err := topology.CheckCommands(ctx, r.Client(), r.Addr, r.Sharded, len(e.cfg.Ingest.Streams) > 0); err != nil {
		return err
	}
	if err := e.library.Load(ctx, false); err != nil {
		return err
	}
	e.subscriptions.Follow(topology.Change{Masters: e.env.Redis.Topology.Masters()})
	for _, loop := range []func(context.Context){
		e.plain.Run, e.presence.Run, e.presence.Renew, e.library.Run, e.secrets.run, e.upkeep,
		func(ctx context.Context) { e.env.Redis.Topology.Run(ctx, e.subscriptions.Follow) },
	} {
		e.life.running.Go(func() { loop(e.life.ctx) })
	}
	if err := e.subscriptions.WaitUntilProven(ctx); err != nil {
		return err
	}
	if err := e.notes.first(ctx); err != nil {
		return err
	}
	e.life.running.Go(func() { e.notes.run(e.life.ctx) })
	if bus := r.Topology.Home(e.env.Names.Bus("")); bus != nil {
		if others := diagnose.Neighbours(ctx, bus.Client, e.env.Names); len(others) > 0 {
			e.cfg.Log.Warn("another Magpie uses this Redis: a plain PUBLISH reaches both, whatever the database", "redis", r.Addr, "others", others)
		}
	}
	e.ingest.Start(e.life.ctx)
	return nil
}

// Ready implements engine.Engine. In a cluster every master must deliver, and
// every slot must have one.
func (e *Engine) Ready() error { return e.subscriptions.Ready() }

// Unheard is how many channels this node listens to and does not hear now.
func (e *Engine) Unheard() int {
	if e.subscriptions == nil {
		return 0 // not started
	}
	return e.subscriptions.Unheard()
}

// Close implements engine.Engine. Until ctx ends, and at most for a few
// seconds, it first appends the plain PUBLISHes that only this node may hold
// and gives its leases back.
func (e *Engine) Close(ctx context.Context) error {
	e.shut(func() {
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		e.ingest.Stop(ctx)
		e.subscriptions.LeavePlain(ctx)
		e.plain.Drain(ctx)
		e.presence.End(ctx)
	})
	return nil
}

// crash is Close that leaves all as it is, for tests of what a dead node leaves.
func (e *Engine) crash() { e.shut(func() {}) }

func (e *Engine) shut(first func()) {
	e.life.closing.Do(func() {
		e.env.Redis.Refuse()
		if e.subscriptions != nil {
			first()
		}
		e.life.end()
		e.life.running.Wait()
		if e.subscriptions != nil {
			e.subscriptions.Wait()
		}
		e.env.Redis.Close()
	})
}

var _ engine.Engine = (*Engine)(nil)
