package redis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"
)

// round is what one step of reconcile does.
type round struct {
	join, leave []*name
	readings    []*reading // of channels whose names are all asked for by then
	left        []string   // channels whose plain name is off and not wanted
}

func (r *round) empty() bool { return r.join == nil && r.leave == nil && r.left == nil }

// reconcile sends what is needed to make the connection as it is wanted.
func (s *subscriber) reconcile(ctx context.Context, conn rueidis.DedicatedClient) error {
	for {
		r := s.batch()
		for _, ch := range r.left {
			s.leftPlain(ch)
		}
		if r.empty() {
			return nil
		}
		if err := s.sendJoin(ctx, conn, r.join, r.readings); err != nil {
			return err
		}
		if err := s.sendLeave(ctx, conn, r.leave); err != nil {
			return err
		}
	}
}

// batch takes what to do next.
func (s *subscriber) batch() (r round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dirty) > 0 && len(r.join) < subscribeBatch && len(r.leave) < subscribeBatch {
		n := s.dirty[0]
		s.dirty = s.dirty[1:]
		switch {
		case n.want && n.state == off && n.err == nil:
			n.state = asking
			r.join = append(r.join, n)
		case !n.want && n.state == on:
			n.state = leaving
			r.leave = append(r.leave, n)
		case !n.want && n.state == off:
			s.goneLocked(n)
			if n.plain && !n.moved {
				r.left = append(r.left, n.channel)
			}
		}
	}
	for _, n := range r.join {
		if l := s.channels[n.channel]; l != nil {
			r.readings = append(r.readings, l.takeLocked()...)
		}
	}
	return r
}

// sendJoin subscribes and reads in one round trip. Redis does both in order,
// on one connection: what a reading does not see comes live (D3).
func (s *subscriber) sendJoin(ctx context.Context, conn rueidis.DedicatedClient, list []*name, readings []*reading) error {
	defer settleAll(readings)
	patterns, single, sharded := kinds(list)
	good, err := s.sendAll(ctx, conn, single, sharded, readings)
	if _, refused := rueidis.IsRedisErr(err); refused || errors.Is(err, rueidis.ErrRESP2PubSubMixed) {
		good, err = false, s.send(ctx, conn, single, true)
	}
	for _, r := range readings {
		r.good = r.good && good
	}
	if err != nil {
		return err
	}
	return s.send(ctx, conn, patterns, true)
}

// kinds sorts names by the command that is theirs.
func kinds(list []*name) (patterns, single, sharded []*name) {
	for _, n := range list {
		switch {
		case n.pattern:
			patterns = append(patterns, n)
		case n.sharded:
			sharded = append(sharded, n)
		default:
			single = append(single, n)
		}
	}
	return patterns, single, sharded
}

// sendAll sends everything at once. A reading counts only if Redis took its
// channel's names. An error of Redis's own is about the single names.
func (s *subscriber) sendAll(ctx context.Context, conn rueidis.DedicatedClient, single, sharded []*name, readings []*reading) (good bool, err error) {
	var cmds rueidis.Commands
	if len(single) > 0 {
		cmds = append(cmds, subscription(conn.B(), single, false, true))
	}
	before := len(cmds)
	for _, n := range sharded {
		cmds = append(cmds, conn.B().Ssubscribe().Channel(n.text).Build())
	}
	for _, r := range readings {
		names, args := s.e.readCall(r.channel, r.ask)
		cmds = append(cmds, s.e.script(readScript).call(conn.B(), names, args...))
	}
	if len(cmds) == 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	replies := conn.DoMulti(ctx, cmds...)
	refused, err := s.takeSharded(sharded, replies[before:])
	if err != nil {
		return false, err
	}
	for i, r := range readings {
		r.reply = replies[before+len(sharded)+i]
		r.good = r.reply.Error() == nil && !refused[r.channel]
	}
	if before > 0 {
		err = replies[0].Error()
	}
	return err == nil, err
}

// takeSharded looks at the answers to sharded names: a cluster answers each by
// itself. refused are the channels of those that are not on.
func (s *subscriber) takeSharded(sharded []*name, replies []rueidis.RedisResult) (refused map[string]bool, err error) {
	refused = map[string]bool{}
	for i, n := range sharded {
		err := replies[i].Error()
		if err == nil {
			continue
		}
		refused[n.channel] = true
		if isElsewhere(err) {
			s.stray(n)
		} else if !s.refused(n, err) {
			return refused, err
		}
	}
	return refused, nil
}

// send gives one command per kind, but for sharded names. Redis checks the names
// of a command together: when it refuses, each is asked for alone to find the
// culprit.
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

// sendLeave unsubscribes.
func (s *subscriber) sendLeave(ctx context.Context, conn rueidis.DedicatedClient, list []*name) error {
	patterns, single, sharded := kinds(list)
	if err := s.send(ctx, conn, append(single, patterns...), false); err != nil || len(sharded) == 0 {
		return err
	}
	var cmds rueidis.Commands
	for _, n := range sharded {
		cmds = append(cmds, conn.B().Sunsubscribe().Channel(n.text).Build())
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for i, reply := range conn.DoMulti(ctx, cmds...) {
		err := reply.Error()
		if _, answered := rueidis.IsRedisErr(err); answered {
			s.wentOff(nameKey(sharded[i].text, false)) // its slot is gone from here, and so is the subscription
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) sendOne(ctx context.Context, conn rueidis.DedicatedClient, list []*name, pattern, join bool) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return conn.Do(ctx, subscription(conn.B(), list, pattern, join)).Error()
}

func subscription(b rueidis.Builder, list []*name, pattern, join bool) rueidis.Completed {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.text
	}
	switch {
	case join && pattern:
		return b.Psubscribe().Pattern(texts...).Build()
	case join:
		return b.Subscribe().Channel(texts...).Build()
	case pattern:
		return b.Punsubscribe().Pattern(texts...).Build()
	}
	return b.Unsubscribe().Channel(texts...).Build()
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
	case "subscribe", "psubscribe", "ssubscribe":
		s.cameOn(nameKey(c.Channel, c.Kind == "psubscribe"))
	case "unsubscribe", "punsubscribe", "sunsubscribe":
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
	recheck := n.recheck && (s.missing == 0 || s.round <= 1) // else caughtUp rechecks all
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
	left := n.plain && !n.want && !n.moved
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
