package auth

import (
	"context"
	"time"

	"magpie/internal/fault"
)

// Grant is what a subscription token gives: the right to be in one channel,
// and how.
type Grant struct {
	Channel  string
	Info     []byte    // stamped on the session in this channel; nil for none
	Expires  time.Time // when the subscription ends unless it is refreshed; zero: never
	Override Override
}

// Subscription reads a subscription token that id shows for the channel. It
// must name both: its sub is id's user (for a guest it may be empty, too: any
// guest), its channel is the channel, byte for byte. It waits and fails as Identify does, and answers
// Forbidden for a good token that is somebody else's or another channel's.
func (a *Authorizer) Subscription(ctx context.Context, token string, id Identity, name string) (Grant, error) {
	if token == "" {
		return Grant{}, badToken("the subscription token is empty")
	}
	c, err := a.read(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	switch {
	case c.Channel == nil:
		return Grant{}, badToken("this is a connection token (it has no channel claim); subscribe with a subscription token")
	case *c.Channel != name:
		return Grant{}, fault.New(fault.Forbidden, "not allowed: this subscription token is for another channel")
	case c.Subject != id.User && !(c.Subject == "" && id.Kind == Guest):
		return Grant{}, fault.New(fault.Forbidden, "not allowed: this subscription token is for another user than the connection's")
	}
	return c.grant()
}
