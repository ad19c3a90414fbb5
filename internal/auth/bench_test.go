package auth_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
)

// What a connection costs before it is one.
func BenchmarkIdentify(b *testing.B) {
	for name, token := range map[string]string{
		"HS256": hs(nil),
		"ES256": sign(jwt.SigningMethodES256, p256, claims(nil)),
		"RS256": sign(jwt.SigningMethodRS256, rsaKey, claims(nil)),
		"EdDSA": sign(jwt.SigningMethodEdDSA, ed, claims(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			a := authorizer()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := identify(a, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMay(b *testing.B) {
	a, r := ruled(), auth.Request{Identity: user("42"), Action: auth.Publish, Channel: "dialog#42,43"}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Authorize(r); err != nil {
			b.Fatal(err)
		}
	}
}

// May stands in the way of every publication: it allocates nothing where it
// says yes.
func TestMayAllocatesNothing(t *testing.T) {
	a := ruled()
	for _, name := range []string{"chat", "anyone", "dialog#41,42", "user:42"} {
		r := auth.Request{Identity: user("42"), Action: auth.Publish, Channel: name}
		if n := testing.AllocsPerRun(100, func() {
			if err := a.Authorize(r); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
