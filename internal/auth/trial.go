package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/channel"
)

// What people need to try tokens out: make one, and see what one holds. The
// server itself uses none of it.

// Draft is a token to be signed.
type Draft struct {
	User     string    // sub; empty for a guest
	Channel  string    // makes it a subscription token; "" for a connection token
	Expires  time.Time // exp; needed
	Info     []byte    // JSON; nil for none
	Channels []string  // server-side subscriptions of a connection token
}

// ErrNoSecret: there is no secret to sign with. Tokens for public keys are
// signed where the private key is.
var ErrNoSecret = errors.New("there is no token_secret to sign with")

// Sign makes a token (HS256) with the newest secret, and with the audience and
// issuer that this authorizer asks for.
func (a *Authorizer) Sign(d Draft) (string, error) {
	if len(a.secrets) == 0 {
		return "", ErrNoSecret
	}
	c, err := a.draftClaims(d)
	if err != nil {
		return "", err
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(a.secrets[0].Material)
	if err == nil && len(token) > MaxToken {
		err = fmt.Errorf("the token has %d bytes and %d is the most; shorten info or channels", len(token), MaxToken)
	}
	return token, err
}

func (a *Authorizer) draftClaims(d Draft) (jwt.MapClaims, error) {
	c := jwt.MapClaims{"sub": d.User, "iat": time.Now().Unix(), "exp": d.Expires.Unix()}
	if d.Channel != "" && len(d.Channels) > 0 {
		return nil, errors.New("a subscription token is for its one channel; leave the list of channels out")
	}
	if !validUser(d.User) {
		return nil, fmt.Errorf("the user is longer than %d bytes or holds control characters", maxUser)
	}
	for _, name := range append([]string{d.Channel}, d.Channels...) {
		if err := channel.Check(name); name != "" && err != nil {
			return nil, err
		}
	}
	if d.Info != nil {
		if !json.Valid(d.Info) {
			return nil, errors.New(`the info is not JSON; write it as {"name":"Ann"} or "Ann"`)
		}
		c["info"] = json.RawMessage(d.Info)
	}
	for claim, value := range map[string]string{"aud": a.audience, "iss": a.issuer, "channel": d.Channel} {
		if value != "" {
			c[claim] = value
		}
	}
	if len(d.Channels) > 0 {
		c["channels"] = d.Channels
	}
	return c, nil
}

// Inspection is what a token says of itself. Nothing of it is verified: it is
// for people who look for what is wrong.
type Inspection struct {
	Algorithm string
	KeyID     string
	Claims    map[string]json.RawMessage
}

// Inspect takes a token apart without checking it. The error says why it is
// no token at all.
func Inspect(token string) (Inspection, error) {
	if !wellFormed(token) {
		return Inspection{}, errForm
	}
	var p payload
	// The library stops at an algorithm that it does not know, after it has
	// read the rest: what was read is worth showing.
	t, _, err := parser.ParseUnverified(token, &p)
	if t == nil || t.Header == nil || err != nil && p.text == nil {
		return Inspection{}, errJWT
	}
	i := Inspection{}
	i.Algorithm, _ = t.Header["alg"].(string)
	i.KeyID, _ = t.Header["kid"].(string)
	if json.Unmarshal(p.text, &i.Claims) != nil {
		return i, badToken("", "its second part is no JSON object")
	}
	return i, nil
}
