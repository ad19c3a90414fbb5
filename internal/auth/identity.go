package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Kind says what stands behind an Identity.
type Kind string

// The kinds, from the least trusted.
const (
	Guest  Kind = "guest"  // nobody known
	User   Kind = "user"   // a valid token
	Server Kind = "server" // an API key
)

// Identity is who a client is.
type Identity struct {
	Kind    Kind
	User    string    // the token's sub; empty for guests and servers
	Info    []byte    // the token's info claim as JSON; nil for none
	Expires time.Time // when the token ends; zero: never
}

// MaxToken is the longest token that is looked at, in bytes. It is checked
// before anything is split or decoded.
const MaxToken = 8 << 10

type claims struct {
	jwt.RegisteredClaims
	Channel string `json:"channel"` // only subscription tokens have it
	Info    raw    `json:"info"`
}

type raw []byte

func (r *raw) UnmarshalJSON(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}

// Identify answers who shows this token; "" is a guest: what guests may do, the rules say.
// Tokens are JWTs with sub and exp, signed by one of the secrets; the
// algorithms are fixed here and never read from the token.
func (a *Authorizer) Identify(token string) (Identity, error) {
	if token == "" {
		return Identity{Kind: Guest}, nil
	}
	if len(a.secrets) == 0 {
		return Identity{}, fmt.Errorf("%w: this server has no token_secret setting to check it with", ErrToken)
	}
	if len(token) > MaxToken || strings.Count(token, ".") != 2 {
		return Identity{}, fmt.Errorf("%w: a token is a JWT of three parts and at most %d bytes", ErrToken, MaxToken)
	}
	var err error
	for _, secret := range a.secrets {
		var c claims
		_, err = jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return secret, nil },
			jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithExpirationRequired())
		if err == nil {
			return identity(c)
		}
		if errors.Is(err, jwt.ErrTokenExpired) {
			return Identity{}, fmt.Errorf("%w: get a new one and connect again", ErrExpired)
		}
	}
	return Identity{}, fmt.Errorf("%w: %s", ErrToken, explain(err))
}

func identity(c claims) (Identity, error) {
	if c.Channel != "" {
		return Identity{}, fmt.Errorf("%w: this is a subscription token; connect with a connection token", ErrToken)
	}
	if c.Subject == "" {
		return Identity{}, fmt.Errorf("%w: its sub claim is empty; name the user there", ErrToken)
	}
	return Identity{Kind: User, User: c.Subject, Info: c.Info, Expires: c.ExpiresAt.Time}, nil
}

// explain puts the library's error in words that help the sender and show
// nothing of the secret.
func explain(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "no token_secret of this server signed it, or not with HS256, HS384 or HS512"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "its exp claim is missing"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "its nbf claim lies in the future"
	}
	return "it cannot be read as a JWT"
}
