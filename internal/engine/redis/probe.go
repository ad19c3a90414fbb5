package redis

import (
	"context"
	"errors"
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
	m    *master
	kick chan struct{}

	place atomic.Pointer[probePlace]
	high  atomic.Bool // in a cluster: the place is the master's highest slot, not the lowest

	heard  atomic.Int64 // when the last echo came, since e.started; 0: none on this connection
	begun  atomic.Int64 // when the present connection was complete
	first  chan struct{}
	once   sync.Once
	reason atomic.Pointer[string] // why Redis cannot serve although it echoes

	// owned by run
	life, replication string
	lifeKey           string // that life is of
	beats             uint64
}

// probePlace is where a probe lives in its Redis: names that lie there.
type probePlace struct {
	name string // in Pub/Sub
	life string // the key of the canary
}

func newProbe(m *master) *probe {
	p := &probe{e: m.e, m: m, kick: make(chan struct{}, 1), first: make(chan struct{})}
	p.place.Store(&probePlace{name: m.e.keys.probe(m.e.node), life: m.e.keys.life()})
	return p
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
	if whole, _ := p.m.subscriber.state(); whole {
		p.once.Do(func() { close(p.first) })
	}
}

// waitFirst returns when all is subscribed and a probe has come back.
func (p *probe) waitFirst(ctx context.Context) error {
	select {
	case <-p.first:
		return nil
	case <-ctx.Done():
		if _, reason := p.m.subscriber.state(); reason != nil {
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
	if whole, _ := p.m.subscriber.state(); !whole {
		return
	}
	if p.quiet() > silentAfter {
		p.begun.Store(p.since()) // give the next connection its time
		p.m.subscriber.reconnect()
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
		p.m.replied()
	}
	if p.e.cluster != nil && isGoing(err) {
		p.high.Store(!p.high.Load())
		p.e.cluster.look()
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

// send makes the call. In a cluster the node's lease is not among what it
// renews: that lies on one master (roster.renew).
func (p *probe) send(ctx context.Context) (reply rueidis.RedisResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	place := p.place.Load()
	if place.life != p.lifeKey {
		p.life, p.lifeKey = "", place.life
	}
	call := func(keys ...string) error {
		canary := strconv.FormatUint(rand.Uint64(), 36)
		reply = p.e.script(probeScript).eval(ctx, p.m.client, keys, canary, millis(engine.LeaseTime), place.name, strconv.FormatInt(p.since(), 10))
		return reply.Error()
	}
	if p.e.cluster != nil {
		return reply, call(place.life)
	}
	err = p.e.roster.leased(func(key string) error { return call(place.life, key) })
	return reply, err
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
		p.e.cfg.Log.Warn("Redis restarted, failed over or lost its data: checking all channels", "redis", p.m.addr)
		p.m.subscriber.recheckAll()
		p.e.askFunction()
	}
	if other || !leased && p.beats > 1 {
		p.e.roster.rewrite()
	}
}
