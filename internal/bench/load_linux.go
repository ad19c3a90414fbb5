package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Load is a plan that runs on a reactor, step by step, so that a caller can
// look at the server between the steps and publish by other means. One
// goroutine owns it.
type Load struct {
	*run
	reactor *Reactor
	to      []netip.AddrPort // connections go to each in turn
	sockets []*Socket
	clients []*client
	scratch []byte
	m       marks
}

// NewLoad checks the plan. Its target has to be on this machine. nodes are
// host:port of further servers that connections are spread over in turn.
func NewLoad(p Plan, nodes ...string) (*Load, error) {
	r, err := newRun(p)
	if err != nil {
		return nil, err
	}
	if r.url.Scheme == "https" {
		return nil, errors.New("a load speaks no TLS; Run does")
	}
	l := &Load{run: r}
	for _, host := range append([]string{r.url.Host}, nodes...) {
		addr, err := net.ResolveTCPAddr("tcp4", host)
		if err != nil || !addr.IP.IsLoopback() {
			return nil, fmt.Errorf("%s is no address of this machine with a port", host)
		}
		ap := addr.AddrPort()
		l.to = append(l.to, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	}
	l.reactor, err = NewReactor()
	return l, err
}

// Close ends all connections.
func (l *Load) Close() { l.reactor.Close() }

// Reactor is what the load runs on.
func (l *Load) Reactor() *Reactor { return l.reactor }

// Connected implements Handler.
func (c *client) Connected(s *Socket) error {
	return s.Write(c.run.door.request(c.run.plan.channel(c.room)))
}

// Data implements Handler.
func (c *client) Data(s *Socket, data []byte) error { return c.feed(data, s.Write) }

// Ended implements Handler.
func (c *client) Ended(_ *Socket, err error) { c.run.fail(err) }

// Connect opens all connections and blocks until they are in.
func (l *Load) Connect() error {
	l.m.connect = l.now()
	var err error
	if l.m.before, err = UsageOf(l.plan.PID); err != nil {
		return err
	}
	total := l.plan.Connections
	dial := func() bool {
		for len(l.sockets) < total && len(l.sockets)-int(l.joined.Load()+l.lost.Load()) < l.plan.Dialing {
			c := l.newClient(len(l.sockets))
			s, dialErr := l.reactor.Dial(l.to[len(l.sockets)%len(l.to)], len(l.sockets), c)
			if dialErr != nil {
				err = dialErr
				return true
			}
			l.sockets, l.clients = append(l.sockets, s), append(l.clients, c)
		}
		return l.settled()
	}
	ok := l.reactor.Until(dial, l.joined.Load, stallTimeout)
	l.m.connected = l.now()
	l.m.joined, _ = UsageOf(l.plan.PID)
	switch {
	case err != nil:
		return err
	case !ok || l.lost.Load() > 0:
		return fmt.Errorf("%d of %d connections got in; %v", l.joined.Load(), total, l.trouble)
	}
	return nil
}

// Settle lets the server rest for the plan's time.
func (l *Load) Settle() {
	l.reactor.For(l.plan.Settle)
	l.m.idle, _ = UsageOf(l.plan.PID)
}

// Rest is what a server did while nobody published: it held the connections,
// and pinged them when it wanted to know that they were there.
type Rest struct {
	Seconds float64 `json:"seconds"`
	Cores   float64 `json:"cores"` // that the server's process used
	Pings   int64   `json:"pings"` // that were answered, over all connections
}

// Rest answers pings for so long. It blocks; a connection that ends in the
// meantime is an error.
func (l *Load) Rest(d time.Duration) (Rest, error) {
	began, pings := l.now(), l.pings.Load()
	before, err := UsageOf(l.plan.PID)
	if err != nil {
		return Rest{}, err
	}
	l.reactor.For(d)
	after, err := UsageOf(l.plan.PID)
	if err != nil {
		return Rest{}, err
	}
	if n := l.lost.Load(); n > 0 {
		return Rest{}, fmt.Errorf("%d connections ended while they rested; %v", n, l.trouble)
	}
	took := (l.now() - began).Seconds()
	return Rest{Seconds: took, Cores: (after.CPU - before.CPU).Seconds() / took, Pings: l.pings.Load() - pings}, nil
}

// Send publishes a payload into a channel by some other way than the
// connections of a load.
type Send func(channel string, payload []byte) error

// Publish publishes the plan's messages, each when it is due, and blocks
// until the last delivery. send nil: over the connections.
func (l *Load) Publish(send Send) error {
	total, next := l.plan.messages(), 0
	l.m.idle, _ = UsageOf(l.plan.PID)
	l.m.publish = l.now()
	var failed error
	step := func() {
		// All that is due: after a late turn that is more than one.
		for next < total && l.m.publish+l.plan.due(next) <= l.now() {
			if err := l.publishOne(next, send); err != nil {
				failed = err
				next = total
				return
			}
			next++
		}
	}
	if l.plan.Rate > 0 && total > 0 {
		stop, err := l.reactor.Every(time.Duration(float64(time.Second)/l.plan.Rate), step)
		if err != nil {
			return err
		}
		step()
		l.reactor.Until(func() bool { return next >= total }, func() int64 { return int64(next) }, stallTimeout)
		stop()
	}
	// To the end of the time, so that what a server uses can be told by it.
	l.reactor.For(l.m.publish + l.plan.Duration - l.now())
	l.reactor.Until(func() bool { return l.received.Load() >= l.expected.Load() }, l.received.Load, drainTimeout)
	l.m.end = l.now()
	l.m.done, _ = UsageOf(l.plan.PID)
	return failed
}

func (l *Load) publishOne(k int, send Send) error {
	conn, number := l.plan.publisher(k)
	due := l.m.publish + l.plan.due(k)
	c := l.clients[conn]
	l.count(c.room, due, l.now())
	if send != nil {
		c.sent++
		return send(l.plan.channel(c.room), appendPayload(nil, stamp{number, c.sent, due}, l.plan.Size))
	}
	l.scratch = c.publication(l.scratch[:0], number, due)
	if len(l.scratch) == 0 {
		return errors.New("clients of this door do not publish; give another way")
	}
	return l.sockets[conn].Write(l.scratch)
}

// Result is what was measured, after Publish or instead of it.
func (l *Load) Result() Result {
	if l.m.end == 0 {
		l.m.publish, l.m.end, l.m.done = l.now(), l.now(), l.m.idle
	}
	return l.result(l.m)
}
