package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

// Here a token is accepted or refused: its form, its header, its signature,
// its claims, in this order. Every refusal is a fault with a sentence for who
// sent the token, and shows nothing of the keys.

// MaxToken is the longest token that is looked at, in bytes. It is checked
// before anything is split or decoded.
const MaxToken = 8 << 10

// skew is how far the clocks of the signing server and this one may differ
// where that harms nobody: in a token that is not valid yet, not in one that
// has ended.
const skew = 30 * time.Second

// maxUser is the longest sub, in bytes: it stands in presence and in logs.
const maxUser = 255

var (
	algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
	parser     = jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
)

// read returns the claims of a token of either kind. It has checked all but
// what tells the kinds apart.
func (a *Authorizer) read(ctx context.Context, token string) (*claims, error) {
	if len(*a.local.Load()) == 0 && a.jwks == nil {
		return nil, badToken("", "this server has no token_secret, token_public_keys or token_jwks setting to check it with")
	}
	if !wellFormed(token) {
		return nil, errForm
	}
	payload, err := a.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	c, err := decodeClaims(payload)
	if err != nil {
		return nil, err
	}
	err = a.checkClaims(c)
	if fault.KindOf(err) == fault.BadToken {
		a.logRefused(c, err)
	}
	if err != nil {
		return nil, err
	}
	c.proof = proofOf(token, c.ID, c.IssuedAt)
	return c, a.revoked.Check(c.Subject, c.proof)
}

// logEvery is how often a refused token is in the log at most.
const logEvery = time.Minute

// logRefused tells the operator why nobody gets in whose tokens are made so.
// Only the owner of a key can cause the line; clients repeat their token, which
// must not fill the log.
func (a *Authorizer) logRefused(c *claims, why error) {
	now, last := time.Now().UnixNano(), a.logged.Load()
	if last != 0 && now-last < int64(logEvery) || !a.logged.CompareAndSwap(last, now) {
		return
	}
	a.log.Info("a well-signed token is refused; others like it are not told for a minute", "reason", why.Error(), "sub", c.Subject)
}

// wellFormed tells whether token looks like a JWS (RFC 7515 section 7.1): three
// parts in base64url and not too long. Decoders pass over line breaks, so that
// without this one token could be written in many ways.
func wellFormed(token string) bool {
	const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	return len(token) <= MaxToken && strings.Count(token, ".") == 2 && strings.Trim(token, characters) == ""
}

// verify returns the payload of a token that one of the keys signed. The keys
// at hand are tried first: the key set is not asked about their tokens.
func (a *Authorizer) verify(ctx context.Context, token string) (payload, error) {
	p, err := verifyWith(token, func(*jwt.Token) ([]tokenkey.Key, error) { return *a.local.Load(), nil })
	if a.jwks == nil || !errors.Is(err, jwt.ErrTokenSignatureInvalid) && !errors.Is(err, errNoKey) {
		return p, refusal(err)
	}
	p, fromSet := verifyWith(token, func(t *jwt.Token) ([]tokenkey.Key, error) {
		if _, secret := t.Method.(*jwt.SigningMethodHMAC); secret {
			return nil, errNoKey // a set of public keys has no secret: nothing to fetch
		}
		kid, _ := t.Header["kid"].(string)
		return a.jwks.find(ctx, kid, t.Method.Alg())
	})
	if errors.Is(fromSet, errNoKey) {
		return payload{}, refusal(err)
	}
	return p, refusal(fromSet)
}

// verifyWith checks the header and the signature, with those of the keys that
// may be used with the token's algorithm.
func verifyWith(token string, find func(*jwt.Token) ([]tokenkey.Key, error)) (payload, error) {
	var p payload
	_, err := parser.ParseWithClaims(token, &p, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header); err != nil {
			return nil, err
		}
		found, err := find(t)
		if err != nil {
			return nil, err
		}
		var set jwt.VerificationKeySet
		for _, k := range found {
			if slices.Contains(k.Algorithms, t.Method.Alg()) {
				set.Keys = append(set.Keys, k.Material)
			}
		}
		if len(set.Keys) == 0 {
			return nil, errNoKey
		}
		return set, nil
	})
	return p, err
}

// checkHeader refuses tokens that are made for another use (typ), and those
// whose header asks for something that must be understood (crit, RFC 7515
// section 4.1.11): nothing is.
func checkHeader(h map[string]any) error {
	if _, ok := h["crit"]; ok {
		return errCrit
	}
	typ, ok := h["typ"]
	if !ok {
		return nil
	}
	s, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(s), "application/") {
	case "jwt", "at+jwt":
		return nil
	}
	return errTyp
}

// checkClaims checks what tokens of both kinds have.
func (a *Authorizer) checkClaims(c *claims) error {
	now := time.Now()
	switch {
	case c.Expires == nil:
		return badToken("", "its exp claim is missing; say when it ends, in seconds since 1970")
	case c.NotBefore != nil && c.NotBefore.time().After(now.Add(skew)):
		return badToken("", "its nbf claim lies in the future")
	case c.IssuedAt != nil && c.IssuedAt.time().After(now.Add(skew)):
		return badToken("", "its iat claim lies in the future")
	case a.audience != "" && !slices.Contains(c.Audience, a.audience):
		return badToken("token_audience", "its aud claim is not the one of the setting token_audience")
	case a.issuer != "" && c.Issuer != a.issuer:
		return badToken("token_issuer", "its iss claim is not the one of the setting token_issuer")
	case !validUser(c.Subject):
		return badToken("", "its sub claim is longer than %d bytes or holds control characters", maxUser)
	case len(c.Client) > 0 && string(c.Client) != "null":
		return badToken("", "its client claim binds it to a connection, which is not done here; name the user in sub")
	case !c.Expires.time().After(now):
		return expired("get a new one and connect again")
	}
	return nil
}

func validUser(s string) bool {
	return len(s) <= maxUser && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// errNoKey: no key of this server may be used with the token's algorithm.
var errNoKey = errors.New("no key for the algorithm")

var (
	errForm = badToken("", "a token is a JWT of three parts in base64url and at most %d bytes", MaxToken)
	errJWT  = badToken("", "it cannot be read as a JWT")
	errCrit = badToken("", "its header asks for an extension (crit) and there is none here")
	errTyp  = badToken("", "its header says that it is no access token (typ); leave typ out or make it JWT")
)

// refusal puts the library's error into words that help the sender.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f // ours: the library hands it back wrapped in its own error
	}
	switch {
	case errors.Is(err, errNoKey):
		return badToken("", "no key of this server is for the token's algorithm (HS256 to HS512: token_secret; RS, ES and EdDSA: token_public_keys, token_jwks)")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return badToken("", "its algorithm is not accepted; sign with HS, RS or ES and 256, 384 or 512, or with EdDSA")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return badToken("", "no key of this server signed it (token_secret, token_public_keys, token_jwks), or not with this algorithm")
	}
	return errJWT
}

// badToken refuses a token that will never pass. setting is the one that
// decided, "" for none.
func badToken(setting, format string, args ...any) *fault.Fault {
	return refuse(fault.BadToken, setting, "token not accepted: "+format, args...)
}

// expired refuses a good token that has ended.
func expired(format string) *fault.Fault {
	return fault.New(fault.TokenExpired, "token expired: "+format)
}

func refuse(k fault.Kind, setting, format string, args ...any) *fault.Fault {
	f := fault.Newf(k, format, args...)
	f.Setting = setting
	return f
}
