// Package auth turns what a client shows (a token, an API key, nothing) into
// an Identity and says what an Identity may do. Every door and the HTTP API
// ask the one Authorizer.
//
// It keeps no sessions, does no I/O and starts no goroutine.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"magpie/internal/channel"
)

// Errors that callers tell apart; all others wrap one of them.
var (
	ErrToken     = errors.New("token not accepted") // say who you are, properly
	ErrExpired   = errors.New("token expired")      // get a new one
	ErrKey       = errors.New("API key not accepted")
	ErrForbidden = errors.New("not allowed")
)

// Config is what New needs.
type Config struct {
	Rules *channel.Rules
	// Secrets sign tokens (HS256, HS384, HS512). Several allow rotation.
	Secrets []string
	// Keys are the API keys of servers. Several allow rotation.
	Keys []string
}

// Authorizer answers who may do what. It never changes and is safe for
// concurrent use.
type Authorizer struct {
	rules   *channel.Rules
	secrets [][]byte
	keys    [][sha256.Size]byte
}

// New returns an authorizer.
func New(c Config) *Authorizer {
	a := &Authorizer{rules: c.Rules}
	for _, s := range c.Secrets {
		a.secrets = append(a.secrets, []byte(s))
	}
	for _, k := range c.Keys {
		a.keys = append(a.keys, sha256.Sum256([]byte(k)))
	}
	return a
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
		return Identity{}, fmt.Errorf("%w: send one of the server's api_key settings as X-API-Key", ErrKey)
	}
	return Identity{Kind: Server}, nil
}

// Action is something that rules govern.
type Action string

// The actions.
const (
	Subscribe Action = "subscribe"
	Publish   Action = "publish"
	History   Action = "history"
	Presence  Action = "presence"
)

// May answers nil if id may do this in the channel, or an error that names
// the rule and the setting. The channel's name is taken as checked.
func (a *Authorizer) May(id Identity, do Action, name string) error {
	rule := a.rules.For(name)
	who := rule.Subscribe
	switch do {
	case Publish:
		who = rule.Publish
	case History:
		who = rule.History
	case Presence:
		who = rule.Members
	}
	if allowed(id.Kind, who) {
		return nil
	}
	if id.Kind == Guest && who == channel.Users {
		return fmt.Errorf("%w: the rule for %q wants a token to %s; send it as Authorization: Bearer or ?token=", ErrToken, rule.Match, verbs[do])
	}
	return fmt.Errorf("%w to %s here: the rule for %q says %s: %s, and this is a %s", ErrForbidden, verbs[do], rule.Match, do, who, id.Kind)
}

var verbs = map[Action]string{Subscribe: "subscribe", Publish: "publish", History: "read the history", Presence: "see who is there"}

func allowed(k Kind, who channel.Who) bool {
	switch who {
	case channel.Anyone:
		return true
	case channel.Users:
		return k != Guest
	case channel.Server:
		return k == Server
	}
	return false
}
