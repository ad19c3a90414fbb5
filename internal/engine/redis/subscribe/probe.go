package subscribe

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
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

// clock is what a probe's times are measured from. It is monotonic.
var clock = time.Now()

func sinceClock() int64 { return int64(time.Since(clock)) }

// probe publishes to itself through Redis, so that a Redis that answers but no
// longer delivers is noticed (D7), and one that lost its data or went back in
// time is noticed although nobody publishes (D10).
type probe struct {
	*setup
	master *topology.Master
	proven proven
	kick   chan struct{}
	place  atomic.Pointer[place]
	high   atomic.Bool // the place is by the master's second tag

	lastEcho  atomic.Int64 // when the last echo came, since clock; 0: none on this connection
	complete  atomic.Int64 // when the present connection was complete
	first     chan struct{}
	firstOnce sync.Once
	reason    atomic.Pointer[string] // why Redis cannot serve although it echoes

	// owned by run
	origin  log.Origin
	lifeKey string // that origin.Life is of
}

// proven is the connection that a probe comes back on.
type proven interface {
	state() (whole bool, reason error)
	reconnect() // it is silent
	rewound()   // Redis is not what it was
}

// place is where a probe lives in its Redis: names that lie there.
type place struct {
	name string // in Pub/Sub
	life string // the key that tells of a loss of all data
}

func newProbe(c *connection) *probe {
	p := &probe{setup: c.setup, master: c.master, proven: c, kick: make(chan struct{}, 1), first: make(chan struct{})}
	p.place.Store(&place{})
	p.explain("")
	return p
}

// move gives the probe names that lie on its master, and returns the one in
// Pub/Sub.
func (p *probe) move() string {
	low, high := p.master.Tags()
	tag := low
	if p.high.Load() {
		tag = high
	}
	next := place{p.Names.Probe(p.Node, tag), p.Names.Life(tag)}
	if *p.place.Load() != next {
		p.place.Store(&next)
	}
	return next.name
}

// connected notes that the connection is complete, and has it proven now.
func (p *probe) connected() {
	p.complete.Store(sinceClock())
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// echo takes a probe that came back. Called on the client's reader.
func (p *probe) echo(text string) {
	now := sinceClock()
	p.lastEcho.Store(now)
	if sent, err := strconv.ParseInt(text, 10, 64); err == nil && sent <= now {
		p.Events.RoundTrip(time.Duration(now - sent))
	}
	if whole, _ := p.proven.state(); whole {
		p.firstOnce.Do(func() { close(p.first) })
	}
}

// waitFirst returns when all is subscribed and a probe has come back.
func (p *probe) waitFirst(ctx context.Context) error {
	select {
	case <-p.first:
		return nil
	case <-ctx.Done():
		if _, reason := p.proven.state(); reason != nil {
			return reason
		}
		return errors.New("no probe came back in time")
	}
}

// ready answers nil while probes come back and Redis can serve.
func (p *probe) ready() error {
	if quiet := p.quiet(); quiet > unreadyAfter {
		return engine.Unavailable("Redis at %s has delivered nothing for %s", p.master.Addr, quiet.Round(100*time.Millisecond))
	}
	if reason := *p.reason.Load(); reason != "" {
		return engine.Unavailable("Redis at %s: %s", p.master.Addr, reason)
	}
	return nil
}

// quiet is how long no echo has come on a connection that is complete.
func (p *probe) quiet() time.Duration {
	return time.Duration(sinceClock() - max(p.lastEcho.Load(), p.complete.Load()))
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
	if whole, _ := p.proven.state(); whole && p.quiet() > silentAfter {
		p.complete.Store(sinceClock()) // give the next connection its time
		p.proven.reconnect()
	}
}

// beat makes one probe call and acts on what it tells.
func (p *probe) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	at := p.place.Load()
	if at.life != p.lifeKey {
		p.origin.Life, p.lifeKey = "", at.life
	}
	life := strconv.FormatUint(rand.Uint64(), 36)
	reply := p.Scripts.Probe.Eval(ctx, p.master.Client, []string{at.life}, life, at.name, strconv.FormatInt(sinceClock(), 10))
	err := reply.Error()
	if err == nil || topology.Answered(err) {
		p.master.Answered()
	}
	if topology.Moving(err) {
		p.high.Store(!p.high.Load())
		p.Redis.Topology.Look()
	}
	if err != nil {
		p.explain(topology.Explain(err))
		return
	}
	r := script.ReplyOf(reply, 3)
	now, role := log.Origin{Life: r.Text(), Replication: r.Text()}, r.Text()
	if r.Err() != nil {
		return
	}
	if role == "slave" {
		p.explain("it has become a read-only replica")
	} else {
		p.explain("")
	}
	if p.origin.Became(now) {
		p.proven.rewound()
	}
}

func (p *probe) explain(text string) { p.reason.Store(&text) }
