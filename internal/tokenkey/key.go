// Package tokenkey says which keys verify tokens: it reads them from PEM files
// and from JSON Web Key Sets and binds each to the algorithms that it may be
// used with. A token never chooses: a public key is no HMAC secret, whatever
// the token's header says.
//
// It verifies nothing, does no I/O and starts no goroutine.
package tokenkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
)

// Key is a key and what it may be used with. It is not changed after it was made.
type Key struct {
	ID         string   // kid; "" for keys that have none
	Algorithms []string // names of RFC 7518 section 3.1
	Material   any      // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// Secret returns the key that signs and verifies with HMAC. It keeps a copy.
func Secret(s string) Key {
	return Key{Algorithms: []string{"HS256", "HS384", "HS512"}, Material: []byte(s)}
}

// The sizes that an RSA key may have, in bits. Below, a signature can be
// forged with effort; above, checking one costs more than it should.
const (
	minRSA = 2048
	maxRSA = 8192
)

// ecdsaAlgorithms has the one algorithm of each curve (RFC 7518 section 3.4).
var ecdsaAlgorithms = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

// Public binds a public key to its algorithms: an RSA key to RS256, RS384 and
// RS512, an ECDSA key to the one of its curve (ES256, ES384, ES512), an
// Ed25519 key to EdDSA. The error says why a key is not taken.
func Public(key crypto.PublicKey) (Key, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return Key{}, fmt.Errorf("an RSA key of %d bits is outside %d to %d", bits, minRSA, maxRSA)
		}
		return Key{Algorithms: []string{"RS256", "RS384", "RS512"}, Material: k}, nil
	case *ecdsa.PublicKey:
		algorithm, ok := ecdsaAlgorithms[k.Params().Name]
		if !ok {
			return Key{}, errors.New("an ECDSA key is on none of the curves P-256, P-384 and P-521")
		}
		return Key{Algorithms: []string{algorithm}, Material: k}, nil
	case ed25519.PublicKey:
		return Key{Algorithms: []string{"EdDSA"}, Material: k}, nil
	}
	return Key{}, errors.New("it is no public key of the kinds RSA, ECDSA and Ed25519")
}
