package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
)

// Subscribe implements engine.Engine. Both names of a channel, the live and
// the plain one, are confirmed by Redis before it returns nil. While the
// connection is down it waits until ctx ends.
func (e *Engine) Subscribe(ctx context.Context, ch string, q engine.Query) (engine.Page, error) {
	if e.closed.Load() {
		return engine.Page{}, fmt.Errorf("subscribe %q: %w", ch, engine.ErrClosed)
	}
	if err := channel.Check(ch); err != nil {
		return engine.Page{}, fmt.Errorf("subscribe: %w", err)
	}
	page, err := e.subscribe(ctx, ch, q)
	if err != nil {
		return engine.Page{}, fmt.Errorf("subscribe %q: %w", ch, err)
	}
	return page, nil
}

// subscribe asks the channel's master; in a cluster that may change meanwhile.
func (e *Engine) subscribe(ctx context.Context, ch string, q engine.Query) (engine.Page, error) {
	for {
		if m := e.home(ch); m != nil {
			page, err := m.subscriber.subscribe(ctx, ch, q)
			if !errors.Is(err, errMoved) {
				return page, err
			}
		}
		pause := time.NewTimer(settle)
		select {
		case <-pause.C:
		case <-e.life.Done():
			pause.Stop()
			return engine.Page{}, engine.ErrClosed
		case <-ctx.Done():
			pause.Stop()
			return engine.Page{}, engine.Unavailable("the cluster at %s has no master for this channel (%w)", e.addr, ctx.Err())
		}
	}
}

func (s *subscriber) subscribe(ctx context.Context, ch string, q engine.Query) (page engine.Page, err error) {
	r := s.e.newReading(ch, q)
	l, names := s.want(ch, r)
	for _, n := range names {
		if err = s.await(ctx, n); err != nil {
			break
		}
	}
	if err == nil && r != nil {
		page, err = s.readBehind(ctx, l, r)
	}
	s.gaveUp(ch, l, r, err == nil)
	return page, err
}

// want makes the channel wanted and returns the names to wait for.
func (s *subscriber) want(ch string, r *reading) (*listening, []*name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.wantLocked(ch)
	l.waiting++
	if r != nil && l.joinsLocked() {
		l.readings = append(l.readings, r)
	}
	if l.covered != nil {
		return l, l.covered
	}
	return l, l.names()
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
	l.live = s.wantNameLocked(&name{text: s.e.keys.live(ch), channel: ch, sharded: s.e.cluster != nil})
	if s.e.keys.reserved(ch) {
		return l
	}
	l.plain = s.wantNameLocked(&name{text: ch, channel: ch, plain: true})
	return l
}

func (s *subscriber) wantNameLocked(n *name) *name {
	n = s.addLocked(n)
	if !n.want {
		n.want, n.moved, n.err = true, false, nil
		s.touchLocked(n)
	}
	return n
}

// gaveUp ends one wait. A channel that nobody ever got is let go of.
func (s *subscriber) gaveUp(ch string, l *listening, r *reading, ready bool) {
	s.mu.Lock()
	l.withdrawLocked(r)
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
			if n.err == errMoved {
				return errMoved
			}
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
			return engine.Unavailable("Redis at %s: %w (%w)", s.m.addr, why, ctx.Err())
		}
	}
}

// Unsubscribe implements engine.Engine.
func (e *Engine) Unsubscribe(ch string) {
	for _, m := range e.masters() {
		m.subscriber.unsubscribe(ch)
	}
}

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
