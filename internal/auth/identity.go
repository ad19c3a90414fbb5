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
	Guest  Kind = "guest"  // nobody known: no token, a guest's, or one with an empty sub
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
	Presence  *bool
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
// The error is a fault: TokenExpired for a good token that has ended,
// Unavailable when the keys cannot be had now, TokenNeeded for no token where
// one is needed, and BadToken for all that will never pass.
func (a *Authorizer) Identify(ctx context.Context, token string) (Identity, error) {
	if token == "" || isGuest(token) {
		if len(a.guests) == 0 {
			return Identity{}, a.noGuests(token)
		}
		if token == "" {
			return Identity{Kind: Guest}, nil
		}
		return a.guest(token)
	}
	c, err := a.read(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if c.Channel != nil {
		return Identity{}, badToken("this is a subscription token (it has a channel claim); connect with a connection token")
	}
	return c.identity()
}

// noGuests refuses guests, in other words who shows nothing and who shows a
// guest's token of earlier days.
func (a *Authorizer) noGuests(token string) error {
	if token == "" {
		return refuse(fault.TokenNeeded, "rules", "this server wants to know who you are: send a user's token as Authorization: Bearer or ?token=, or an API key as X-API-Key")
	}
	return badTokenBy("rules", "no rule of this server lets guests in (anyone); send a user's token")
}

// let tells whether the identity's own token subscribes it to the channel.
func (id *Identity) let(name string) bool {
	if _, ok := id.Subs[name]; ok {
		return true
	}
	return slices.Contains(id.Channels, name)
}
