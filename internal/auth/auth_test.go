package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	oldSecret = "an old secret of more than 32 bytes"
	newSecret = "a new secret of more than 32 bytes!"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
	p256   = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384   = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521   = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, ed  = ed25519Key()
)

func ed25519Key() (ed25519.PublicKey, ed25519.PrivateKey) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return public, private
}

func public(keys ...crypto.Signer) (all []tokenkey.Key) {
	for _, k := range keys {
		all = append(all, must(tokenkey.Public(k.Public())))
	}
	return all
}

func noRules() *channel.Rules {
	return must(channel.NewRules(nil, channel.Default(channel.Users)))
}

// authorizer takes tokens of both secrets and of every kind of public key.
func authorizer() *auth.Authorizer {
	return auth.New(auth.Config{Rules: noRules(), Secrets: []string{newSecret, oldSecret}, Keys: []string{"k1", "k2"},
		Public: public(rsaKey, p256, p384, p521, ed)})
}

// claims are of a token that is good for an hour, changed by what is given.
// A nil takes a claim out.
func claims(more jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
	for name, v := range more {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func sign(method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	return must(jwt.NewWithClaims(method, c).SignedString(key))
}

// hs is a token of the new secret.
func hs(more jwt.MapClaims) string {
	return sign(jwt.SigningMethodHS256, []byte(newSecret), claims(more))
}

func identify(a *auth.Authorizer, token string) (auth.Identity, error) {
	return a.Identify(context.Background(), token)
}

func TestAPIKeys(t *testing.T) {
	a := authorizer()
	for _, good := range []string{"k1", "k2"} {
		if id, err := a.Key(good); err != nil || id.Kind != auth.Server {
			t.Errorf("%q: %+v, %v", good, id, err)
		}
	}
	for _, bad := range []string{"", "k", "k11", "K1"} {
		if _, err := a.Key(bad); fault.KindOf(err) != fault.BadKey {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := auth.New(auth.Config{Rules: noRules()}).Key(""); fault.KindOf(err) != fault.BadKey {
		t.Error("a server without keys took the empty one")
	}
}
