package centrifuge

import (
	"context"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/message"
	"magpie/internal/nodes"
	"magpie/internal/session"
)

var (
	_ session.Steerable = (*conn)(nil)
	_ nodes.Keyed       = (*conn)(nil)
)

// SessionKey implements nodes.Keyed: clients over HTTP know the name of their
// session, which others do not.
func (c *conn) SessionKey() string {
	if c.via == nil {
		return ""
	}
	return c.via.secret
}

// ServerSubscribe implements session.Steerable. Joining waits for the engine,
// so it is done elsewhere; who is subscribed already stays as it is.
func (c *conn) ServerSubscribe(name string, o session.ServerSubscription) {
	t := terms{info: o.Info, data: o.Data, expires: o.Expires, server: true, recoverable: o.Recoverable, positioned: o.Positioned}
	if o.JoinLeave {
		t.override = auth.Override{JoinLeave: &o.JoinLeave}
	}
	if o.Since != nil {
		t.since = &message.Position{Epoch: o.Since.Epoch, Offset: o.Since.Offset}
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
	s.start()
}

// ServerUnsubscribe implements session.Steerable.
func (c *conn) ServerUnsubscribe(name string, code uint32, reason string) {
	e := endServer
	if code != 0 {
		e = ending{code, reason}
	}
	if s := c.find(name); s != nil {
		c.end(s, e)
	}
}

// ServerDisconnect implements session.Steerable. What is no code of the
// protocol would be none of WebSocket either.
func (c *conn) ServerDisconnect(code uint32, reason string) {
	if code < 3000 || code > 4999 {
		code = forceNoReconnect
	}
	c.leave(farewell{code, reason, session.ReasonKicked})
}

// ServerRefresh implements session.Steerable.
func (c *conn) ServerRefresh(expires time.Time, expired bool) {
	if expired {
		c.leave(byeExpired)
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
