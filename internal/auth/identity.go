package auth

import (
	"context"
	"slices"
	"time"

	"magpie/internal/fault"
)

// Kind says what stands behind an Identity.
type Kind string

// The kinds, from the least trusted.
const (
	Guest  Kind = "guest"  // no user is known: no token, a guest's, or one with an empty sub
	User   Kind = "user"   // a valid token that names a user
	Server Kind = "server" // an API key
)

// Identity is who a client is. It is not changed after it was made; its slices
// and maps are shared and must not be written to.
type Identity struct {
	Kind    Kind
	User    string    // the token's sub; empty for servers and for guests without a token
	Info    []byte    // the token's info claim as JSON, or what b64info holds; nil for none
	Meta    []byte    // the token's meta claim as JSON: for servers' eyes, never sent to clients
	Expires time.Time // when the session ends unless it is refreshed; zero: never
	Proof   *Proof    // of the token; nil without one

	// Channels and Subs are what the token subscribes its session to: the
	// server's word, so no rule is asked (doors call SubscribeGranted). Subs
	// comes with options. A channel may be in both; Subs counts then.
	Channels []string
	Subs     map[string]SubOptions
}

// SubOptions say how a token's server-side subscription is made.
type SubOptions struct {
	Info     []byte // stamped on the session in this channel; nil for none
	Data     []byte // handed to the client with the subscription; nil for none
	Override Override
}

// Override is what a token says instead of the channel's rule; nil leaves it
// to the rule.
type Override struct {
	Presence  *bool // false hides the subscription; true cannot add presence to a channel without it
	JoinLeave *bool
	Position  *bool
	Recover   *bool
}

// Identify answers who shows this connection token; "" is a guest. Where no
// rule lets guests do anything they are refused: such a connection is not
// worth its memory. A token is a JWT with exp and, for a user, sub. It
// waits for nothing but a key set that has never been fetched or lacks the
// token's key, at most 3 s and no longer than ctx.
//
// The error is a fault: TokenExpired for a good token that has ended, Revoked
// for one that a server took back, Forbidden for a user who is kept away,
// Unavailable when the keys cannot be had now, TokenNeeded for no token where
// one is needed, and BadToken for all that will never pass.
func (a *Authorizer) Identify(ctx context.Context, token string) (Identity, error) {
	switch {
	case token == "" && !a.guests:
		return Identity{}, refuse(fault.TokenNeeded, "rules", "this server wants to know who you are: send a user's token as Authorization: Bearer or ?token=, or an API key as X-API-Key")
	case token == "":
		return Identity{Kind: Guest}, nil
	case isGuest(token):
		return a.guest(token)
	}
	c, err := a.read(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if c.Channel != nil {
		return Identity{}, badToken("", "this is a subscription token (it has a channel claim); connect with a connection token")
	}
	return c.identity()
}

// SubscribedByToken tells whether the identity's own token subscribes it to
// the channel.
func (id *Identity) SubscribedByToken(name string) bool {
	_, ok := id.Subs[name]
	return ok || slices.Contains(id.Channels, name)
}

// Grant is what a subscription token gives: the right to be in one channel,
// and how.
type Grant struct {
	Channel  string
	Info     []byte    // stamped on the session in this channel; nil for none
	Expires  time.Time // when the subscription ends unless it is refreshed; zero: never
	Proof    *Proof    // of the token
	Override Override
}

// Subscription reads a subscription token that id shows for the channel. It
// must name both: its sub is id's user (for a guest it may be empty, too: any
// guest), its channel is the channel, byte for byte. It waits and fails as
// Identify does, and answers Forbidden for a good token that is another
// user's or another channel's.
func (a *Authorizer) Subscription(ctx context.Context, token string, id Identity, name string) (Grant, error) {
	if token == "" {
		return Grant{}, badToken("", "the subscription token is empty")
	}
	c, err := a.read(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	switch {
	case c.Channel == nil:
		return Grant{}, badToken("", "this is a connection token (it has no channel claim); subscribe with a subscription token")
	case *c.Channel != name:
		return Grant{}, fault.New(fault.Forbidden, "not allowed: this subscription token is for another channel")
	case c.Subject != id.User && !(c.Subject == "" && id.Kind == Guest):
		return Grant{}, fault.New(fault.Forbidden, "not allowed: this subscription token is for another user than the connection's")
	}
	return c.grant()
}

// Check tells whether a token of either kind would pass, as Identify and
// Subscription would say for the user and channel that it names. A
// subscription token fills the grant, a connection token the identity.
func (a *Authorizer) Check(ctx context.Context, token string) (Identity, *Grant, error) {
	if isGuest(token) {
		id, err := a.guest(token)
		return id, nil, err
	}
	c, err := a.read(ctx, token)
	if err != nil {
		return Identity{}, nil, err
	}
	if c.Channel != nil {
		g, err := c.grant()
		return Identity{}, &g, err
	}
	id, err := c.identity()
	return id, nil, err
}
