package raw

import (
	"time"

	"magpie/internal/session"
)

// farewell is what a server wants a session to be told at its end.
type farewell struct {
	code uint16
	text string
}

// The codes of ends that a server asked for.
const (
	kicked    = 4506 // do not come back
	comeAgain = 4007
)

// farewellOf puts a code of the server API into this door's. Those from 4000
// on are the caller's own and mean the same here; those under it are the
// Centrifuge protocol's, of which 3000 to 3499 ask the client to come back.
func farewellOf(code uint32, reason string) *farewell {
	switch {
	case code >= 4000 && code <= 4999:
		return &farewell{uint16(code), reason}
	case code >= 3000 && code < 3500:
		return &farewell{comeAgain, reason}
	}
	return &farewell{kicked, reason}
}

// ServerSubscribe implements session.Steerable. A raw connection has one
// channel, named in its URL, and no way to tell of another: nothing is done.
func (c *conn) ServerSubscribe(string, session.ServerSubscription) {}

// ServerUnsubscribe implements session.Steerable. A connection without its
// channel is for nothing, so it ends.
func (c *conn) ServerUnsubscribe(channel string, _ uint32, reason string) {
	if channel == c.channel {
		c.kick(&farewell{kicked, reason})
	}
}

// ServerDisconnect implements session.Steerable.
func (c *conn) ServerDisconnect(code uint32, reason string) { c.kick(farewellOf(code, reason)) }

// ServerRefresh implements session.Steerable.
func (c *conn) ServerRefresh(expires time.Time, expired bool) {
	if expired {
		c.Close(session.ReasonExpired)
		return
	}
	c.ExpireAt(expires)
}

func (c *conn) kick(f *farewell) {
	c.farewell.CompareAndSwap(nil, f) // the first order counts, as the first Close does
	c.Close(session.ReasonKicked)
}

// closing is the code and text that the client gets for a reason.
func (c *conn) closing(r session.Reason) (uint16, string) {
	if f := c.farewell.Load(); f != nil && r == session.ReasonKicked {
		return f.code, f.text
	}
	return closeCode(r)
}

var _ session.Steerable = (*conn)(nil)
