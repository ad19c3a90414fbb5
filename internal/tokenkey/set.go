package tokenkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
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

func (k *jwk) bind() (Key, bool) {
	if k.Use != "" && k.Use != "sig" || k.Operations != nil && !slices.Contains(k.Operations, "verify") {
		return Key{}, false
	}
	key := k.key()
	if key == nil {
		return Key{}, false
	}
	bound, err := Public(key)
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

// key returns the public key, nil when there is none of a known kind. A
// symmetric key (oct) has no place in a public set and is never taken.
func (k *jwk) key() any {
	switch k.Type {
	case "RSA":
		return k.rsa()
	case "EC":
		return k.ecdsa()
	case "OKP":
		if x := number(k.X); k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	}
	return nil
}

func (k *jwk) rsa() any {
	n, e := number(k.N), number(k.E)
	if len(n) > maxRSA/8+1 || len(e) == 0 || len(e) > 4 {
		return nil
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
}

func (k *jwk) ecdsa() any {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[k.Curve]
	if curve == nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := number(k.X), number(k.Y)
	if len(x) != size || len(y) != size {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil { // the point is not on the curve
		return nil
	}
	return key
}

// number is a field in base64url without padding; nil for what is not.
func number(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
