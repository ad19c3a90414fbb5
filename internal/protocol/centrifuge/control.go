package centrifuge

import (
	"context"
	"slices"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/node"
	"magpie/internal/session"
)

var (
	_ session.Controllable = (*conn)(nil)
	_ node.Keyed           = (*conn)(nil)
	_ node.Granted         = (*conn)(nil)
)

// SessionKey implements node.Keyed: clients over HTTP know the name of their
// session, which others do not.
func (c *conn) SessionKey() string {
	if c.emulated == nil {
		return ""
	}
	return c.emulated.secret
}

// EndRevoked implements node.Granted.
func (c *conn) EndRevoked(refused func(*auth.Proof) bool) {
	c.mu.Lock()
	all := slices.Clone(c.subs.list)
	all = slices.DeleteFunc(all, func(s *subscription) bool { return s.proof == nil || !refused(s.proof) })
	c.mu.Unlock()
	for _, s := range all {
		c.end(s, unsubscribeRevoked)
	}
}

// revoked tells whether a subscription token was revoked before the node could
// find what it gave.
func (c *conn) revoked(p *auth.Proof) bool { return p != nil && c.door.Node.Revoked(c.Who().User, p) }

// ServerSubscribe implements session.Controllable. Joining waits for the engine,
// so it is done elsewhere; who is subscribed already stays as it is.
func (c *conn) ServerSubscribe(name string, o session.ServerSubscription) {
	t := terms{info: o.Info, data: o.Data, expires: o.Expires, since: o.Since, origin: byServer | byOrder, recoverable: o.Recoverable, positioned: o.Positioned}
	if o.JoinLeave {
		t.override = auth.Override{JoinLeave: &o.JoinLeave}
	}
	c.mu.Lock()
	ready := c.connected && !c.gone
	c.mu.Unlock()
	if !ready {
		return
	}
	// Taken in here, not by the goroutine: an order to unsubscribe that follows
	// must find it.
	s := c.newSubscription(name, &t)
	if c.add(s) && !c.door.start(func() { c.serverSubscribe(s, t) }) {
		c.drop(s)
	}
}

func (c *conn) serverSubscribe(sub *subscription, t terms) {
	ctx, cancel := context.WithTimeout(context.Background(), c.door.Timeout)
	defer cancel()
	s, err := c.make(ctx, sub, t)
	if err != nil {
		return
	}
	name := sub.name
	r := s.result()
	c.push(&protocol.Push{Channel: name, Subscribe: &protocol.Subscribe{
		Recoverable: r.Recoverable, Positioned: r.Positioned, Epoch: r.Epoch, Offset: r.Offset, Data: r.Data,
	}})
	for _, pub := range r.Publications {
		c.SendBacklog(c.form.encode(&protocol.Reply{Push: &protocol.Push{Channel: name, Pub: pub}}))
	}
	c.BacklogSent()
	s.start()
}

// ServerUnsubscribe implements session.Controllable.
func (c *conn) ServerUnsubscribe(name string, code uint32, reason string) {
	e := unsubscribeServer
	if code != 0 {
		e = unsubscribeMessage{code, reason}
	}
	if s := c.find(name); s != nil {
		c.end(s, e)
	}
}

// ServerDisconnect implements session.Controllable. What is no code of the
// protocol would be none of WebSocket either.
func (c *conn) ServerDisconnect(code uint32, reason string) {
	if code < 3000 || code > 4999 {
		code = forceNoReconnect
	}
	c.closeWith(closeMessage{code, reason, fault.ReasonKicked})
}

// ServerRefresh implements session.Controllable.
func (c *conn) ServerRefresh(expires time.Time, expired bool) {
	if expired {
		c.closeWith(closeExpired)
		return
	}
	c.mu.Lock()
	c.setEndLocked(expires)
	c.mu.Unlock()
	c.wake()
	push := &protocol.Refresh{}
	push.Expires, push.Ttl = lifetime(expires)
	c.push(&protocol.Push{Refresh: push})
}
