package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

const (
	probeEvery = 400 * time.Millisecond
	// probeTimeout bounds one probe call.
	probeTimeout = time.Second
	// silentAfter without an echo the subscriber connection is given up (D7).
	silentAfter = 2 * time.Second
	// unreadyAfter without an echo Ready says so. Three probes may be late.
	unreadyAfter = 1500 * time.Millisecond
)

// probe publishes to itself through Redis, so that a Redis that answers but no
// longer delivers is noticed (D7), and one that lost its data or went back in
// time is noticed although nobody publishes (D10). It also renews this node's
// lease. Its one goroutine is run.
type probe struct {
	e    *Engine
	name string // the Pub/Sub name
	kick chan struct{}

	heard  atomic.Int64 // when the last echo came, since e.started; 0: none on this connection
	begun  atomic.Int64 // when the present connection was complete
	first  chan struct{}
	once   sync.Once
	reason atomic.Pointer[string] // why Redis cannot serve although it echoes

	// owned by run
	life, replication string
	beats             uint64

	mu   sync.Mutex // held over a beat: after leave no beat renews the lease
	left bool
}

func newProbe(e *Engine) *probe {
	return &probe{e: e, name: e.keys.probe(e.node), kick: make(chan struct{}, 1), first: make(chan struct{})}
}

func (p *probe) since() int64 { return int64(time.Since(p.e.started)) }

// connected notes that the subscriber is complete, and has it proven now.
func (p *probe) connected() {
	p.begun.Store(p.since())
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// echo takes a probe that came back. Called on the client's reader.
func (p *probe) echo(text string) {
	now := p.since()
	p.heard.Store(now)
	if sent, err := strconv.ParseInt(text, 10, 64); err == nil && sent <= now {
		p.e.cfg.Metrics.probed(time.Duration(now - sent))
	}
	if whole, _ := p.e.subscriber.state(); whole {
		p.once.Do(func() { close(p.first) })
	}
}

// waitFirst returns when all is subscribed and a probe has come back.
func (p *probe) waitFirst(ctx context.Context) error {
	select {
	case <-p.first:
		return nil
	case <-ctx.Done():
		if _, reason := p.e.subscriber.state(); reason != nil {
			return reason
		}
		return errors.New("no probe came back in time")
	}
}

func (p *probe) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.beat(ctx)
		p.watch()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.kick:
		}
	}
}

// watch gives up a subscriber connection that is silent.
func (p *probe) watch() {
	if whole, _ := p.e.subscriber.state(); !whole {
		return
	}
	if p.quiet() > silentAfter {
		p.begun.Store(p.since()) // give the next connection its time
		p.e.subscriber.reconnect()
	}
}

// quiet is how long no echo has come on a connection that is complete.
func (p *probe) quiet() time.Duration {
	return time.Duration(p.since() - max(p.heard.Load(), p.begun.Load()))
}

// beat makes one probe call and acts on what it tells.
func (p *probe) beat(ctx context.Context) {
	reply, err := p.send(ctx)
	if _, answered := rueidis.IsRedisErr(err); err == nil || answered {
		p.e.replied()
	}
	if err != nil {
		p.explain(explain(err))
		return
	}
	list, err := reply.ToArray()
	if err != nil || len(list) != 4 {
		return
	}
	life, _ := list[0].ToString()
	replication, _ := list[1].ToString()
	role, _ := list[2].ToString()
	leased, _ := list[3].AsInt64()
	text := ""
	if role == "slave" {
		text = "it has become a read-only replica"
	}
	p.explain(text)
	p.compare(life, replication, leased == 1)
}

func (p *probe) explain(text string) { p.reason.Store(&text) }

func (p *probe) send(ctx context.Context) (rueidis.RedisResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return rueidis.RedisResult{}, engine.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	canary := strconv.FormatUint(rand.Uint64(), 36)
	reply := probeScript.eval(ctx, p.e.client, []string{p.e.keys.life(), p.e.keys.node(p.e.roster.id())},
		canary, millis(engine.LeaseTime), p.name, strconv.FormatInt(p.since(), 10))
	return reply, reply.Error()
}

// compare notices that Redis is not what it was: another history, or another
// canary. Then every position may be void, and our presence gone.
func (p *probe) compare(life, replication string, leased bool) {
	p.beats++
	other := life != "" && p.life != "" && life != p.life ||
		replication != "" && p.replication != "" && replication != p.replication
	if life != "" {
		p.life = life
	}
	if replication != "" {
		p.replication = replication
	}
	if other {
		p.e.cfg.Log.Warn("Redis restarted, failed over or lost its data: checking all channels", "redis", p.e.addr)
		p.e.sink.Recheck()
		p.e.askFunction()
	}
	if other || !leased && p.beats > 1 {
		p.e.roster.rewrite()
	}
}

// leave ends this node's lease, so that its presence goes at once.
func (p *probe) leave(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	// Without an answer the lease ends by itself.
	_ = p.e.doAny(ctx, func(ctx context.Context) error {
		return p.e.client.Do(ctx, p.e.client.B().Del().Key(p.e.keys.node(p.e.roster.id())).Build()).Error()
	})
}

// Ready implements engine.Health.
func (e *Engine) Ready() error {
	if err := e.gate(); err != nil {
		return err
	}
	if whole, reason := e.subscriber.state(); !whole {
		return fmt.Errorf("%w: not subscribed at Redis %s: %w", engine.ErrUnavailable, e.addr, reason)
	}
	if quiet := e.probe.quiet(); quiet > unreadyAfter {
		return fmt.Errorf("%w: Redis at %s has delivered nothing for %s", engine.ErrUnavailable, e.addr, quiet.Round(100*time.Millisecond))
	}
	if reason := e.probe.reason.Load(); reason != nil && *reason != "" {
		return fmt.Errorf("%w: Redis at %s: %s", engine.ErrUnavailable, e.addr, *reason)
	}
	return nil
}
