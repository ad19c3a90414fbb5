package redis

import (
	"context"

	"github.com/redis/rueidis"
)

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
