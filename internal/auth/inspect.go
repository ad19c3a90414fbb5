package auth

import (
	"context"
	"encoding/json"
)

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
		return Inspection{}, errForm()
	}
	var p payload
	// The library stops at an algorithm that it does not know, after it has
	// read the rest: what was read is worth showing.
	t, _, err := parser.ParseUnverified(token, &p)
	if t == nil || t.Header == nil || err != nil && p == nil {
		return Inspection{}, badToken("it cannot be read as a JWT")
	}
	i := Inspection{}
	i.Algorithm, _ = t.Header["alg"].(string)
	i.KeyID, _ = t.Header["kid"].(string)
	if json.Unmarshal(p, &i.Claims) != nil {
		return i, badToken("its second part is no JSON object")
	}
	return i, nil
}

// Check tells whether a token of either kind would pass, as Identify and
// Subscription would say for the user and channel that it names. A
// subscription token fills the grant, a connection token the identity.
func (a *Authorizer) Check(ctx context.Context, token string) (Identity, *Grant, error) {
	if isGuest(token) {
		id, err := a.Identify(ctx, token)
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
