package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

// PublicKey verifies tokens that somebody else signs.
type PublicKey struct{ verifier verifier }

// The sizes that an RSA key may have, in bits. Below, a signature can be
// forged with effort; above, checking one costs more than it should.
const (
	minRSA = 2048
	maxRSA = 8192
)

// NewPublicKey binds a key to the algorithms that it may be used with: an RSA
// key to RS256, RS384 and RS512, an ECDSA key to the one of its curve (ES256,
// ES384, ES512), an Ed25519 key to EdDSA. The error says what the key is
// instead.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return PublicKey{}, fmt.Errorf("an RSA key of %d bits is outside %d to %d", bits, minRSA, maxRSA)
		}
		return PublicKey{verifier{algorithms: []string{"RS256", "RS384", "RS512"}, key: k}}, nil
	case *ecdsa.PublicKey:
		algorithm := ecdsaAlgorithm(k.Curve)
		if algorithm == "" {
			return PublicKey{}, errors.New("an ECDSA key is on none of the curves P-256, P-384 and P-521")
		}
		return PublicKey{verifier{algorithms: []string{algorithm}, key: k}}, nil
	case ed25519.PublicKey:
		return PublicKey{verifier{algorithms: []string{"EdDSA"}, key: k}}, nil
	}
	return PublicKey{}, errors.New("it is no public key of the kinds RSA, ECDSA and Ed25519")
}

func ecdsaAlgorithm(c elliptic.Curve) string {
	switch c {
	case elliptic.P256():
		return "ES256"
	case elliptic.P384():
		return "ES384"
	case elliptic.P521():
		return "ES512"
	}
	return ""
}
