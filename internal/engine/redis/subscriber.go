package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/internal/engine"
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
	round    int // counts connections
}

// listening is one channel that Subscribe was called for.
type listening struct {
	live, plain *name // nil where a pattern covers the channel; plain also for reserved names
	covered     []*name
	ready       bool // Subscribe succeeded once
	waiting     int  // Subscribe calls that wait
}

// name is one name to be subscribed to in Redis.
type name struct {
	text    string
	pattern bool
	channel string // "" for patterns and what nodes use themselves
	plain   bool
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

func newSubscriber(e *Engine) *subscriber {
	s := &subscriber{
		e: e, kick: make(chan struct{}, 1), channels: map[string]*listening{}, names: map[string]*name{},
		reason: fmt.Errorf("not connected yet"),
	}
	for _, text := range []string{e.keys.probe(e.node), e.keys.bus(""), e.keys.bus(e.node)} {
		s.addLocked(&name{text: text, want: true})
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

// Subscribe implements engine.Engine. Both names of a channel, the live and
// the plain one, are confirmed by Redis before it returns nil. While the
// connection is down it waits until ctx ends.
func (e *Engine) Subscribe(ctx context.Context, ch string) error {
	if e.closed.Load() {
		return fmt.Errorf("subscribe %q: %w", ch, engine.ErrClosed)
	}
	if err := channel.Check(ch); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := e.subscriber.subscribe(ctx, ch); err != nil {
		return fmt.Errorf("subscribe %q: %w", ch, err)
	}
	return nil
}

func (s *subscriber) subscribe(ctx context.Context, ch string) error {
	l, names := s.want(ch)
	for _, n := range names {
		if err := s.await(ctx, n); err != nil {
			s.gaveUp(ch, l, false)
			return err
		}
	}
	s.gaveUp(ch, l, true)
	return nil
}

// want makes the channel wanted and returns the names to wait for.
func (s *subscriber) want(ch string) (*listening, []*name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.wantLocked(ch)
	l.waiting++
	if l.covered != nil {
		return l, l.covered
	}
	if l.plain == nil {
		return l, []*name{l.live}
	}
	return l, []*name{l.live, l.plain}
}

func (s *subscriber) wantLocked(ch string) *listening {
	l := s.channels[ch]
	if l == nil {
		l = &listening{}
		s.channels[ch] = l
	}
	if p := s.covering(ch); p != nil && !s.e.keys.reserved(ch) {
		l.covered = []*name{p.live, p.plain}
		return l
	}
	l.live = s.wantNameLocked(&name{text: s.e.keys.live(ch), channel: ch})
	if s.e.keys.reserved(ch) {
		return l
	}
	l.plain = s.wantNameLocked(&name{text: ch, channel: ch, plain: true})
	return l
}

func (s *subscriber) wantNameLocked(n *name) *name {
	n = s.addLocked(n)
	if !n.want {
		n.want, n.err = true, nil
		s.touchLocked(n)
	}
	return n
}

// gaveUp ends one wait. A channel that nobody ever got is let go of.
func (s *subscriber) gaveUp(ch string, l *listening, ready bool) {
	s.mu.Lock()
	l.waiting--
	l.ready = l.ready || ready
	drop := l.waiting == 0 && !l.ready && s.channels[ch] == l
	s.mu.Unlock()
	if drop {
		s.unsubscribe(ch)
	}
}

// await returns when the name is on, refused, or ctx ends.
func (s *subscriber) await(ctx context.Context, n *name) error {
	for {
		s.mu.Lock()
		if n.state == on && n.want {
			s.mu.Unlock()
			return nil
		}
		if n.err != nil {
			s.mu.Unlock()
			return s.e.failure(n.err)
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed, why := n.changed, s.reason
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.e.life.Done():
			return engine.ErrClosed
		case <-ctx.Done():
			if why == nil {
				why = fmt.Errorf("no confirmation yet")
			}
			return fmt.Errorf("%w: Redis at %s: %w (%w)", engine.ErrUnavailable, s.e.addr, why, ctx.Err())
		}
	}
}

// Unsubscribe implements engine.Engine.
func (e *Engine) Unsubscribe(ch string) { e.subscriber.unsubscribe(ch) }

// unsubscribe lets go of the plain name first. The live name follows when
// what was received under the plain one is in the log (released).
func (s *subscriber) unsubscribe(ch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.channels[ch]
	if l == nil {
		return
	}
	delete(s.channels, ch)
	first := l.plain
	if first == nil {
		first = l.live
	}
	if first != nil && first.want {
		first.want = false
		s.touchLocked(first)
	}
}

// released lets go of the live name, unless the channel is wanted again.
func (s *subscriber) released(ch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels[ch] != nil {
		return
	}
	if n := s.names[nameKey(s.e.keys.live(ch), false)]; n != nil && n.want {
		n.want = false
		s.touchLocked(n)
	}
}

// listens tells whether Subscribe holds for the channel.
func (s *subscriber) listens(ch string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels[ch] != nil
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
		s.lost(err)
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
	conn, release := s.e.client.Dedicate()
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.cut.Store((*func())(&cancel))
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: s.e.receive, OnSubscription: s.confirmed})
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

// begin forgets what another connection had and marks everything that is
// wanted. again says that this is not the first connection.
func (s *subscriber) begin() (settled chan struct{}, again bool) {
	heard := slices.Collect(s.e.sink.Channels()) // before our lock: the sink has its own
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
	s.e.probe.connected()
	if again {
		s.e.cfg.Log.Info("subscribed again", "redis", s.e.addr)
		s.e.sink.Recheck()
		s.e.askFunction()
	}
}

// lost runs when a connection has ended.
func (s *subscriber) lost(err error) {
	s.mu.Lock()
	was := s.whole
	s.whole, s.reason = false, err
	for _, n := range s.names {
		n.state = off
		n.tellLocked()
	}
	s.mu.Unlock()
	s.e.plain.cut()
	if was && s.e.life.Err() == nil {
		s.e.cfg.Log.Warn("lost the subscriber connection", "redis", s.e.addr, "error", err)
		call(s.e.cfg.Metrics.SubscriberLost)
	}
}

// reconcile sends what is needed to make the connection as it is wanted.
func (s *subscriber) reconcile(ctx context.Context, conn rueidis.DedicatedClient) error {
	for {
		join, leave, left := s.batch()
		for _, ch := range left {
			s.leftPlain(ch)
		}
		if join == nil && leave == nil && left == nil {
			return nil
		}
		if err := s.send(ctx, conn, join, true); err != nil {
			return err
		}
		if err := s.send(ctx, conn, leave, false); err != nil {
			return err
		}
	}
}

// batch takes the next names to subscribe to and to leave, and the channels
// whose plain name is off and not wanted.
func (s *subscriber) batch() (join, leave []*name, left []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dirty) > 0 && len(join) < subscribeBatch && len(leave) < subscribeBatch {
		n := s.dirty[0]
		s.dirty = s.dirty[1:]
		switch {
		case n.want && n.state == off && n.err == nil:
			n.state = asking
			join = append(join, n)
		case !n.want && n.state == on:
			n.state = leaving
			leave = append(leave, n)
		case !n.want && n.state == off:
			s.goneLocked(n)
			if n.plain {
				left = append(left, n.channel)
			}
		}
	}
	return join, leave, left
}

// send gives one command per kind. Redis checks the names of a command
// together: when it refuses, each is asked for alone to find the culprit.
func (s *subscriber) send(ctx context.Context, conn rueidis.DedicatedClient, list []*name, join bool) error {
	for _, pattern := range []bool{false, true} {
		var names []*name
		for _, n := range list {
			if n.pattern == pattern {
				names = append(names, n)
			}
		}
		err := s.sendOne(ctx, conn, names, pattern, join)
		if _, refused := rueidis.IsRedisErr(err); refused && len(names) > 1 {
			for _, n := range names {
				if err = s.sendOne(ctx, conn, []*name{n}, pattern, join); err != nil && !s.refused(n, err) {
					return err
				}
			}
			continue
		}
		if err != nil && (len(names) != 1 || !s.refused(names[0], err)) {
			return err
		}
	}
	return nil
}

func (s *subscriber) sendOne(ctx context.Context, conn rueidis.DedicatedClient, list []*name, pattern, join bool) error {
	if len(list) == 0 {
		return nil
	}
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.text
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b := conn.B()
	switch {
	case join && pattern:
		return conn.Do(ctx, b.Psubscribe().Pattern(texts...).Build()).Error()
	case join:
		return conn.Do(ctx, b.Subscribe().Channel(texts...).Build()).Error()
	case pattern:
		return conn.Do(ctx, b.Punsubscribe().Pattern(texts...).Build()).Error()
	}
	return conn.Do(ctx, b.Unsubscribe().Channel(texts...).Build()).Error()
}

// refused notes that Redis does not allow a name. Only an answer of Redis
// counts; a broken connection is asked for again.
func (s *subscriber) refused(n *name, err error) bool {
	if _, ok := rueidis.IsRedisErr(err); !ok {
		return false
	}
	s.e.cfg.Log.Error("Redis refuses a subscription", "name", n.text, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.state == asking {
		n.state, n.err = off, err
		n.tellLocked()
		s.oneLessLocked(n)
	}
	return true
}

func (n *name) tellLocked() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// oneLessLocked counts down the names that a new connection still lacks.
func (s *subscriber) oneLessLocked(n *name) {
	if !n.due {
		return
	}
	n.due = false
	if s.missing--; s.missing == 0 {
		close(s.settled)
	}
}

// goneLocked forgets a name that is neither wanted nor subscribed to.
func (s *subscriber) goneLocked(n *name) {
	s.oneLessLocked(n)
	if s.names[nameKey(n.text, n.pattern)] == n {
		delete(s.names, nameKey(n.text, n.pattern))
	}
}

// confirmed runs on the client's reader.
func (s *subscriber) confirmed(c rueidis.PubSubSubscription) {
	switch c.Kind {
	case "subscribe", "psubscribe":
		s.cameOn(nameKey(c.Channel, c.Kind == "psubscribe"))
	case "unsubscribe", "punsubscribe":
		s.wentOff(nameKey(c.Channel, c.Kind == "punsubscribe"))
	}
}

func (s *subscriber) cameOn(key string) {
	s.mu.Lock()
	n := s.names[key]
	if n == nil || n.state == on {
		s.mu.Unlock()
		return
	}
	n.state = on
	n.tellLocked()
	s.oneLessLocked(n)
	if !n.want {
		s.touchLocked(n)
	}
	recheck := n.recheck && s.missing == 0
	n.recheck = false
	s.mu.Unlock()
	if recheck {
		s.e.sink.Recheck(recheckList(n.channel)...)
	}
}

func recheckList(ch string) []string {
	if ch == "" {
		return nil // not of one channel: all
	}
	return []string{ch}
}

// wentOff handles the end we asked for and the one that came unasked.
func (s *subscriber) wentOff(key string) {
	s.mu.Lock()
	n := s.names[key]
	if n == nil || n.state == off || n.state == asking {
		s.mu.Unlock()
		return
	}
	n.recheck = n.recheck || n.state == on && n.want
	n.state = off
	n.tellLocked()
	if n.want {
		s.touchLocked(n)
	} else {
		s.goneLocked(n)
	}
	left := n.plain && !n.want
	s.mu.Unlock()
	if left {
		s.leftPlain(n.channel)
	}
}

// leftPlain follows the end of a channel's plain name.
func (s *subscriber) leftPlain(ch string) {
	if !s.e.plain.leave(ch) {
		s.released(ch)
	}
}

// leaveAll unsubscribes from all plain names and waits for the confirmations.
func (s *subscriber) leaveAll(ctx context.Context) {
	s.mu.Lock()
	var plain []*name
	for _, n := range s.names {
		if n.plain || n.pattern && !isLive(n.text) {
			n.want = false
			s.touchLocked(n)
			plain = append(plain, n)
		}
	}
	whole := s.whole
	s.mu.Unlock()
	if !whole {
		return
	}
	for _, n := range plain {
		s.awaitOff(ctx, n)
	}
}

func isLive(text string) bool { return strings.HasSuffix(text, "}:live") }

func (s *subscriber) awaitOff(ctx context.Context, n *name) {
	for {
		s.mu.Lock()
		if n.state == off || !s.whole {
			s.mu.Unlock()
			return
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed := n.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
