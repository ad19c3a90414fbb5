// Package auth turns what a client shows (a token, an API key, nothing) into
// an Identity and says what an Identity may do. Every door and the HTTP API
// ask the one Authorizer.
//
// It keeps no sessions. It reads nothing but the key set behind a JWKS URL,
// where one is configured: one short-lived goroutine fetches it when it is
// needed, never two at once, and Close ends it and waits for it.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/limit"
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
	// Calls is how often Key accepts each of them in a second. 0 sets no bound.
	Calls int
	// Personal is the prefix of users' own channels, such as "user:"; "" for none.
	Personal string
	// Revoked are tokens and users that are refused; nil: none.
	Revoked *Revocations
	// Log is told of well-signed tokens that are refused; nil: nobody is.
	Log *slog.Logger
}

// Authorizer answers who may do what. All methods are safe for concurrent use.
type Authorizer struct {
	rules            *channel.Rules
	secrets          []tokenkey.Key
	local            atomic.Pointer[[]tokenkey.Key] // secrets, then public keys
	jwks             *JWKS
	audience, issuer string
	keys             []apiKey
	calls            limit.Rate // with each
	personal         string
	guests           bool // some rule lets guests do something
	revoked          *Revocations
	guestKeys        atomic.Pointer[jwt.VerificationKeySet] // the first signs
	log              *slog.Logger
	logged           atomic.Int64 // when a refused token was, in Unix nanoseconds
}

// New returns an authorizer.
func New(c Config) *Authorizer {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &Authorizer{log: c.Log, rules: c.Rules, jwks: c.JWKS, audience: c.Audience, issuer: c.Issuer, personal: c.Personal, guests: len(c.Rules.ForGuests()) > 0}
	if a.revoked = c.Revoked; a.revoked == nil {
		a.revoked = new(Revocations)
	}
	var guestKeys jwt.VerificationKeySet
	for _, s := range c.Secrets {
		a.secrets = append(a.secrets, tokenkey.Secret(s))
		guestKeys.Keys = append(guestKeys.Keys, guestKey(s))
	}
	a.guestKeys.Store(&guestKeys)
	a.SetPublic(c.Public)
	a.keys = make([]apiKey, len(c.Keys))
	for i, k := range c.Keys {
		a.keys[i].sum = sha256.Sum256([]byte(k))
	}
	if c.Calls > 0 {
		a.calls = limit.Rate{Every: time.Second / time.Duration(c.Calls), Burst: callSeconds * c.Calls}
	}
	return a
}

type apiKey struct {
	sum   [sha256.Size]byte
	calls limit.Bucket
}

// callSeconds is for how many seconds' worth a server may call at once after a rest.
const callSeconds = 5

// SetPublic gives other public keys in the place of all that there were. Sessions
// go on with what their tokens granted.
func (a *Authorizer) SetPublic(keys []tokenkey.Key) {
	all := slices.Concat(a.secrets, keys)
	a.local.Store(&all)
}

// Prepare starts to fetch the key set, where there is one, and does not wait
// for it. Call it when the server starts; a failure is logged and tried again
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

// Key returns the identity of the server that shows this API key, and counts that
// as a call. The time it
// takes does not depend on how much of a key is right: hashes are compared,
// all of them.
func (a *Authorizer) Key(key string) (Identity, error) {
	sum := sha256.Sum256([]byte(key))
	found, which := 0, 0
	for i := range a.keys {
		same := subtle.ConstantTimeCompare(sum[:], a.keys[i].sum[:])
		found, which = found|same, subtle.ConstantTimeSelect(same, i, which)
	}
	if len(a.keys) == 0 {
		return Identity{}, &fault.Fault{Kind: fault.BadKey, Setting: "api_key",
			Message: "API key not accepted: this server has no api_key set; set one, or leave X-API-Key out"}
	}
	if found == 0 {
		return Identity{}, &fault.Fault{Kind: fault.BadKey, Setting: "api_key",
			Message: "API key not accepted: send one of the server's api_key settings as X-API-Key"}
	}
	if wait := a.calls.Take(&a.keys[which].calls, time.Now()); wait > 0 {
		return Identity{}, &fault.Fault{Kind: fault.TooMany, Setting: "max_api_calls", Wait: wait,
			Message: "too many calls in a second with this key; put several into one with /api/batch or /api/broadcast, or wait (setting max_api_calls)"}
	}
	return Identity{Kind: Server}, nil
}
