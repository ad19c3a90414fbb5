package app

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is what the server shows to clients of TLS. It can be read again
// while the server runs: connections keep the one that they began with.
type certificate struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]
}

func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	pair, err := c.read()
	c.now.Store(pair)
	return c, err
}

// read reads the files anew; the certificate stays as it was.
func (c *certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("tls_cert and tls_key do not hold a certificate and its key in PEM: %w", err)
	}
	return &pair, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}
