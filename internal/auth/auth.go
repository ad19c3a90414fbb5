// Package auth turns what a client shows (a token, an API key, nothing) into
// an Identity and says what an Identity may do. Every door and the HTTP API
// ask the one Authorizer.
//
// It keeps no sessions. It reads nothing but the key set behind a JWKS URL,
// where one is configured: one short-lived goroutine fetches it when it is
// needed, never two at once, and Close ends and awaits it.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

// Config is what New needs.
type Config struct {
	Rules *channel.Rules // needed
	// Secrets sign tokens (HS256, HS384, HS512). Several allow rotation.
	Secrets []string
	// Public keys verify tokens that others sign. Several allow rotation.
	Public []tokenkey.Key
	// JWKS is a key set at a URL; nil for none. The authorizer closes it.
	JWKS *JWKS
	// Audience and Issuer must be in every token's aud and iss; "" asks for none.
	Audience, Issuer string
	// Keys are the API keys of servers. Several allow rotation.
	Keys []string
	// Personal is the prefix of users' own channels, such as "user:"; "" for none.
	Personal string
}

// Authorizer answers who may do what. All methods are safe for concurrent use.
type Authorizer struct {
	rules            *channel.Rules
	local            []tokenkey.Key // secrets and public keys
	jwks             *JWKS
	audience, issuer string
	keys             [][sha256.Size]byte
	personal         string
	guests           []string // see Guests
	guestKeys        [][]byte // the first signs
}

// New returns an authorizer.
func New(c Config) *Authorizer {
	a := &Authorizer{rules: c.Rules, jwks: c.JWKS, audience: c.Audience, issuer: c.Issuer, personal: c.Personal, guests: c.Rules.ForGuests()}
	for _, s := range c.Secrets {
		a.local = append(a.local, tokenkey.Secret(s))
		a.guestKeys = append(a.guestKeys, guestKey(s))
	}
	a.local = append(a.local, c.Public...)
	for _, k := range c.Keys {
		a.keys = append(a.keys, sha256.Sum256([]byte(k)))
	}
	return a
}

// Prepare begins to fetch the key set, where there is one, and waits for
// nothing. Call it when the server starts; a failure is logged and tried again
// when a token needs the keys.
func (a *Authorizer) Prepare() {
	if a.jwks != nil {
		a.jwks.prepare()
	}
}

// Close waits until nothing is fetched any more, or ctx ends. Tokens that need
// keys which are not here are refused from then on.
func (a *Authorizer) Close(ctx context.Context) error {
	if a.jwks == nil {
		return nil
	}
	return a.jwks.close(ctx)
}

// Key answers the server behind an API key. The time it takes does not depend
// on how much of a key is right: hashes are compared, all of them.
func (a *Authorizer) Key(key string) (Identity, error) {
	sum := sha256.Sum256([]byte(key))
	found := 0
	for i := range a.keys {
		found |= subtle.ConstantTimeCompare(sum[:], a.keys[i][:])
	}
	if found == 0 {
		return Identity{}, &fault.Fault{Kind: fault.BadKey, Setting: "api_key",
			Message: "API key not accepted: send one of the server's api_key settings as X-API-Key"}
	}
	return Identity{Kind: Server}, nil
}

// Personal returns the channel that belongs to this user alone, "" when there
// is none: the setting personal_channel is not set, nobody is known, or the
// user's name cannot be part of a channel's name.
func (a *Authorizer) Personal(id Identity) string {
	if a.personal == "" {
		return ""
	}
	name := a.personal + id.User
	if !a.owns(id.User, name) || channel.Check(name) != nil {
		return ""
	}
	return name
}

// owns tells whether a channel under the prefix is this user's. In a prefix
// with a # some users' names would let others in: those have no channel.
func (a *Authorizer) owns(user, name string) bool {
	if strings.Contains(a.personal, "#") && strings.ContainsAny(user, "#,") {
		return false
	}
	return user != "" && name[len(a.personal):] == user
}
