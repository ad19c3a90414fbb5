package tokenkey

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ParsePEM returns the public keys in a PEM file, several of them for a
// rotation: PUBLIC KEY, RSA PUBLIC KEY, or CERTIFICATE for the key in it (its
// dates and names are not looked at). A private key is an error: it has no
// business on a server that only checks. Errors quote nothing of the file.
func ParsePEM(text []byte) ([]Key, error) {
	var keys []Key
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		key, err := Public(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no public key in PEM (-----BEGIN PUBLIC KEY-----)")
	}
	return keys, nil
}

func parseBlock(b *pem.Block) (key crypto.PublicKey, err error) {
	if strings.HasSuffix(b.Type, "PRIVATE KEY") {
		return nil, errors.New("it holds a private key; give the public one alone, made with: openssl pkey -in private.pem -pubout")
	}
	switch b.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(b.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(b.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(b.Bytes); err == nil {
			key = c.PublicKey
		}
	default:
		return nil, fmt.Errorf("it holds a %.30q and no PUBLIC KEY", b.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its %s cannot be read", b.Type)
	}
	return key, nil
}
