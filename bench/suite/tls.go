//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"magpie/internal/bench"
)

// tlsFigure is what a connection costs with TLS or without it, by the
// portable client, which speaks both.
type tlsFigure struct {
	Target     string  `json:"target"`
	TLS        bool    `json:"tls"`
	RSSPerConn float64 `json:"rss_per_connection"`
	ConnectUs  float64 `json:"connect_cpu_us"`
	// Resident is what the memory is made of, where the server tells.
	Resident *residentFigure `json:"resident,omitempty"`
}

// certificate is a pair of PEM files for 127.0.0.1, and who trusts it.
type certificate struct {
	cert, key string // files
	roots     *x509.CertPool
}

func measureTLS(o options, f *figures) error {
	dir, err := os.MkdirTemp("", "magpie-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := newCertificate(dir)
	if err != nil {
		return err
	}
	f.TLS = nil
	for _, t := range []struct {
		name, door string
		start      func(...string) (*server, error)
		tls        []string
	}{
		{"peer, tuned", "centrifuge", func(more ...string) (*server, error) { return peer(append(more, "-tuned")...) }, []string{"-cert", c.cert, "-key", c.key}},
		{"Magpie, raw", "raw", magpie, []string{"--tls-cert", c.cert, "--tls-key", c.key}},
		{"Magpie, Centrifuge", "centrifuge", magpie, []string{"--tls-cert", c.cert, "--tls-key", c.key}},
	} {
		for _, secure := range []bool{false, true} {
			to, args := bench.Target{Door: t.door, Roots: c.roots}, []string(nil)
			if secure {
				args = t.tls
			}
			one, err := overTLS(o, to, secure, func() (*server, error) { return t.start(args...) })
			if err != nil {
				return fmt.Errorf("%s, TLS %t: %w", t.name, secure, err)
			}
			one.Target = t.name
			if one.Resident != nil {
				one.Resident.Target = t.name + map[bool]string{true: ", TLS", false: ", plain"}[secure]
			}
			f.TLS = append(f.TLS, one)
			log.Printf("%-18s TLS %-5t %5.1f KB and %.0f µs a connection", t.name, secure, one.RSSPerConn/1024, one.ConnectUs)
		}
	}
	return nil
}

func overTLS(o options, to bench.Target, secure bool, start func() (*server, error)) (tlsFigure, error) {
	s, err := start()
	if err != nil {
		return tlsFigure{}, err
	}
	defer s.stop()
	to.URL = "http://" + s.addr
	if secure {
		to.URL = "https://" + s.addr
	}
	p := shorten(o, bench.Plan{Connections: 2000, Settle: 8 * time.Second})
	p.Target, p.Size, p.PID, p.Dialing, p.Name = to, payload, s.pid(), 50, "tls"
	time.Sleep(300 * time.Millisecond) // as in runLoad
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: to.Roots}}}
	defer client.CloseIdleConnections()
	before, beforeErr := memoryBefore(client, to.URL, s)
	var after map[string]float64
	var settling time.Duration // since when
	r, err := bench.Run(context.Background(), p, func(now bench.Progress) {
		if settling == 0 && now.Phase == "settling" {
			settling = now.Elapsed
		}
		// Once, and near the end: each time is work for the server.
		if settling > 0 && after == nil && beforeErr == nil && now.Elapsed-settling > p.Settle*3/4 {
			after, _ = memory(client, to.URL, s)
		}
	})
	if err != nil {
		return tlsFigure{}, err
	}
	if r.Joined < p.Connections {
		return tlsFigure{}, fmt.Errorf("%d of %d connections got in; %v", r.Joined, p.Connections, r.Trouble)
	}
	f := tlsFigure{TLS: secure, RSSPerConn: r.Server.RSSPerConn, ConnectUs: r.Server.ConnectCPUUs}
	if after != nil {
		made := split("", p.Connections, before, after)
		f.Resident = &made
	}
	return f, nil
}

func tlsTable(b *strings.Builder, all []tlsFigure) {
	b.WriteString("\n### TLS: 2,000 idle connections\n\nThe server ends TLS itself (1.3, a certificate on P-256, no session resumed). The portable client, over plain TCP, too.\n\n")
	b.WriteString("| server | | memory per connection, KB | CPU per connect, µs |\n|---|---|---|---|\n")
	for _, t := range all {
		over := "plain"
		if t.TLS {
			over = "TLS"
		}
		fmt.Fprintf(b, "| %s | %s | **%s** | **%s** |\n", t.Target, over, digits3(t.RSSPerConn/1024), digits3(t.ConnectUs))
	}
	b.WriteString("\nWhat the memory is made of, in bytes for each connection:\n\n" + residentHead)
	for _, t := range all {
		if t.Resident != nil {
			residentRows(b, []residentFigure{*t.Resident})
		}
	}
}

// newCertificate makes a key pair on P-256, which public authorities issue by
// default, too, and signs it with itself.
func newCertificate(dir string) (c certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "magpie bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return c, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	c = certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.roots.AppendCertsFromPEM(text)
	if err := os.WriteFile(c.cert, text, 0o600); err != nil {
		return c, err
	}
	return c, os.WriteFile(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
