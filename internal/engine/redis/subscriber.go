package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
)

const (
	// subscribeBatch names go into one SUBSCRIBE: enough to be quick, few
	// enough that Redis serves others in between.
	subscribeBatch = 500
	// Reconnects wait a random time up to a bound that doubles between these.
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
)

// subscriber keeps one Redis connection subscribed to the names that are
// wanted. What is wanted is the truth; run reconciles the connection to it,
// for ever, over any number of connections.
//
// Confirmations and messages come on the client's reader, which must never
// wait: its callbacks change memory and call the sink, nothing else.
type subscriber struct {
	e        *Engine
	m        *master
	patterns []pattern
	kick     chan struct{}
	cut      atomic.Pointer[func()] // ends the present connection

	mu       sync.Mutex // guards what follows
	channels map[string]*listening
	names    map[string]*name // by kind and Redis name
	dirty    []*name
	missing  int // names of a new connection that are not confirmed yet
	settled  chan struct{}
	whole    bool // the connection is there and all names are confirmed
	reason   error
	round    int     // counts connections
	strayed  []*name // refused because their slot is elsewhere, for now
}

// listening is one channel that Subscribe was called for.
type listening struct {
	live, plain *name // nil where a pattern covers the channel; plain also for reserved names
	covered     []*name
	ready       bool       // Subscribe succeeded once
	waiting     int        // Subscribe calls that wait
	readings    []*reading // to be sent behind the SUBSCRIBE of its names
}

// names are the channel's own.
func (l *listening) names() []*name {
	switch {
	case l.live == nil:
		return nil
	case l.plain == nil:
		return []*name{l.live}
	}
	return []*name{l.live, l.plain}
}

// name is one name to be subscribed to in Redis.
type name struct {
	text    string
	pattern bool
	channel string // "" for patterns and what nodes use themselves
	plain   bool
	sharded bool      // a cluster's kind of name, of one slot
	moved   bool      // its channel went to another master
	deaf    time.Time // until then a plain name takes nothing
	want    bool
	state   nameState
	due     bool          // counted in missing
	recheck bool          // was lost while wanted: tell the sink when it is back
	changed chan struct{} // closed at the next change of state; nil: nobody waits
	err     error         // why Redis refuses it
}

type nameState int

const (
	off nameState = iota
	asking
	on
	leaving
)

// pattern is a glob of ingest.channels and its two names.
type pattern struct {
	glob        string
	plain, live *name
}

// newSubscriber is of m. late says that others may have been subscribed for
// the same channels before.
func newSubscriber(m *master, late bool) *subscriber {
	e := m.e
	s := &subscriber{
		e: e, m: m, kick: make(chan struct{}, 1), channels: map[string]*listening{}, names: map[string]*name{},
		reason: fmt.Errorf("not connected yet"),
	}
	if late {
		s.round = 1
	}
	if e.cluster == nil { // else settle does it
		for _, text := range []string{e.keys.probe(e.node), e.keys.bus(""), e.keys.bus(e.node)} {
			s.addLocked(&name{text: text, want: true})
		}
	}
	for _, glob := range e.cfg.Ingest.Channels {
		g := redisGlob(glob)
		s.patterns = append(s.patterns, pattern{
			glob:  glob,
			live:  s.addLocked(&name{text: e.keys.live(g), pattern: true, want: true}),
			plain: s.addLocked(&name{text: g, pattern: true, want: true}),
		})
	}
	return s
}

// redisGlob is a glob that Redis understands and that matches at least as
// much: its ? is one byte, ours is one character.
func redisGlob(glob string) string {
	b := []byte(glob)
	for i := range b {
		if b[i] == '?' {
			b[i] = '*'
		}
	}
	return string(b)
}

// covering returns the first pattern that matches the channel: the only one
// whose messages count, since Redis delivers once per matching pattern.
func (s *subscriber) covering(ch string) *pattern {
	for i := range s.patterns {
		if channel.Match(s.patterns[i].glob, ch) {
			return &s.patterns[i]
		}
	}
	return nil
}

func nameKey(text string, pattern bool) string {
	if pattern {
		return "p" + text
	}
	return "s" + text
}

func (s *subscriber) addLocked(n *name) *name {
	key := nameKey(n.text, n.pattern)
	if old := s.names[key]; old != nil {
		return old
	}
	s.names[key] = n
	s.touchLocked(n)
	return n
}

// touchLocked lets run look at a name again.
func (s *subscriber) touchLocked(n *name) {
	s.dirty = append(s.dirty, n)
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// state tells whether all names are confirmed on a living connection.
func (s *subscriber) state() (whole bool, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole, s.reason
}

// reconnect ends the present connection, because it is silent.
func (s *subscriber) reconnect() {
	if cut := s.cut.Load(); cut != nil {
		(*cut)()
	}
}

// run keeps a connection until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	backoff := backoffMin
	for ctx.Err() == nil {
		begun := time.Now()
		err := s.serve(ctx)
		s.lost(err, ctx.Err() == nil)
		if time.Since(begun) > backoffMax {
			backoff = backoffMin
		}
		pause := time.NewTimer(rand.N(backoff)) // full jitter: nodes must not come back in step
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		backoff = min(2*backoff, backoffMax)
	}
}

// serve runs one connection until it ends.
func (s *subscriber) serve(ctx context.Context) error {
	conn, release := s.m.client.Dedicate()
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.cut.Store((*func())(&cancel))
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: s.receive, OnSubscription: s.confirmed})
	defer func() {
		conn.Close()
		for range ended { // after this no callback of this connection comes
		}
	}()
	settled, again := s.begin()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the subscriber connection was silent")
		case err := <-ended:
			if err == nil {
				err = fmt.Errorf("the subscriber connection ended")
			}
			return err
		case <-settled:
			settled = nil
			s.caughtUp(again)
		case <-s.kick:
			if err := s.reconcile(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// isHome tells whether the channel lies on this master.
func (s *subscriber) isHome(ch string) bool { return s.e.cluster == nil || s.e.home(ch) == s.m }

// heard are the channels that the sink listens to here. The sink has locks of
// its own: not to be called under ours.
func (s *subscriber) heard() (list []string) {
	for ch := range s.e.sink.Channels() {
		if s.isHome(ch) {
			list = append(list, ch)
		}
	}
	return list
}

// recheckAll has all channels of this master compared.
func (s *subscriber) recheckAll() {
	if s.e.cluster == nil {
		s.e.sink.Recheck()
		return
	}
	if list := s.heard(); len(list) > 0 {
		s.e.sink.Recheck(list...)
	}
}

// begin forgets what another connection had and marks everything that is
// wanted. again says that this is not the first connection.
func (s *subscriber) begin() (settled chan struct{}, again bool) {
	heard := s.heard()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range heard {
		s.wantLocked(ch).ready = true
	}
	s.round++
	s.dirty = s.dirty[:0]
	s.missing = 0
	for _, n := range s.names {
		n.state, n.err, n.due = off, nil, n.want
		if n.want {
			s.missing++
		}
		s.dirty = append(s.dirty, n) // what is not wanted is forgotten there
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
	s.settled = make(chan struct{})
	return s.settled, s.round > 1
}

// caughtUp runs once per connection, when all its names are confirmed.
func (s *subscriber) caughtUp(again bool) {
	s.mu.Lock()
	s.whole, s.reason = true, nil
	s.mu.Unlock()
	s.m.probe.connected()
	if again {
		s.e.cfg.Log.Info("subscribed again", "redis", s.m.addr)
		s.recheckAll()
		s.e.askFunction()
	}
}

// lost runs when a connection has ended; wanted says that it should not have.
func (s *subscriber) lost(err error, wanted bool) {
	s.mu.Lock()
	was := s.whole
	s.whole, s.reason = false, err
	for _, n := range s.names {
		n.state = off
		n.tellLocked()
	}
	s.mu.Unlock()
	s.e.plain.cut(s.isHome)
	if was && wanted {
		s.e.cfg.Log.Warn("lost the subscriber connection", "redis", s.m.addr, "error", err)
		call(s.e.cfg.Metrics.SubscriberLost)
	}
}
