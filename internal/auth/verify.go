package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

// MaxToken is the longest token that is looked at, in bytes. It is checked
// before anything is split or decoded.
const MaxToken = 8 << 10

var (
	algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
	parser     = jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
)

// refuse returns a fault that names the setting that decided.
func refuse(k fault.Kind, setting, format string, args ...any) *fault.Fault {
	f := fault.Newf(k, format, args...)
	f.Setting = setting
	return f
}

// badToken refuses a token that will never pass, in words for its sender.
func badToken(format string, args ...any) *fault.Fault { return badTokenBy("", format, args...) }

// badTokenBy is badToken with the setting that decided.
func badTokenBy(setting, format string, args ...any) *fault.Fault {
	return refuse(fault.BadToken, setting, "token not accepted: "+format, args...)
}

// errNoKey: no key of this server may be used with the token's algorithm.
var errNoKey = errors.New("no key for the algorithm")

var (
	errCrit = badToken("its header asks for an extension (crit) and there is none here")
	errTyp  = badToken("its header says that it is no access token (typ); leave typ out or make it JWT")
)

// read verifies a token of either kind and returns its claims, checked but for
// what tells the kinds apart.
func (a *Authorizer) read(ctx context.Context, token string) (*claims, error) {
	if len(a.local) == 0 && a.jwks == nil {
		return nil, badToken("this server has no token_secret, token_public_keys or token_jwks setting to check it with")
	}
	if !wellFormed(token) {
		return nil, errForm()
	}
	payload, err := a.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	c, err := decodeClaims(payload)
	if err != nil {
		return nil, err
	}
	return c, a.checkClaims(c)
}

// wellFormed tells whether token looks like a JWS (RFC 7515 section 7.1): three
// parts in base64url and not too long. Decoders pass over line breaks, so that
// without this one token could be written in many ways.
func wellFormed(token string) bool {
	if len(token) > MaxToken {
		return false
	}
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return dots == 2
}

func errForm() error {
	return badToken("a token is a JWT of three parts in base64url and at most %d bytes", MaxToken)
}

// verify returns the payload of a token that one of the keys signed. The keys
// at hand are tried first: a key set elsewhere is not asked about their tokens.
func (a *Authorizer) verify(ctx context.Context, token string) (payload, error) {
	p, err := verifyWith(token, func(*jwt.Token) ([]tokenkey.Key, error) { return a.local, nil })
	if a.jwks == nil || !errors.Is(err, jwt.ErrTokenSignatureInvalid) && !errors.Is(err, errNoKey) {
		return p, explain(err)
	}
	p, elsewhere := verifyWith(token, func(t *jwt.Token) ([]tokenkey.Key, error) {
		if _, secret := t.Method.(*jwt.SigningMethodHMAC); secret {
			return nil, errNoKey // no set of public keys has one: nothing to fetch
		}
		kid, _ := t.Header["kid"].(string)
		return a.jwks.find(ctx, kid, t.Method.Alg())
	})
	if errors.Is(elsewhere, errNoKey) {
		return nil, explain(err)
	}
	return p, explain(elsewhere)
}

func verifyWith(token string, find func(*jwt.Token) ([]tokenkey.Key, error)) (payload, error) {
	var p payload
	_, err := parser.ParseWithClaims(token, &p, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header); err != nil {
			return nil, err
		}
		all, err := find(t)
		if err != nil {
			return nil, err
		}
		return candidates(all, t.Method.Alg())
	})
	return p, err
}

// candidates are the keys that may be used with this algorithm.
func candidates(all []tokenkey.Key, algorithm string) (set jwt.VerificationKeySet, err error) {
	for _, k := range all {
		if slices.Contains(k.Algorithms, algorithm) {
			set.Keys = append(set.Keys, k.Material)
		}
	}
	if len(set.Keys) == 0 {
		return set, errNoKey
	}
	return set, nil
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

// explain puts the library's error in words that help the sender and show
// nothing of the keys.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f // ours: the library hands it back wrapped in its own error
	}
	switch {
	case errors.Is(err, errNoKey):
		return badToken("no key of this server is for the token's algorithm (HS256 to HS512: token_secret; RS, ES and EdDSA: token_public_keys, token_jwks)")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return badToken("its algorithm is not accepted; sign with HS, RS or ES and 256, 384 or 512, or with EdDSA")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return badToken("no key of this server signed it (token_secret, token_public_keys, token_jwks), or not with this algorithm")
	}
	return badToken("it cannot be read as a JWT")
}
