package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// claims are what tokens of both kinds hold, in the names that Centrifuge
// clients' backends use already (RFC 7519 section 4.1 and the Centrifuge
// protocol's own).
type claims struct {
	Subject   string       `json:"sub"`
	Issuer    string       `json:"iss"`
	Audience  audience     `json:"aud"`
	Expires   *numericDate `json:"exp"`
	NotBefore *numericDate `json:"nbf"`
	IssuedAt  *numericDate `json:"iat"`

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
	Presence         *truth `json:"presence"`
	JoinLeave        *truth `json:"join_leave"`
	Position         *truth `json:"position"`
	ForcePositioning *truth `json:"force_positioning"`
	Recover          *truth `json:"recover"`
	ForceRecovery    *truth `json:"force_recovery"`
}

// truth is {"value": true}, as the protocol's backends write it, or a bare true.
type truth bool

func (t *truth) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, (*bool)(t))
	}
	var boxed struct {
		Value bool `json:"value"`
	}
	err := json.Unmarshal(b, &boxed)
	*t = truth(boxed.Value)
	return err
}

// audience is one text or a list of them (RFC 7519 section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	*a = make(audience, 1)
	return json.Unmarshal(b, &(*a)[0])
}

// numericDate is seconds since 1970 (RFC 7519 section 2), a number and no
// text. What no calendar has is refused before it can overflow into the past.
type numericDate int64

// latest is the end of the year 9999.
const latest = 253402300799

func (d *numericDate) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0 && f <= latest) {
		return errors.New("a time is no number of seconds since 1970")
	}
	*d = numericDate(math.Trunc(f))
	return nil
}

func (d numericDate) time() time.Time { return time.Unix(int64(d), 0) }

// payload is a token's second part as it stands, to be decoded only when the
// signature is known to be good. The Get methods make it the library's
// jwt.Claims; nothing asks them, since checkClaims does the checking.
type payload []byte

func (p *payload) UnmarshalJSON(b []byte) error {
	*p = append((*p)[:0], b...)
	return nil
}

func (payload) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (payload) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (payload) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (payload) GetIssuer() (string, error)                   { return "", nil }
func (payload) GetSubject() (string, error)                  { return "", nil }
func (payload) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

func decodeClaims(p payload) (*claims, error) {
	c := new(claims)
	if err := json.Unmarshal(p, c); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Field != "" {
			return nil, badToken("its claim %s is of the wrong kind (%s)", te.Field, te.Value)
		}
		return nil, badToken("its claims cannot be read; exp, nbf, iat and expire_at are numbers of seconds, sub is a text")
	}
	return c, nil
}

// skew is how far the clocks of the signing server and this one may differ
// where that harms nobody: in a token that begins to hold, not in one that
// ends.
const skew = 30 * time.Second

// maxUser is the longest sub, in bytes: it stands in presence and in logs.
const maxUser = 255

// checkClaims checks what tokens of both kinds have.
func (a *Authorizer) checkClaims(c *claims) error {
	now := time.Now()
	switch {
	case c.Expires == nil:
		return badToken("its exp claim is missing; say when it ends, in seconds since 1970")
	case c.NotBefore != nil && c.NotBefore.time().After(now.Add(skew)):
		return badToken("its nbf claim lies in the future")
	case c.IssuedAt != nil && c.IssuedAt.time().After(now.Add(skew)):
		return badToken("its iat claim lies in the future")
	case a.audience != "" && !slices.Contains(c.Audience, a.audience):
		return badTokenBy("token_audience", "its aud claim is not the one of the setting token_audience")
	case a.issuer != "" && c.Issuer != a.issuer:
		return badTokenBy("token_issuer", "its iss claim is not the one of the setting token_issuer")
	case !fitUser(c.Subject):
		return badToken("its sub claim is longer than %d bytes or holds control characters", maxUser)
	case len(c.Client) > 0 && string(c.Client) != "null":
		return badToken("its client claim binds it to a connection, which is not done here; name the user in sub")
	case !c.Expires.time().After(now):
		return fault.New(fault.TokenExpired, "token expired: get a new one and connect again")
	}
	return nil
}

func fitUser(s string) bool {
	return len(s) <= maxUser && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// ends is when what the token opened ends: expire_at before exp, 0 for never.
func (c *claims) ends() time.Time {
	switch {
	case c.ExpireAt == nil:
		return c.Expires.time()
	case *c.ExpireAt == 0:
		return time.Time{}
	}
	return c.ExpireAt.time()
}

func (c *claims) identity() (Identity, error) {
	if err := c.ended(); err != nil {
		return Identity{}, err
	}
	id := Identity{Kind: User, User: c.Subject, Info: either(c.Info, c.B64Info), Meta: either(c.Meta, nil), Expires: c.ends()}
	if c.Subject == "" {
		id.Kind = Guest
	}
	for _, name := range c.Channels {
		if err := channel.Check(name); err != nil {
			return Identity{}, badToken("its channels claim holds a bad name: %s", reason(err))
		}
		if !slices.Contains(id.Channels, name) {
			id.Channels = append(id.Channels, name)
		}
	}
	for name, sub := range c.Subs {
		if err := channel.Check(name); err != nil {
			return Identity{}, badToken("its subs claim holds a bad name: %s", reason(err))
		}
		if id.Subs == nil {
			id.Subs = make(map[string]SubOptions, len(c.Subs))
		}
		id.Subs[name] = SubOptions{Info: either(sub.Info, sub.B64Info), Data: either(sub.Data, sub.B64Data), Override: sub.Override.override()}
	}
	return id, nil
}

func (c *claims) grant() (Grant, error) {
	if err := c.ended(); err != nil {
		return Grant{}, err
	}
	return Grant{Channel: *c.Channel, Info: either(c.Info, c.B64Info), Expires: c.ends(), Override: c.Override.override()}, nil
}

// ended refuses a token that opens something which is over already.
func (c *claims) ended() error {
	if at := c.ends(); !at.IsZero() && !at.After(time.Now()) {
		return fault.New(fault.TokenExpired, "token expired: its expire_at claim has passed; get a new one")
	}
	return nil
}

// either is the claim given as base64 before the one given as JSON. JSON comes
// out on one line: protocols put it into lines of their own.
func either(asJSON json.RawMessage, asBase64 []byte) []byte {
	switch {
	case len(asBase64) > 0:
		return asBase64
	case len(asJSON) == 0 || string(asJSON) == "null":
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, asJSON) != nil {
		return nil // it came out of a document that was read as JSON
	}
	return b.Bytes()
}

func (o overrideClaims) override() Override {
	return Override{
		Presence:  first(o.Presence),
		JoinLeave: first(o.JoinLeave),
		Position:  first(o.Position, o.ForcePositioning),
		Recover:   first(o.Recover, o.ForceRecovery),
	}
}

func first(all ...*truth) *bool {
	for _, t := range all {
		if t != nil {
			return (*bool)(t)
		}
	}
	return nil
}

// reason is a channel error's own half of the sentence.
func reason(err error) string {
	_, why, _ := strings.Cut(err.Error(), ": ")
	return why
}
