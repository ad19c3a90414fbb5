package auth

import (
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
		return Inspection{}, errForm
	}
	var p payload
	// The library stops at an algorithm that it does not know, after it has
	// read the rest: what was read is worth showing.
	t, _, err := parser.ParseUnverified(token, &p)
	if t == nil || t.Header == nil || err != nil && p == nil {
		return Inspection{}, errJWT
	}
	i := Inspection{}
	i.Algorithm, _ = t.Header["alg"].(string)
	i.KeyID, _ = t.Header["kid"].(string)
	if json.Unmarshal(p, &i.Claims) != nil {
		return i, badToken("", "its second part is no JSON object")
	}
	return i, nil
}
