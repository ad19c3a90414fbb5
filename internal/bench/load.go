package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	stallTimeout = 20 * time.Second // without one more connection
	lookEvery    = 5 * time.Millisecond
	tellEvery    = 500 * time.Millisecond
	// timerGrain is how late a loop of goroutines may be by itself, because Go's
	// timers wait in whole milliseconds. That is not the server's latency; beyond
	// it a message counts from the moment at which it was due.
	timerGrain = 2 * time.Millisecond
)

// drainTimeout is without one more delivery; tests, whose servers lose some,
// have a shorter one.
var drainTimeout = 3 * time.Second

// Load is a plan that runs step by step, so that its owner can look at the
// server between the steps and publish by other means. It has many fields
// because its handlers share them without locks: they run one at a time.
type Load struct {
	// Set at construction.
	ctx   context.Context // when it ends, every step stops early
	plan  Plan
	door  door
	url   *url.URL
	to    []string // host:port; connections go to each in turn
	loop  loop
	grain time.Duration
	start time.Time
	tell  func(Progress)

	// Owned by the loop: its handlers, and the owner of the load outside of turn.
	clients []*client
	posters []*poster
	polling polling
	counts  Counts
	lag     time.Duration
	latency *hdrhistogram.Histogram
	phases  phases
	told    time.Duration
	failure error // of the first connection that failed
	trouble []string
}

// NewLoad checks the plan. nodes are host:port of further servers that
// connections are spread over in turn. With ctx all steps end early.
func NewLoad(ctx context.Context, p Plan, nodes ...string) (*Load, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if _, err := UsageOf(p.PID); err != nil {
		return nil, err
	}
	l := &Load{ctx: ctx, plan: p, start: time.Now(), latency: newHistogram()}
	l.door, l.url, _ = p.Target.open() // checked above
	l.to = append([]string{net.JoinHostPort(l.url.Hostname(), cmp.Or(l.url.Port(), l.url.Scheme))}, nodes...)
	var err error
	l.loop, err = newLoop(p, l.url)
	if _, late := l.loop.(*goroutines); late {
		l.grain = timerGrain
	}
	return l, err
}

// Close ends all connections.
func (l *Load) Close() { l.loop.close() }

// Run does all steps of a plan. It blocks; when ctx ends it stops early and
// returns what was measured so far together with the context's error. tell, if
// not nil, is called about twice a second. Another error tells that nothing
// could be measured; connections and messages that failed are part of the result.
func Run(ctx context.Context, p Plan, tell func(Progress)) (Result, error) {
	l, err := NewLoad(ctx, p)
	if err != nil {
		return Result{}, err
	}
	defer l.Close()
	l.tell = tell
	if err := l.Connect(); l.counts.Joined == 0 {
		return Result{}, cmp.Or(l.failure, ctx.Err(), err)
	}
	l.Settle()
	l.Publish(nil)
	return l.Result(), ctx.Err()
}

// now is the time on the load's clock, which never jumps.
func (l *Load) now() time.Duration { return time.Since(l.start) }

// fail counts a connection that ended, or was never there.
func (l *Load) fail(why error) {
	l.counts.Disconnected++
	l.note(why.Error())
	l.failure = cmp.Or(l.failure, why)
}

// refuse counts a message that the server did not take.
func (l *Load) refuse(why string) {
	l.counts.Refused++
	l.note(why)
}

// note keeps the first few troubles, each once.
func (l *Load) note(why string) {
	if len(l.trouble) < 5 && !slices.Contains(l.trouble, why) {
		l.trouble = append(l.trouble, why)
	}
}

var errStalled = errors.New("nothing moves")

// until blocks until step tells that it is done, until ctx ends, or until count, if not nil, has not moved for patience. step is called again and again;
// it also tells when it wants to be called the next time at the latest.
func (l *Load) until(ctx context.Context, phase string, count *int, patience time.Duration, step func() (next time.Duration, done bool)) error {
	moved, last := l.now(), -1
	for {
		next, done := step()
		if done || ctx.Err() != nil {
			return ctx.Err()
		}
		now := l.now()
		if l.tell != nil && now-l.told >= tellEvery {
			l.told = now
			l.tell(l.progress(phase))
		}
		if count != nil && *count != last {
			moved, last = now, *count
		} else if count != nil && now-moved > patience {
			return errStalled
		}
		wait := min(next-now, lookEvery)
		if l.plan.Poll != "" {
			wait = min(wait, l.ask()-now)
		}
		if err := l.loop.turn(max(wait, 0)); err != nil {
			return err
		}
	}
}

// never is later than any step.
const never = time.Duration(1<<63 - 1)

// Connect opens all connections and blocks until they are in.
func (l *Load) Connect() error {
	total := l.plan.Connections
	l.phases.start = l.moment()
	err := l.until(l.ctx, "connecting", &l.counts.Joined, stallTimeout, func() (time.Duration, bool) {
		known := func() int { return l.counts.Joined + l.counts.Disconnected }
		for n := len(l.clients); n < total && n-known() < l.plan.Dialing; n++ {
			if err := l.loop.dial(l.to[n%len(l.to)], n, l.newHandler(n)); err != nil {
				l.fail(err)
			}
		}
		return never, known() >= total
	})
	if errors.Is(err, errStalled) {
		l.note(fmt.Sprintf("%d connections did not get in within %s", total-l.counts.Joined-l.counts.Disconnected, stallTimeout))
	}
	l.phases.joined = l.moment()
	if err != nil || l.counts.Disconnected > 0 {
		return fmt.Errorf("%d of %d connections got in; %v", l.counts.Joined, total, l.trouble)
	}
	return nil
}

func (l *Load) newHandler(n int) handler {
	c := &client{load: l, channel: n % l.plan.Channels}
	l.clients = append(l.clients, c)
	if l.plan.Poll == "" {
		return c
	}
	p := &poller{client: c}
	l.polling.pollers = append(l.polling.pollers, p)
	return p
}

// Traffic is how many bytes came in and went out over all connections.
func (l *Load) Traffic() (in, out int64) { return l.loop.traffic() }

// Settle lets the server rest for the plan's quiet time.
func (l *Load) Settle() { l.Hold(l.plan.Quiet) }

// Hold answers pings for so long. It blocks; a connection that ends in the
// meantime is an error.
func (l *Load) Hold(d time.Duration) error {
	end := l.now() + d
	l.until(l.ctx, "settling", nil, 0, func() (time.Duration, bool) { return end, l.now() >= end })
	l.phases.idle = l.moment()
	if n := l.counts.Disconnected; n > 0 {
		return fmt.Errorf("%d connections ended while they were held; %v", n, l.trouble)
	}
	return nil
}

// Send publishes a payload into a channel by some other way than the
// connections of a load.
type Send func(channel string, payload []byte) error

// Publish publishes the plan's messages, each when it is due, and blocks
// until the last delivery. send nil: over the connections, or over HTTP where
// clients of the door only listen.
func (l *Load) Publish(send Send) error {
	total, k := l.plan.messages(), 0
	l.phases.idle = l.moment()
	start := l.phases.idle.at
	var buf []byte
	err := l.until(l.ctx, "publishing", nil, 0, func() (next time.Duration, done bool) {
		// All that is due: after a late turn that is more than one.
		for ; k < total && start+l.plan.due(k) <= l.now(); k++ {
			buf = l.publishOne(k, start+l.plan.due(k), send, buf[:0])
		}
		// To the end of the time, so that what a server uses can be told by it.
		next = start + l.plan.Duration
		if k < total {
			next = start + l.plan.due(k)
		}
		return next, k == total && l.now() >= next
	})
	// A run that is cut short still counts what is on its way.
	l.until(context.WithoutCancel(l.ctx), "draining", &l.counts.Received, drainTimeout, func() (time.Duration, bool) {
		return never, l.counts.Received >= l.counts.Expected
	})
	l.phases.end = l.moment()
	return err
}

// publishOne sends the k-th message; buf is scratch space, to be used again.
func (l *Load) publishOne(k int, due time.Duration, send Send, buf []byte) []byte {
	n, number := l.plan.publisher(k)
	now := l.now()
	if n >= len(l.clients) || l.clients[n].conn == nil {
		l.refuse("a connection that is to publish never opened")
		return buf
	}
	c := l.clients[n]
	l.counts.Sent++
	l.counts.Expected += l.plan.receivers(c.channel)
	l.lag = max(l.lag, now-due)
	if now-due < l.grain {
		due = now
	}
	c.sent++
	size, channel := l.plan.Size, l.plan.channelName(c.channel)
	buf = appendPayload(buf, stamp{number, c.sent, due}, size)
	out := l.door.publish(buf, channel, c.sent, buf) // behind the payload
	var err error
	switch {
	case send != nil:
		err = send(channel, buf)
	case out == nil:
		err = l.post(n, channel, buf)
	default:
		buf = out
		err = c.conn.write(out[size:])
	}
	if err != nil {
		l.refuse("a message was not published: " + err.Error())
	}
	return buf
}
