package centrifuge

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/node"
	"magpie/internal/session"
)

// connect answers the first command: who the client is, and what the server
// subscribes it to by itself.
func (c *conn) connect(ctx context.Context, id uint32, req *protocol.ConnectRequest) error {
	who, err := c.door.Access.Auth.Identify(ctx, cmp.Or(req.Token, c.token))
	if err = c.guessed(err); fault.KindOf(err) == fault.TooMany {
		c.closeWith(closeTooMany)
		return nil
	}
	if err == nil {
		err = c.door.Node.Identify(&c.Session, who)
	}
	switch fault.KindOf(err) {
	case "":
	case fault.TokenExpired, fault.Unavailable, fault.TooMany:
		return err // it may try again on this connection
	default:
		c.closeWith(tokenRefused(err))
		return nil
	}
	c.token = ""
	started, err := c.serverSide(ctx, who, req.Subs)
	if err != nil {
		return c.connectFailed(err)
	}
	c.startClock(who)
	c.sendMissed(started, &protocol.Reply{Id: id, Connect: c.connectResult(who, started)})
	for _, s := range started {
		s.start()
	}
	return nil
}

// guessed is Book.Guessed of this connection.
func (c *conn) guessed(err error) error {
	if err == nil {
		return nil
	}
	return c.door.Access.Addresses.Guessed(c.door.Node.From(&c.Session), err)
}

// connectFailed ends the connection, or says that it can be tried again.
func (c *conn) connectFailed(err error) error {
	_ = c.door.Node.Identify(&c.Session, auth.Identity{Kind: auth.Guest}) // nobody is not limited
	a := errorReplyFor(err)
	switch {
	case errors.Is(err, session.ErrClosed):
		return nil
	case fault.KindOf(err) == fault.Shutdown:
		c.closeWith(closeShutdown)
	case a == errLimit:
		c.closeWith(closeChannels)
	case a.temporary:
		return a
	default:
		c.closeWith(closeForbidden)
	}
	return nil
}

// startClock starts the pings and the clock of the token.
func (c *conn) startClock(who auth.Identity) {
	// The first ping comes somewhere in the last quarter of the interval, so
	// that clients that come at once are not pinged at once for ever.
	first := c.door.Ping - rand.N(c.door.Ping/4+1)
	c.mu.Lock()
	c.connected = true
	c.due.ping = time.Now().Add(first).UnixNano()
	c.setEndLocked(who.Expires)
	c.mu.Unlock()
	c.wake()
}

// setEndLocked notes when the session's token ends; zero is never.
func (c *conn) setEndLocked(at time.Time) { c.due.end = end(at, c.door.Grace) }

func (c *conn) connectResult(who auth.Identity, started []*started) *protocol.ConnectResult {
	result := &protocol.ConnectResult{
		Client: c.ID(), Version: c.door.Version, Pong: true,
		Ping: uint32((c.door.Ping + time.Second - 1) / time.Second),
	}
	result.Expires, result.Ttl = lifetime(who.Expires)
	if c.emulated != nil {
		result.Session, result.Node = c.emulated.secret, c.door.nodeID()
	}
	if len(started) > 0 {
		result.Subs = make(map[string]*protocol.SubscribeResult, len(started))
		for _, s := range started {
			result.Subs[s.sub.name] = s.result()
		}
	}
	return result
}

// serverSide makes the subscriptions that the token, or the personal channel,
// asks for. The client may ask to recover those that it had.
func (c *conn) serverSide(ctx context.Context, who auth.Identity, had map[string]*protocol.SubscribeRequest) ([]*started, error) {
	var all []*started
	for _, name := range c.serverChannels(who) {
		o := who.Subs[name]
		t := terms{info: o.Info, data: o.Data, override: o.Override, origin: byServer}
		if r := had[name]; r != nil {
			t.delta, t.since = r.Delta == "fossil", position(r)
		}
		s, err := c.join(ctx, name, t)
		if err != nil {
			for _, s := range all {
				c.drop(s.sub)
			}
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// serverChannels are the channels of a token and the user's own, each once.
// Those in which the rules let nobody be are left out.
func (c *conn) serverChannels(who auth.Identity) []string {
	own := ""
	if c.door.Personal {
		own = c.door.Access.Auth.Personal(who)
	}
	names := slices.Concat(who.Channels, slices.Sorted(maps.Keys(who.Subs)))
	if own != "" {
		names = append(names, own)
	}
	var list []string
	for _, name := range names {
		if !slices.Contains(list, name) && (name == own || c.door.Gate.MaySubscribe(node.CallerActor(who), name, false) == nil) {
			list = append(list, name)
		}
	}
	return list
}

// refresh takes a new token for the session's user.
func (c *conn) refresh(ctx context.Context, id uint32, req *protocol.RefreshRequest) error {
	if req.Token == "" {
		return errBadRequest
	}
	who, err := c.door.Access.Auth.Identify(ctx, req.Token)
	if err = c.guessed(err); fault.KindOf(err) == fault.TooMany {
		c.closeWith(closeTooMany)
		return nil
	}
	if err == nil && who.User == c.Who().User {
		err = c.door.Node.Identify(&c.Session, who)
	}
	switch {
	case fault.KindOf(err) == fault.TokenExpired:
		c.closeWith(closeExpired) // a client stops for good at any error; from this it comes back with a new token
		return nil
	case fault.KindOf(err) == fault.Unavailable:
		return errInternal
	case err != nil:
		c.closeWith(tokenRefused(err))
		return nil
	case who.User != c.Who().User:
		c.closeWith(closeToken)
		return nil
	}
	c.endUngranted(who)
	c.mu.Lock()
	c.setEndLocked(who.Expires)
	c.mu.Unlock()
	c.wake()
	result := &protocol.RefreshResult{Client: c.ID(), Version: c.door.Version}
	result.Expires, result.Ttl = lifetime(who.Expires)
	c.reply(&protocol.Reply{Id: id, Refresh: result})
	return nil
}

// tokenRefused is closeToken with the reason behind it, as far as a close frame
// holds it: "invalid token" alone helps nobody who forgot exp.
func tokenRefused(err error) closeMessage {
	m, text := closeToken, fault.Of(err).Sentence()
	if fault.KindOf(err) == fault.Forbidden { // the token is good, and its user kept away
		m = closeKicked
	} else {
		text = m.text + ": " + text
	}
	m.text = strings.ToValidUTF8(text[:min(len(text), maxCloseText)], "") // cut between two characters
	return m
}

// endUngranted ends the subscriptions that a session would not get any more with
// its new token. Those with a token of their own end with that.
func (c *conn) endUngranted(who auth.Identity) {
	c.mu.Lock()
	all := slices.Clone(c.subs.list)
	c.mu.Unlock()
	byServerNow := c.serverChannels(who)
	for _, s := range all {
		granted := s.has(byToken)
		switch {
		case granted:
		case s.has(byServer):
			granted = slices.Contains(byServerNow, s.name) || s.has(byOrder)
		default:
			granted = c.door.Gate.MaySubscribe(node.ClientActor(&c.Session), s.name, false) == nil
		}
		if !granted {
			c.end(s, unsubscribeServer)
		}
	}
}
