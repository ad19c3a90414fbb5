package tokenkey_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/tokenkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey   = must(rsa.GenerateKey(rand.Reader, 2048))
	p256     = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384     = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521     = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	p224     = must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	ed, _, _ = ed25519.GenerateKey(rand.Reader)
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkix(key crypto.PublicKey) []byte {
	return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key)))
}

func certificate() []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	return block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, c, c, p256.Public(), p256)))
}

// Attack row T2: the key decides which algorithms there are, and no other.
func TestKeysFromFilesAreBoundToTheirAlgorithms(t *testing.T) {
	for what, c := range map[string]struct {
		text []byte
		want []string
	}{
		"RSA":         {pkix(rsaKey.Public()), []string{"RS256", "RS384", "RS512"}},
		"RSA, PKCS#1": {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), []string{"RS256", "RS384", "RS512"}},
		"P-256":       {pkix(p256.Public()), []string{"ES256"}},
		"P-384":       {pkix(p384.Public()), []string{"ES384"}},
		"P-521":       {pkix(p521.Public()), []string{"ES512"}},
		"Ed25519":     {pkix(ed), []string{"EdDSA"}},
		"certificate": {certificate(), []string{"ES256"}},
	} {
		keys, err := tokenkey.ParsePEM(c.text)
		if err != nil || len(keys) != 1 || !slices.Equal(keys[0].Algorithms, c.want) {
			t.Errorf("%s: %+v, %v", what, keys, err)
		}
	}
	two, err := tokenkey.ParsePEM(slices.Concat([]byte("# now\n"), pkix(p256.Public()), []byte("# next\n"), pkix(ed)))
	if err != nil || len(two) != 2 {
		t.Errorf("two keys in a file: %+v, %v", two, err)
	}
}

func TestFilesThatAreNoPublicKeys(t *testing.T) {
	small := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}))
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()
	for what, c := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":                 {nil, "holds no public key"},
		"text":                    {[]byte("hello"), "holds no public key"},
		"a private key":           {block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256))), "private key"},
		"an EC private key":       {block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256))), "private key"},
		"a good and a bad one":    {slices.Concat(pkix(ed), block("PUBLIC KEY", []byte("x"))), "cannot be read"},
		"a request":               {block("CERTIFICATE REQUEST", []byte("x")), "no PUBLIC KEY"},
		"an RSA key of 1024":      {small, "outside 2048"},
		"a curve nobody signs on": {pkix(p224.Public()), "none of the curves"},
		"a key to agree on keys":  {pkix(x25519), "no public key of the kinds"},
	} {
		if _, err := tokenkey.ParsePEM(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func ecJWK(k *ecdsa.PrivateKey, curve string, more map[string]any) map[string]any {
	point := must(k.PublicKey.Bytes())[1:]
	m := map[string]any{"kty": "EC", "crv": curve, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
	for name, v := range more {
		m[name] = v
	}
	return m
}

func rsaJWK(n *big.Int, e []byte) map[string]any {
	return map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": b64(e)}
}

func set(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

func TestKeySet(t *testing.T) {
	keys, err := tokenkey.ParseSet(set(
		rsaJWK(rsaKey.N, []byte{1, 0, 1}),
		ecJWK(p256, "P-256", map[string]any{"kid": "a", "use": "sig", "key_ops": []string{"verify"}}),
		ecJWK(p384, "P-384", nil), ecJWK(p521, "P-521", nil),
		map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(ed), "alg": "EdDSA"},
		map[string]any{"kty": "RSA", "n": b64(rsaKey.N.Bytes()), "e": "AQAB", "alg": "RS512"},
	))
	if err != nil || len(keys) != 6 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if !keys[0].Material.(*rsa.PublicKey).Equal(rsaKey.Public()) || !keys[1].Material.(*ecdsa.PublicKey).Equal(p256.Public()) ||
		!keys[4].Material.(ed25519.PublicKey).Equal(ed) || keys[1].ID != "a" {
		t.Error("the keys are not the ones that were given")
	}
	if !slices.Equal(keys[5].Algorithms, []string{"RS512"}) {
		t.Errorf("alg does not narrow: %v", keys[5].Algorithms)
	}
}

// RFC 7517 section 5: what cannot be used is passed over and spoils nothing.
// None of these may ever verify a token.
func TestKeysThatAreNotTaken(t *testing.T) {
	good := ecJWK(p256, "P-256", map[string]any{"kid": "good"})
	offCurve := ecJWK(p256, "P-256", nil)
	offCurve["y"] = offCurve["x"]
	short := ecJWK(p256, "P-256", nil)
	short["x"] = b64([]byte{1})
	point := must(p256.PublicKey.Bytes())[1:]
	shifted := ecJWK(p256, "P-256", map[string]any{"x": b64(point[:31]), "y": b64(point[31:])})
	huge := new(big.Int).Lsh(big.NewInt(1), 9000)
	for what, bad := range map[string]map[string]any{
		"a secret":               {"kty": "oct", "k": b64([]byte("0123456789abcdef0123456789abcdef")), "alg": "HS256"},
		"RSA made to HMAC":       {"kty": "RSA", "n": b64(rsaKey.N.Bytes()), "e": "AQAB", "alg": "HS256"},
		"EC made to RSA":         ecJWK(p256, "P-256", map[string]any{"alg": "RS256"}),
		"alg none":               ecJWK(p256, "P-256", map[string]any{"alg": "none"}),
		"for encryption":         ecJWK(p256, "P-256", map[string]any{"use": "enc"}),
		"for signing only":       ecJWK(p256, "P-256", map[string]any{"key_ops": []string{"sign"}}),
		"the wrong curve":        ecJWK(p256, "P-384", nil),
		"no curve":               ecJWK(p256, "secp256k1", nil),
		"a point off the curve":  offCurve,
		"a short coordinate":     short,
		"coordinates cut anew":   shifted,
		"RSA of 1024 bits":       rsaJWK(new(big.Int).Lsh(big.NewInt(1), 1023), []byte{1, 0, 1}),
		"RSA of 9000 bits":       rsaJWK(huge, []byte{1, 0, 1}),
		"RSA with exponent 1":    rsaJWK(rsaKey.N, []byte{1}),
		"RSA with exponent 0":    rsaJWK(rsaKey.N, []byte{0}),
		"RSA with even exponent": rsaJWK(rsaKey.N, []byte{4}),
		"RSA with long exponent": rsaJWK(rsaKey.N, []byte{1, 0, 0, 0, 1}),
		"RSA, exponent wraps":    rsaJWK(rsaKey.N, []byte{1, 0, 0, 0, 0, 0, 0, 0, 3}),
		"RSA without exponent":   rsaJWK(rsaKey.N, nil),
		"Ed25519 of 31 bytes":    {"kty": "OKP", "crv": "Ed25519", "x": b64(ed[:31])},
		"X25519":                 {"kty": "OKP", "crv": "X25519", "x": b64(ed)},
		"padded base64":          {"kty": "OKP", "crv": "Ed25519", "x": base64.URLEncoding.EncodeToString(ed)},
		"a kty in small letters": {"kty": "okp", "crv": "Ed25519", "x": b64(ed)},
		"a kid that is a number": ecJWK(p256, "P-256", map[string]any{"kid": 7}),
	} {
		keys, err := tokenkey.ParseSet(set(bad, good))
		if err != nil || len(keys) != 1 || keys[0].ID != "good" {
			t.Errorf("%s: %d keys, %v", what, len(keys), err)
		}
		if keys, err := tokenkey.ParseSet(set(bad)); err == nil {
			t.Errorf("%s alone was taken: %+v", what, keys)
		}
	}
	for _, text := range []string{"", "null", "[]", `{"keys":5}`, `{"keys":[1,"a",null]}`, `<html>`} {
		if _, err := tokenkey.ParseSet([]byte(text)); err == nil {
			t.Errorf("%q was taken for a key set", text)
		}
	}
}

// Attack row K1: a key set comes over a way that nobody can change.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"https://id.example.com/jwks":       true,
		"https://id.example.com:8443/a?b=c": true,
		"http://localhost:9000/jwks":        true,
		"http://127.0.0.1/jwks":             true,
		"http://[::1]:80/jwks":              true,
		"http://id.example.com/jwks":        false,
		"http://localhost.evil.com/":        false,
		"http://10.0.0.1/jwks":              false,
		"http://0.0.0.0/jwks":               false,
		"http://169.254.169.254/":           false,
		"http://2130706433/":                false,
		"https://user:pw@id.example.com/":   false,
		"https://user@id.example.com/":      false,
		"file:///etc/passwd":                false,
		"gopher://localhost:6379/x":         false,
		"redis://localhost":                 false,
		"https://":                          false,
		"https:///jwks":                     false,
		"id.example.com/jwks":               false,
		"":                                  false,
		"https://a b/":                      false,
	} {
		err := tokenkey.CheckURL(address)
		if (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: the error quotes the password", address)
		}
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add(set(rsaJWK(rsaKey.N, []byte{1, 0, 1}), ecJWK(p256, "P-256", nil)))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := tokenkey.ParseSet(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if _, secret := k.Material.([]byte); secret || len(k.Algorithms) == 0 {
				t.Fatalf("took %+v", k)
			}
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	f.Add(pkix(ed))
	f.Add(certificate())
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := tokenkey.ParsePEM(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
	})
}
