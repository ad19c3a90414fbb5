package auth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/channel"
)

// claims are what tokens of both kinds hold, in the names that Centrifuge
// clients' backends use already (RFC 7519 section 4.1 and the Centrifuge
// protocol's own). It is large because they are many.
type claims struct {
	Subject   string           `json:"sub"`
	Issuer    string           `json:"iss"`
	Audience  jwt.ClaimStrings `json:"aud"`
	Expires   *numericDate     `json:"exp"`
	NotBefore *numericDate     `json:"nbf"`
	IssuedAt  *numericDate     `json:"iat"`
	ID        string           `json:"jti"`

	// ExpireAt is when the session or subscription ends, if that is not exp; 0: never.
	ExpireAt *numericDate    `json:"expire_at"`
	Info     json.RawMessage `json:"info"`
	B64Info  []byte          `json:"b64info"`

	// Of connection tokens alone.
	Meta     json.RawMessage      `json:"meta"`
	Channels []string             `json:"channels"`
	Subs     map[string]subClaims `json:"subs"`

	// Of subscription tokens alone.
	Channel  *string        `json:"channel"`
	Override overrideClaims `json:"override"`

	// Client bound tokens to a connection in an early version of the protocol.
	Client json.RawMessage `json:"client"`

	proof *Proof // of the token that held the claims
}

type subClaims struct {
	Info     json.RawMessage `json:"info"`
	B64Info  []byte          `json:"b64info"`
	Data     json.RawMessage `json:"data"`
	B64Data  []byte          `json:"b64data"`
	Override overrideClaims  `json:"override"`
}

// overrideClaims knows the two names that position and recover have had.
type overrideClaims struct {
	Presence         *boxedBool `json:"presence"`
	JoinLeave        *boxedBool `json:"join_leave"`
	Position         *boxedBool `json:"position"`
	ForcePositioning *boxedBool `json:"force_positioning"`
	Recover          *boxedBool `json:"recover"`
	ForceRecovery    *boxedBool `json:"force_recovery"`
}

// boxedBool is {"value": true}, as the protocol's backends write it, or true
// alone.
type boxedBool bool

func (t *boxedBool) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, (*bool)(t))
	}
	var boxed struct {
		Value bool `json:"value"`
	}
	err := json.Unmarshal(b, &boxed)
	*t = boxedBool(boxed.Value)
	return err
}

// numericDate is seconds since 1970 (RFC 7519 section 2), a number and no
// text. What no calendar has is refused before it can overflow into the past.
type numericDate int64

// maxDate is the end of the year 9999.
const maxDate = 253402300799

func (d *numericDate) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0 && f <= maxDate) {
		return errors.New("a time is no number of seconds since 1970")
	}
	*d = numericDate(math.Trunc(f))
	return nil
}

func (d numericDate) time() time.Time { return time.Unix(int64(d), 0) }

// payload is a token's second part as it stands, to be decoded only when the
// signature is known to be good. The library asks for its claims' methods and
// calls none of them: checkClaims does the checking.
type payload struct {
	jwt.RegisteredClaims
	text []byte
}

func (p *payload) UnmarshalJSON(b []byte) error {
	p.text = bytes.Clone(b)
	return nil
}

// claimNames are the claims that are read. Names are matched exactly (RFC 7519
// section 4): the library would take SUB for sub.
var claimNames = func() map[string]bool {
	names := map[string]bool{}
	for f := range reflect.TypeFor[claims]().Fields() {
		names[f.Tag.Get("json")] = true
	}
	return names
}()

// exact leaves out claims that are not read, among them those whose names
// differ in case alone.
func exact(text []byte) []byte {
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return text // the caller finds out what is wrong
	}
	before := len(all)
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return !claimNames[name] })
	if len(all) == before {
		return text
	}
	b, _ := json.Marshal(all) // it was JSON before: cannot fail
	return b
}

func decodeClaims(p payload) (*claims, error) {
	c := new(claims)
	if err := json.Unmarshal(exact(p.text), c); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Field != "" {
			return nil, badToken("", "its claim %s is of the wrong kind (%s)", te.Field, te.Value)
		}
		return nil, badToken("", "its claims cannot be read; exp, nbf, iat and expire_at are numbers of seconds, sub is a text")
	}
	return c, nil
}

// endsAt is when what the token opens ends: expire_at before exp, zero for
// never. A token that opens something which is over already is refused.
func (c *claims) endsAt() (time.Time, error) {
	switch {
	case c.ExpireAt == nil:
		return c.Expires.time(), nil
	case *c.ExpireAt == 0:
		return time.Time{}, nil
	case !c.ExpireAt.time().After(time.Now()):
		return time.Time{}, expired("its expire_at claim has passed; get a new one")
	}
	return c.ExpireAt.time(), nil
}

func (c *claims) identity() (Identity, error) {
	ends, err := c.endsAt()
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Kind: User, User: c.Subject, Info: jsonOrBytes(c.Info, c.B64Info), Meta: jsonOrBytes(c.Meta, nil), Expires: ends, Proof: c.proof}
	if c.Subject == "" {
		id.Kind = Guest
	}
	for _, name := range c.Channels {
		if err := checkChannel("channels", name); err != nil {
			return Identity{}, err
		}
		if !slices.Contains(id.Channels, name) {
			id.Channels = append(id.Channels, name)
		}
	}
	if len(c.Subs) > 0 {
		id.Subs = make(map[string]SubOptions, len(c.Subs))
	}
	for name, sub := range c.Subs {
		if err := checkChannel("subs", name); err != nil {
			return Identity{}, err
		}
		id.Subs[name] = SubOptions{Info: jsonOrBytes(sub.Info, sub.B64Info), Data: jsonOrBytes(sub.Data, sub.B64Data), Override: sub.Override.override()}
	}
	return id, nil
}

func (c *claims) grant() (Grant, error) {
	ends, err := c.endsAt()
	if err != nil {
		return Grant{}, err
	}
	return Grant{Channel: *c.Channel, Info: jsonOrBytes(c.Info, c.B64Info), Expires: ends, Proof: c.proof, Override: c.Override.override()}, nil
}

func checkChannel(claim, name string) error {
	err := channel.Check(name)
	if err == nil {
		return nil
	}
	_, why, _ := strings.Cut(err.Error(), ": ") // the first half says the same as ours
	return badToken("", "its %s claim holds a bad name: %s", claim, why)
}

// jsonOrBytes is the claim given as base64, or else the one given as JSON. JSON
// comes out on one line: protocols put it into lines of their own.
func jsonOrBytes(asJSON json.RawMessage, asBase64 []byte) []byte {
	switch {
	case len(asBase64) > 0:
		return asBase64
	case string(asJSON) == "null":
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, asJSON) != nil {
		return nil // there is no such claim: what there is was read as JSON before
	}
	return b.Bytes()
}

func (o overrideClaims) override() Override {
	return Override{
		Presence:  (*bool)(o.Presence),
		JoinLeave: (*bool)(o.JoinLeave),
		Position:  (*bool)(cmp.Or(o.Position, o.ForcePositioning)),
		Recover:   (*bool)(cmp.Or(o.Recover, o.ForceRecovery)),
	}
}
