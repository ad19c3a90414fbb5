package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	stallTimeout = 20 * time.Second // without one more connection
	drainTimeout = 3 * time.Second  // without one more delivery
	writeTimeout = 10 * time.Second
	readBuffer   = 2 << 10
	lookEvery    = 20 * time.Millisecond
	// timerGrain is how late a timer of Go's may be by itself, because it waits
	// in whole milliseconds. That is not the server's latency; beyond it a
	// message counts from the moment at which it was due.
	timerGrain = 2 * time.Millisecond
)

// Run opens the plan's connections, publishes at its rate and waits for the
// last delivery. It blocks; when ctx ends it stops early and returns what was
// measured so far together with the context's error. tell, if not nil, is
// called about twice a second. An error tells that nothing could be measured;
// connections and messages that failed are part of the result.
func Run(ctx context.Context, p Plan, tell func(Progress)) (Result, error) {
	r, err := newRun(p)
	if err != nil {
		return Result{}, err
	}
	if _, err := UsageOf(p.PID); err != nil {
		return Result{}, err
	}
	// The readers outlive ctx: what was sent is still to be counted.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	d := &driver{run: r, life: life, tell: tell, peers: make([]*peer, r.plan.Connections)}
	defer d.readers.Wait()
	defer end()
	return d.drive(ctx)
}

// driver runs a plan with a goroutine for each connection.
type driver struct {
	*run
	life    context.Context // of the connections
	tell    func(Progress)
	told    time.Time // owned by drive
	peers   []*peer
	readers sync.WaitGroup
}

// peer is one connection: its machine, owned by its reader, and its socket.
type peer struct {
	*client
	mu   sync.Mutex // one writer at a time: the reader answers pings
	conn net.Conn
}

func (d *driver) drive(ctx context.Context) (Result, error) {
	var m marks
	m.connect = d.now()
	m.before, _ = UsageOf(d.plan.PID)
	stop := d.open(ctx)
	err := d.await(ctx, "connecting", stallTimeout, d.settled, d.joined.Load)
	stop()
	m.connected = d.now()
	m.joined, _ = UsageOf(d.plan.PID)
	if d.joined.Load() == 0 {
		return Result{}, cmp.Or(d.firstFailure(), ctx.Err(), errNobody)
	}
	if errors.Is(err, errStalled) {
		d.note(fmt.Sprintf("%d connections did not get in within %s", d.plan.Connections-int(d.joined.Load()+d.lost.Load()), stallTimeout))
	}
	until := d.now() + d.plan.Settle
	d.await(ctx, "settling", 0, func() bool { return d.now() >= until }, nil)
	m.idle, _ = UsageOf(d.plan.PID)
	m.publish = d.now()
	if d.plan.Rate > 0 && ctx.Err() == nil {
		d.publish(ctx)
		done := func() bool { return d.received.Load() >= d.expected.Load() }
		// A run that is cut short still counts what is on its way.
		d.await(context.WithoutCancel(ctx), "draining", drainTimeout, done, d.received.Load)
	}
	m.end = d.now()
	m.done, _ = UsageOf(d.plan.PID)
	return d.result(m), ctx.Err()
}

var (
	errStalled = errors.New("nothing moves")
	errNobody  = errors.New("no connection got in")
)

// await blocks until done, the context's end, or until count has not moved
// for patience.
func (d *driver) await(ctx context.Context, phase string, patience time.Duration, done func() bool, count func() int64) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	moved, last := d.now(), int64(-1)
	for !done() {
		d.report(phase)
		if count != nil {
			if n := count(); n != last {
				moved, last = d.now(), n
			} else if d.now()-moved > patience {
				return errStalled
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (d *driver) report(phase string) {
	if d.tell != nil && time.Since(d.told) >= 500*time.Millisecond {
		d.told = time.Now()
		d.tell(d.progress(phase))
	}
}

// open begins to dial. It returns what ends the dialing; connections that are
// open stay so.
func (d *driver) open(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	slots := make(chan struct{}, d.plan.Dialing)
	d.readers.Go(func() {
		for i := range d.peers {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			p := &peer{client: d.newClient(i)}
			d.peers[i] = p
			d.readers.Go(func() {
				var once sync.Once
				free := func() { once.Do(func() { <-slots }) }
				defer free()
				if err := d.converse(p, free); err != nil && d.life.Err() == nil {
					d.fail(err)
				}
			})
		}
	})
	return cancel
}

// converse is one connection from its dialing to its end. joined is called
// when the subscription stands.
func (d *driver) converse(p *peer, joined func()) error {
	conn, err := d.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing is what wakes a reader.
	defer context.AfterFunc(d.life, func() { conn.Close() })()
	p.mu.Lock()
	p.conn = conn
	p.mu.Unlock()
	if err := p.write(d.door.request(d.plan.channel(p.room))); err != nil {
		return err
	}
	buf := make([]byte, readBuffer)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if err := p.feed(buf[:n], p.write); err != nil {
				return err
			}
			if p.in {
				joined()
			}
		}
		if err != nil {
			return fmt.Errorf("a connection was lost: %w", err)
		}
	}
}

func (d *driver) dial() (net.Conn, error) {
	host := d.url.Host
	if d.url.Port() == "" {
		host = net.JoinHostPort(d.url.Hostname(), map[string]string{"http": "80", "https": "443"}[d.url.Scheme])
	}
	ctx, cancel := context.WithTimeout(d.life, writeTimeout)
	defer cancel()
	if d.url.Scheme == "https" {
		return (&tls.Dialer{Config: &tls.Config{NextProtos: []string{"http/1.1"}, RootCAs: d.plan.Target.Roots}}).DialContext(ctx, "tcp", host)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", host)
}

func (p *peer) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return net.ErrClosed
	}
	p.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := p.conn.Write(b)
	return err
}

// publish runs a goroutine for each publisher, so that one whose server is
// slow keeps none of the others back, and blocks until all are done.
func (d *driver) publish(ctx context.Context) {
	all := d.plan.Channels * d.plan.Publishers
	var publishers sync.WaitGroup
	start := d.now()
	for first := range min(all, d.plan.messages()) {
		publishers.Go(func() { d.publishFrom(ctx, start, first, all) })
	}
	done := make(chan struct{})
	go func() { publishers.Wait(); close(done) }()
	closed := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	d.await(context.WithoutCancel(ctx), "publishing", 0, closed, nil)
}

// publishFrom sends every step-th message from first on, each when it is due.
func (d *driver) publishFrom(ctx context.Context, start time.Duration, first, step int) {
	conn, number := d.plan.publisher(first)
	p := d.peers[conn]
	if p == nil {
		d.refuse("a connection that is to publish never opened")
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var buf []byte
	for k := first; k < d.plan.messages(); k += step {
		due := start + d.plan.due(k)
		timer.Reset(due - d.now())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := d.now()
		d.count(p.room, due, now)
		if now-due < timerGrain {
			due = now
		}
		var err error
		if buf = p.publication(buf[:0], number, due); len(buf) > 0 {
			err = p.write(buf)
		} else {
			err = d.post(ctx, p, number, due)
		}
		if err != nil {
			d.refuse("a message was not published: " + err.Error())
		}
	}
}

// post publishes over HTTP, for clients that only listen.
func (d *driver) post(ctx context.Context, p *peer, number int, due time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	payload := appendPayload(nil, stamp{number, p.sent, due}, d.plan.Size)
	to := d.url.JoinPath("publish", d.plan.channel(p.room)).String()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	if key := d.plan.Target.APIKey; key != "" {
		req.Header.Set("X-API-Key", key)
	}
	if token := d.plan.Target.Token; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", resp.Status, firstLine(body))
	}
	return nil
}
