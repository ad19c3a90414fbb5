package bench

import (
	"cmp"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// run is what all connections of one load share.
type run struct {
	// Set at construction.
	plan  Plan
	door  door
	url   *url.URL
	start time.Time

	latency   Histogram
	joined    atomic.Int64
	lost      atomic.Int64 // connections
	sent      atomic.Int64
	expected  atomic.Int64 // deliveries of what was sent
	received  atomic.Int64 // distinct ones
	repeated  atomic.Int64
	reordered atomic.Int64
	refusals  atomic.Int64
	pings     atomic.Int64 // of the server, each answered
	lag       atomic.Int64 // the furthest that publishing fell behind, ns

	mu      sync.Mutex // guards what follows
	failure error      // of the first connection that failed
	trouble []string
}

func newRun(p Plan) (*run, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	d, u, err := p.Target.open()
	if err != nil {
		return nil, err
	}
	return &run{plan: p, door: d, url: u, start: time.Now()}, nil
}

// now is the time on the run's clock, which never jumps.
func (r *run) now() time.Duration { return time.Since(r.start) }

func (r *run) newClient(i int) *client { return &client{run: r, room: i % r.plan.Channels} }

// fail counts a connection that ended, or was never there.
func (r *run) fail(why error) {
	r.lost.Add(1)
	r.note(why.Error())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = cmp.Or(r.failure, why)
}

func (r *run) firstFailure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// refuse counts a message that the server did not take.
func (r *run) refuse(why string) {
	r.refusals.Add(1)
	r.note(why)
}

// note keeps the first few troubles, each once.
func (r *run) note(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.trouble {
		if t == why {
			return
		}
	}
	if len(r.trouble) < 5 {
		r.trouble = append(r.trouble, why)
	}
}

// count notes one message that left, and how late it was.
func (r *run) count(room int, due, now time.Duration) {
	r.sent.Add(1)
	r.expected.Add(int64(r.plan.receivers(room)))
	for {
		old := r.lag.Load()
		if int64(now-due) <= old || r.lag.CompareAndSwap(old, int64(now-due)) {
			return
		}
	}
}

// settled tells whether all connections are in or lost.
func (r *run) settled() bool {
	return int(r.joined.Load()+r.lost.Load()) >= r.plan.Connections
}

// Progress is a run at one moment.
type Progress struct {
	Phase     string // connecting, settling, publishing, draining
	Elapsed   time.Duration
	Joined    int
	Lost      int // connections
	Sent      int
	Received  int
	Repeated  int
	Reordered int
	P50, P99  time.Duration
	Usage     Usage
}

func (r *run) progress(phase string) Progress {
	p := Progress{
		Phase: phase, Elapsed: r.now(), Joined: int(r.joined.Load()), Lost: int(r.lost.Load()),
		Sent: int(r.sent.Load()), Received: int(r.received.Load()),
		Repeated: int(r.repeated.Load()), Reordered: int(r.reordered.Load()),
		P50: r.latency.Quantile(.5), P99: r.latency.Quantile(.99),
	}
	p.Usage, _ = UsageOf(r.plan.PID)
	return p
}
