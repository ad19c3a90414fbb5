package tokenkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"magpie/internal/loopback"
	"math/big"
	"net/url"
	"slices"
)

// jwk is one key of a set (RFC 7517 section 4, RFC 7518 section 6, RFC 8037
// section 2). Private parts are not read.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// CheckURL tells whether a key set may be fetched from this address: https,
// or http to this machine, without a user and a password.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("the address of a key set is no URL; write https://host/path")
	case u.User != nil:
		return errors.New("the address of a key set holds a user or a password; key sets are public, leave it out")
	case u.Scheme == "https", u.Scheme == "http" && loopback.Host(u.Hostname()):
		return nil
	}
	return errors.New("the address of a key set is not https (or http to this machine); who can change the keys on their way can sign tokens")
}

// ParseSet returns the keys of a JSON Web Key Set that can verify tokens. Keys of other
// kinds, for other uses or out of shape are passed over, as RFC 7517 section 5
// asks; a set without a usable key is an error.
func ParseSet(text []byte) ([]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the answer is no key set in JSON")
	}
	var all []Key
	for _, one := range set.Keys {
		var k jwk
		if json.Unmarshal(one, &k) != nil {
			continue
		}
		if key, ok := k.bind(); ok {
			all = append(all, key)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the key set holds no key that can verify tokens")
	}
	return all, nil
}

// bind returns the key with the algorithms that the set lets it verify.
func (k *jwk) bind() (Key, bool) {
	if k.Use != "" && k.Use != "sig" || k.Operations != nil && !slices.Contains(k.Operations, "verify") {
		return Key{}, false
	}
	bound, err := Public(k.public())
	if err != nil {
		return Key{}, false
	}
	bound.ID = k.ID
	if k.Algorithm != "" {
		if !slices.Contains(bound.Algorithms, k.Algorithm) {
			return Key{}, false
		}
		bound.Algorithms = []string{k.Algorithm}
	}
	return bound, true
}

// public returns the public key, nil when there is none of a known kind. A
// symmetric key (oct) has no place in a public set and is never taken.
func (k *jwk) public() crypto.PublicKey {
	switch k.Type {
	case "RSA":
		return k.rsa()
	case "EC":
		return k.ecdsa()
	case "OKP":
		if x := decode(k.X); k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	}
	return nil
}

func (k *jwk) rsa() crypto.PublicKey {
	n, e := decode(k.N), decode(k.E)
	if len(e) > 4 { // the exponents in use have three bytes
		return nil
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
}

func (k *jwk) ecdsa() crypto.PublicKey {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
	x, y := decode(k.X), decode(k.Y)
	if curve == nil || len(x) != len(y) {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil { // not a point on the curve
		return nil
	}
	return key
}

// decode reads a field in base64url without padding; nil for what is not.
func decode(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
