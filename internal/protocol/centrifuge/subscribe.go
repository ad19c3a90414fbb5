package centrifuge

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/protocol/centrifuge/tagfilter"
	"magpie/internal/session"
)

// terms are how a subscription is to be made.
type terms struct {
	info, data []byte
	expires    time.Time
	proof      *auth.Proof // of the subscription token
	override   auth.Override
	origin     uint8 // of byServer, byToken, byOrder: who asked for it, and with what

	// What the client asks for; the rule may give more.
	positioned, recoverable, joinLeave, delta bool
	filter                                    *tagfilter.Filter
	since                                     *message.Position
}

// flagReject asks for an error instead of a subscription that lost something
// (SubscribeRequest.flag).
const flagReject = 1 << 1

// subscribe answers a client's subscribe: what it missed comes with the
// answer, all that follows behind it (D2, D3).
func (c *conn) subscribe(ctx context.Context, id uint32, req *protocol.SubscribeRequest) error {
	t, err := c.terms(ctx, req)
	if err != nil {
		return err
	}
	s, err := c.join(ctx, req.Channel, t)
	switch {
	case errors.Is(err, session.ErrClosed):
		return nil
	case err != nil:
		return err
	case s.joined.Gap != nil && req.Flag&flagReject != 0:
		c.drop(s.sub)
		return errUnrecoverable
	}
	c.sendMissed([]*started{s}, &protocol.Reply{Id: id, Subscribe: s.result()})
	s.start()
	return nil
}

// terms checks what the client asks for, and that it may.
func (c *conn) terms(ctx context.Context, req *protocol.SubscribeRequest) (t terms, err error) {
	if channel.Check(req.Channel) != nil || req.Delta != "" && req.Delta != "fossil" {
		return t, errBadRequest
	}
	if req.Type != 0 {
		return t, errNotAvailable // subscriptions to maps and to shared polls
	}
	t = terms{positioned: req.Positioned, recoverable: req.Recoverable, joinLeave: req.JoinLeave, delta: req.Delta != "", since: position(req)}
	if req.Tf != nil {
		if t.filter, err = tagfilter.Compile(req.Tf); err != nil {
			return t, errBadRequest
		}
	}
	if c.find(req.Channel) != nil {
		return t, errSubscribed
	}
	if t.since != nil && c.Waiting() > c.door.MaxBacklog {
		return t, errTooMany // it has to read first what it asked for before
	}
	return t, c.mayJoin(ctx, req, &t)
}

// mayJoin asks for permission: the subscription token's, else the rule's.
func (c *conn) mayJoin(ctx context.Context, req *protocol.SubscribeRequest, t *terms) error {
	who := c.Who()
	granted := req.Token != ""
	if granted {
		g, err := c.door.Access.Auth.Subscription(ctx, req.Token, who, req.Channel)
		if err = c.guessed(err); err != nil {
			return tokenErrorReply(err)
		}
		t.info, t.expires, t.proof, t.override, t.origin = g.Info, g.Expires, g.Proof, g.Override, byToken
	}
	return c.door.Gate.MaySubscribe(node.ClientActor(&c.Session), req.Channel, granted)
}

// tokenErrorReply is the answer to a subscription token that does not hold. The
// connection itself is fine, so that one that is broken, or somebody else's,
// costs only this channel.
func tokenErrorReply(err error) error {
	if k := fault.KindOf(err); k == fault.BadToken || k == fault.TokenNeeded || k == fault.Revoked {
		return errDenied
	}
	return err
}

// position is where the client wants to go on; nil when it does not.
func position(req *protocol.SubscribeRequest) *message.Position {
	if !req.Recover {
		return nil
	}
	if len(req.Epoch) > message.MaxEpoch {
		return &message.Position{Epoch: "-", Offset: req.Offset} // no epoch of ours, and not for the engine
	}
	return &message.Position{Epoch: strings.Clone(req.Epoch), Offset: req.Offset}
}

// started is a subscription that the client must still be told of.
type started struct {
	sub    *subscription
	terms  terms
	joined session.Joined
}

// join makes the subscription; nothing is sent before start.
func (c *conn) join(ctx context.Context, name string, t terms) (*started, error) {
	s := c.newSubscription(c.door.Gate.Intern(name), &t)
	if !c.add(s) {
		return nil, errSubscribed
	}
	if c.revoked(t.proof) {
		c.drop(s)
		return nil, errDenied
	}
	return c.make(ctx, s, t)
}

// make is join for a subscription that was taken in by add. When it fails the
// subscription is out again.
func (c *conn) make(ctx context.Context, s *subscription, t terms) (*started, error) {
	var to hub.Subscriber = s
	if !override(t.override.Presence, true) {
		to = withoutPresence{s}
	}
	joined, err := c.Join(ctx, s.name, to, t.since)
	if err != nil {
		c.drop(s)
		return nil, err
	}
	c.mu.Lock()
	s.joined = joined.Subscription
	c.mu.Unlock()
	if s.has(positioned) {
		s.epoch = joined.Position.Epoch
	}
	if s.delta != nil {
		s.delta.advance(joined.Missed)
	}
	return &started{sub: s, terms: t, joined: joined}, nil
}

func (c *conn) newSubscription(name string, t *terms) *subscription {
	rule := c.door.Gate.Rule(name)
	s := &subscription{conn: c, name: name, info: t.info, filter: t.filter, proof: t.proof}
	if rule.Log.Size > 0 {
		if t.recoverable || override(t.override.Recover, rule.Recover) {
			s.flags |= recoverable | positioned
		}
		if t.positioned || override(t.override.Position, false) {
			s.flags |= positioned
		}
	}
	tells := override(t.override.JoinLeave, rule.JoinLeave.Told())
	if tells {
		s.flags |= announces
	}
	if t.joinLeave || tells && (t.origin&byServer != 0 || rule.JoinLeave == channel.JoinLeaveForce) {
		s.flags |= members
	}
	s.flags |= t.origin
	// A filter leaves out what the next difference would be against.
	if t.delta && rule.Delta && t.filter == nil {
		s.delta = new(delta)
	}
	return s
}

// override is the token's word, or the rule's where the token says nothing.
func override(token *bool, rule bool) bool {
	if token != nil {
		return *token
	}
	return rule
}

// result tells the client what it has. With what was missed, offset is what
// the client asked for and its publications advance it.
func (s *started) result() *protocol.SubscribeResult {
	sub, form := s.sub, s.sub.conn.form
	r := &protocol.SubscribeResult{
		Recoverable: sub.has(recoverable), Positioned: sub.has(positioned),
		Delta: sub.delta != nil, Data: form.optional(s.terms.data),
	}
	r.Expires, r.Ttl = lifetime(s.terms.expires)
	if !sub.has(positioned) {
		return r
	}
	r.Epoch, r.Offset = s.joined.Position.Epoch, s.joined.Position.Offset
	if s.terms.since == nil {
		return r
	}
	r.WasRecovering = true
	if s.joined.Gap != nil {
		return r
	}
	r.Recovered = true
	r.Offset = s.terms.since.Offset
	for _, m := range s.joined.Missed {
		if sub.filter != nil && !sub.filter.Match(m.Tags) {
			continue
		}
		pub := form.publication(m)
		if sub.delta != nil {
			form.whole(pub)
		}
		r.Publications = append(r.Publications, pub)
	}
	return r
}

// sendMissed sends an answer. One with what was missed does not count against
// the outbox: a client that was away is not slow.
func (c *conn) sendMissed(all []*started, r *protocol.Reply) {
	frame := c.form.encode(r)
	defer c.BacklogSent()
	for _, s := range all {
		if len(s.joined.Missed) > 0 {
			c.SendBacklog(frame)
			return
		}
	}
	c.Send(frame)
}

// start lets live messages through, after the client was told.
func (s *started) start() {
	sub := s.sub
	c := sub.conn
	by := sub.publisher()
	c.mu.Lock()
	over := c.subs.find(sub.name) != sub // the session ended, or the client left the channel
	sub.live = !over                     // who has not come does not leave
	if !over {
		sub.announce(message.Join, by) // under the lock, so that no leave comes before it
	}
	pending := sub.pending
	c.mu.Unlock()
	if over {
		c.Unsubscribe(s.joined.Subscription)
		return
	}
	s.joined.Subscription.Live()
	if !s.terms.expires.IsZero() {
		sub.setExpiry(s.terms.expires)
	}
	if pending != nil {
		c.end(sub, *pending)
	}
}

// unsubscribe answers the same whether there was a subscription or not.
func (c *conn) unsubscribe(id uint32, req *protocol.UnsubscribeRequest) error {
	if req.Channel == "" {
		return errBadRequest
	}
	if s := c.find(req.Channel); s != nil {
		c.drop(s)
	}
	c.reply(&protocol.Reply{Id: id, Unsubscribe: &protocol.UnsubscribeResult{}})
	return nil
}

// subRefresh takes a new token for a subscription.
func (c *conn) subRefresh(ctx context.Context, id uint32, req *protocol.SubRefreshRequest) error {
	switch {
	case req.Type != 0:
		return errNotAvailable // keys of shared polls
	case req.Channel == "" || req.Token == "":
		return errBadRequest
	}
	s := c.find(req.Channel)
	if s == nil {
		return errDenied
	}
	grant, err := c.door.Access.Auth.Subscription(ctx, req.Token, c.Who(), req.Channel)
	switch err = c.guessed(err); {
	case fault.KindOf(err) == fault.TokenExpired:
		s.expire() // so that the client subscribes again, with a new token
		return errExpired
	case err != nil:
		return tokenErrorReply(err)
	}
	c.mu.Lock()
	s.proof = grant.Proof
	c.mu.Unlock()
	if c.revoked(grant.Proof) {
		c.end(s, unsubscribeRevoked)
		return errDenied
	}
	s.setExpiry(grant.Expires)
	result := &protocol.SubRefreshResult{}
	result.Expires, result.Ttl = lifetime(grant.Expires)
	c.reply(&protocol.Reply{Id: id, SubRefresh: result})
	return nil
}
