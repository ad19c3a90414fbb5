package subscribe

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/topology"
)

// subscribeBatch names go into one SUBSCRIBE: enough to be quick, few enough
// that Redis serves others in between.
const subscribeBatch = 500

// step is what reconcile does at once.
type step struct {
	join, leave []*name
	readings    []*reading // of channels whose names are all asked for by then
	left        []string   // channels whose plain name is off and not wanted
}

// reconcile sends what is needed to make the connection as it is wanted.
func (c *connection) reconcile(ctx context.Context, conn rueidis.DedicatedClient) error {
	for {
		s := c.next()
		for _, ch := range s.left {
			c.plainLeft(ch)
		}
		if s.join == nil && s.leave == nil && s.left == nil {
			return nil
		}
		if err := c.join(ctx, conn, s.join, s.readings); err != nil {
			return err
		}
		if err := c.leave(ctx, conn, s.leave); err != nil {
			return err
		}
	}
}

// next takes what to do next.
func (c *connection) next() (s step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.dirty) > 0 && len(s.join) < subscribeBatch && len(s.leave) < subscribeBatch {
		n := c.dirty[0]
		c.dirty = c.dirty[1:]
		switch {
		case c.refused[n]: // later
		case n.want && n.state == off:
			n.state = asking
			s.join = append(s.join, n)
		case !n.want && n.state == on:
			n.state = leaving
			s.leave = append(s.leave, n)
		case !n.want && n.state == off:
			c.goneLocked(n)
			if n.plain && !n.moved {
				s.left = append(s.left, n.channel)
			}
		}
	}
	for _, n := range s.join {
		if ch := c.channels[n.channel]; ch != nil {
			s.readings = append(s.readings, ch.takeLocked()...)
		}
	}
	return s
}

// join subscribes and reads in one round trip. Redis does both in order, on one
// connection: what a reading does not see comes live (D3).
func (c *connection) join(ctx context.Context, conn rueidis.DedicatedClient, list []*name, readings []*reading) error {
	defer func() {
		for _, r := range readings {
			close(r.done)
		}
	}()
	patterns, single, sharded := kinds(list)
	good, err := c.joinAtOnce(ctx, conn, single, sharded, readings)
	if topology.Answered(err) || errors.Is(err, rueidis.ErrRESP2PubSubMixed) {
		good, err = false, c.send(ctx, conn, single, true)
	}
	for _, r := range readings {
		r.good = r.good && good
	}
	if err != nil {
		return err
	}
	return c.send(ctx, conn, patterns, true)
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

// joinAtOnce sends everything at once. A reading counts only if Redis took its
// channel's names. An error of Redis's own is about the single names.
func (c *connection) joinAtOnce(ctx context.Context, conn rueidis.DedicatedClient, single, sharded []*name, readings []*reading) (good bool, err error) {
	var cmds rueidis.Commands
	if len(single) > 0 {
		cmds = append(cmds, command(conn.B(), single, true))
	}
	before := len(cmds)
	for _, n := range sharded {
		cmds = append(cmds, conn.B().Ssubscribe().Channel(n.text).Build())
	}
	for _, r := range readings {
		cmds = append(cmds, c.Logs.Command(conn.B(), r.Reading))
	}
	if len(cmds) == 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, topology.CallTimeout)
	defer cancel()
	replies := conn.DoMulti(ctx, cmds...)
	refused, err := c.takeSharded(sharded, replies[before:])
	if err != nil {
		return false, err
	}
	for i, r := range readings {
		r.answer = &replies[before+len(sharded)+i]
		r.good = r.answer.Error() == nil && !refused[r.Channel]
	}
	if before > 0 {
		err = replies[0].Error()
	}
	return err == nil, err
}

// takeSharded looks at the answers to sharded names: a cluster answers each by
// itself. refused are the channels of those that are not on.
func (c *connection) takeSharded(sharded []*name, replies []rueidis.RedisResult) (refused map[string]bool, err error) {
	refused = map[string]bool{}
	for i, n := range sharded {
		err := replies[i].Error()
		if err == nil {
			continue
		}
		refused[n.channel] = true
		if topology.Elsewhere(err) {
			c.putAside(n)
		} else if !c.refuse(err, n) {
			return refused, err
		}
	}
	return refused, nil
}

// mayLeave answers nil when Redis would take an UNSUBSCRIBE and a PING. The
// client sends a PING behind each UNSUBSCRIBE, and panics when Redis refuses it:
// while a script keeps it busy, or while it cannot save to disk (MISCONF). It is
// asked right before: what may begin in between is not seen, and is rare.
func mayLeave(ctx context.Context, conn rueidis.DedicatedClient) error {
	ctx, cancel := context.WithTimeout(ctx, topology.CallTimeout)
	defer cancel()
	err := conn.Do(ctx, conn.B().Ping().Build()).Error()
	if topology.Answered(err) && strings.Contains(err.Error(), "'ping'") {
		return nil // the user may not use it: that the client knows
	}
	return err
}

// leave unsubscribes.
func (c *connection) leave(ctx context.Context, conn rueidis.DedicatedClient, list []*name) error {
	if len(list) == 0 {
		return nil
	}
	if err := mayLeave(ctx, conn); c.refuse(err, list...) {
		return nil
	} else if err != nil {
		return err
	}
	patterns, single, sharded := kinds(list)
	if err := c.send(ctx, conn, single, false); err != nil {
		return err
	}
	if err := c.send(ctx, conn, patterns, false); err != nil || len(sharded) == 0 {
		return err
	}
	var cmds rueidis.Commands
	for _, n := range sharded {
		cmds = append(cmds, conn.B().Sunsubscribe().Channel(n.text).Build())
	}
	ctx, cancel := context.WithTimeout(ctx, topology.CallTimeout)
	defer cancel()
	for i, reply := range conn.DoMulti(ctx, cmds...) {
		switch err := reply.Error(); {
		case err == nil:
		case topology.Elsewhere(err):
			c.wentOff(sharded[i].key) // its slot is gone from here, and so is the subscription
		case !c.refuse(err, sharded[i]):
			return err
		}
	}
	return nil
}

// send gives one command for names of one kind, but for sharded ones. Redis
// checks the names of a command together: when it refuses a name, each is asked
// for alone to find the one that it means.
func (c *connection) send(ctx context.Context, conn rueidis.DedicatedClient, list []*name, join bool) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, topology.CallTimeout)
	defer cancel()
	err := conn.Do(ctx, command(conn.B(), list, join)).Error()
	if err == nil || (len(list) == 1 || !topology.RefusesName(err)) && c.refuse(err, list...) {
		return nil
	}
	if !topology.Answered(err) {
		return err
	}
	cmds := make(rueidis.Commands, len(list))
	for i, n := range list {
		cmds[i] = command(conn.B(), []*name{n}, join)
	}
	for i, reply := range conn.DoMulti(ctx, cmds...) {
		if err := reply.Error(); err != nil && !c.refuse(err, list[i]) {
			return err
		}
	}
	return nil
}

// command is for names of one kind, but for sharded ones.
func command(b rueidis.Builder, list []*name, join bool) rueidis.Completed {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.text
	}
	switch pattern := list[0].pattern; {
	case join && pattern:
		return b.Psubscribe().Pattern(texts...).Build()
	case join:
		return b.Subscribe().Channel(texts...).Build()
	case pattern:
		return b.Punsubscribe().Pattern(texts...).Build()
	}
	return b.Unsubscribe().Channel(texts...).Build()
}
