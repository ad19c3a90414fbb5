package subscribe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/fault"
)

const (
	probeEvery = 400 * time.Millisecond
	// probeTimeout bounds one probe call.
	probeTimeout = time.Second
	// silentAfter without an echo the subscriber connection is given up (D7).
	silentAfter = 2 * time.Second
	// probeLife is how long the keys that probes write to live.
	probeLife = time.Minute
	// closeMost is the most time between two closings of connections to a
	// replica: whoever has its name now is found within 5 s.
	closeMost = 3 * time.Second
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
	refusal   atomic.Pointer[refusal] // why Redis cannot serve although it may echo; nil: it can

	// owned by run
	pause   time.Duration // until connections to a replica are closed again
	closed  time.Time     // when they were
	origin  log.Origin
	lifeKey string // that origin.Life is of
}

// refusal is why Redis cannot serve.
type refusal struct {
	*fault.Fault
	label string
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

	log, meta string // what is written to
}

func newProbe(c *connection) *probe {
	p := &probe{setup: c.setup, master: c.master, proven: c, kick: make(chan struct{}, 1), first: make(chan struct{})}
	p.place.Store(&place{})
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
	next := place{name: p.Names.Probe(p.Node, tag), life: p.Names.Life(tag)}
	next.log, next.meta = p.Names.ProbeKeys(tag)
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

// ready answers nil while probes come back.
func (p *probe) ready() error {
	if quiet := p.quiet(); quiet > unreadyAfter {
		f := fault.New(fault.Unavailable, "Redis answers but delivers nothing of what is published.")
		f.Wait, f.Cause = time.Second, fmt.Errorf("Redis at %s has delivered nothing for %s", p.master.Addr, quiet.Round(100*time.Millisecond))
		return f
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
	reply := p.Scripts.Probe.Eval(ctx, p.master.Client, []string{at.life, at.log, at.meta},
		life, at.name, strconv.FormatInt(sinceClock(), 10), script.Millis(probeLife))
	err := reply.Error()
	if err == nil || topology.Answered(err) {
		p.master.Answered()
	}
	if topology.Moving(err) {
		p.high.Store(!p.high.Load())
		p.Redis.Topology.Look()
	}
	if err != nil {
		if topology.Answered(err) && !topology.Moving(err) {
			p.refused(err)
		}
		return
	}
	r := script.ReplyOf(reply, 4)
	now, role, why := log.Origin{Life: r.Text(), Replication: r.Text()}, r.Text(), r.Text()
	if r.Err() != nil {
		return
	}
	switch {
	case role == "slave":
		p.refused(errReplica)
	case why != "":
		p.refused(errors.New(why))
	default:
		p.taken()
	}
	if p.origin.Became(now) {
		p.proven.rewound()
	}
}

// errReplica is what a replica answers to writes.
var errReplica = errors.New("READONLY its role is that of a replica")

// refused notes that Redis refuses what it is asked. A master that became a
// replica may have left its address to another: the connections are closed, at
// growing intervals, so that the next ones reach whoever has the name now.
func (p *probe) refused(err error) {
	p.Redis.Refusals.Tell(p.master.Addr, err)
	p.refusal.Store(&refusal{topology.Refused(p.master.Addr, err), topology.Reason(err)})
	if !p.isReplica() || time.Since(p.closed) < p.pause {
		return
	}
	p.pause, p.closed = min(max(2*p.pause, probeEvery), closeMost), time.Now()
	p.Redis.Reconnect(err)
}

// isReplica tells whether the probe met a replica.
func (p *probe) isReplica() bool {
	why := p.refusal.Load()
	return why != nil && why.label == topology.Replica
}

// taken notes that Redis takes what it is asked.
func (p *probe) taken() {
	p.pause = 0
	if why := p.refusal.Swap(nil); why != nil {
		p.Redis.Refusals.Ended(p.master.Addr, why.label)
		p.Redis.Reconnected()
	}
}
