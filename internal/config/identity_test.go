package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie/internal/channel"
)

// keyFile writes a PEM block to a file and returns its name.
func keyFile(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func publicFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	return keyFile(t, "PUBLIC KEY", der, err)
}

// Every way to check tokens shuts the door to those without one.
func TestAnythingThatChecksTokensEndsOpenMode(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{
		"--token-secret=" + secret,
		"--token-public-keys=" + publicFile(t, ed),
		"--token-jwks=https://id.example.com/jwks",
	} {
		for _, addr := range []string{"localhost:0", ":8080"} {
			c := mustLoad(t, "", nil, []string{arg, "--addr", addr})
			if c.OpenMode() || c.Rules.For("x").Subscribe != channel.Users {
				t.Errorf("%.20s on %s: open", arg, addr)
			}
		}
	}
}

func TestKeyFiles(t *testing.T) {
	ec := newECDSA(t)
	one, two := publicFile(t, ec.Public()), publicFile(t, newECDSA(t).Public())
	c := mustLoad(t, "", nil, []string{"--token-public-keys", one + "," + two})
	if len(c.TokenKeys) != 2 || !slices.Equal(c.TokenKeys[0].Algorithms, []string{"ES256"}) || !ec.Public().(*ecdsa.PublicKey).Equal(c.TokenKeys[0].Material) {
		t.Errorf("%+v", c.TokenKeys)
	}
	var out bytes.Buffer
	if err := c.Show(&out); err != nil || !strings.Contains(out.String(), one) {
		t.Errorf("show: %v\n%s", err, &out)
	}
	private, err := x509.MarshalECPrivateKey(ec)
	secretFile := keyFile(t, "EC PRIVATE KEY", private, err)
	empty := keyFile(t, "SOMETHING", nil, nil)
	long := filepath.Join(t.TempDir(), "long.pem")
	if err := os.WriteFile(long, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	// Each broken file is reported, and a broken one is not a missing one: the
	// server does not also ask for a secret.
	_, err = load(t, "", nil, []string{"--addr=:80", "--token-public-keys", strings.Join([]string{"/no/such.pem", secretFile, empty, long, one}, ",")})
	want := []string{"/no/such.pem cannot be used: no such file", "private key", "no PUBLIC KEY", "longer than 256KB"}
	got := lines(err)
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) || !strings.HasPrefix(got[i], "--token-public-keys: ") {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
}

// A certificate is tried with its key before anything listens.
func TestCertificateAndKey(t *testing.T) {
	one, other := newECDSA(t), newECDSA(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, one.Public(), one)
	certificate := keyFile(t, "CERTIFICATE", der, err)
	private := func(k *ecdsa.PrivateKey) string {
		der, err := x509.MarshalECPrivateKey(k)
		return keyFile(t, "EC PRIVATE KEY", der, err)
	}
	if c := mustLoad(t, "", nil, []string{"--tls-cert", certificate, "--tls-key", private(one)}); !c.TLS() {
		t.Error("no TLS with a certificate")
	}
	if mustLoad(t, "", nil, nil).TLS() {
		t.Error("TLS without a certificate")
	}
	_, err = load(t, "", nil, []string{"--tls-cert", certificate, "--tls-key", private(other)})
	if got := lines(err); len(got) != 1 || !strings.Contains(got[0], "give PEM files that belong together") {
		t.Errorf("another certificate's key: %q", got)
	}
}

func TestBrokenIdentitySettings(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--token-jwks=http://id.example.com/jwks", "is not https"},
		{"--token-jwks=https://user:hunter2@id.example.com/", "user or a password"},
		{"--token-jwks=jwks.json", "is no URL"},
		{"--token-audience=a", "nothing to check them with"},
		{"--token-issuer=a", "nothing to check them with"},
		{"--personal-channel=a b", "cannot begin users' channels"},
		{"--personal-channel=$user:", "no $ first"},
		{"--personal-channel=" + strings.Repeat("x", 101), "cannot begin users' channels"},
	} {
		_, err := load(t, "", nil, []string{test.arg})
		got := lines(err)
		if len(got) != 1 || !strings.Contains(got[0], test.want) || strings.Contains(got[0], "hunter2") {
			t.Errorf("%s\n got %q\nwant %q", test.arg, got, test.want)
		}
	}
	c := mustLoad(t, "personal_channel: 'user:'\ntoken_audience: a\ntoken_issuer: b\n", []string{"MAGPIE_TOKEN_SECRET=" + secret}, nil)
	if c.Personal != "user:" || c.TokenAudience != "a" || c.TokenIssuer != "b" {
		t.Errorf("%+v", c)
	}
}

// Every key of a rule reaches its own field, and only that.
func TestEveryKeyOfARule(t *testing.T) {
	for written, change := range map[string]func(*channel.Rule){
		"recover: false":       func(r *channel.Rule) { r.Recover = false },
		"delta: off":           func(r *channel.Rule) { r.Delta = false },
		"presence: no":         func(r *channel.Rule) { r.Presence = false },
		"join_leave: on":       func(r *channel.Rule) { r.JoinLeave = channel.JoinLeaveOn },
		"join_leave: Force":    func(r *channel.Rule) { r.JoinLeave = channel.JoinLeaveForce },
		"subscribe: Server":    func(r *channel.Rule) { r.Subscribe = channel.Server },
		"publish: nobody":      func(r *channel.Rule) { r.Publish = channel.Nobody },
		"history: users":       func(r *channel.Rule) { r.History = channel.Users },
		"members: server":      func(r *channel.Rule) { r.Members = channel.Server },
		"members: anyone":      func(r *channel.Rule) {},
		"publish: subscribers": func(r *channel.Rule) { r.Publish = channel.Subscribers },
		"log: off":             func(r *channel.Rule) { r.Log.Size, r.Recover = 0, false },
		"log: false":           func(r *channel.Rule) { r.Log.Size, r.Recover = 0, false },
		"log: on":              func(r *channel.Rule) {},
		"log: {size: 0}":       func(r *channel.Rule) { r.Log.Size, r.Recover = 0, false },
	} {
		want := channel.Default(channel.Anyone)
		want.Match = "x"
		change(&want)
		c := mustLoad(t, "rules:\n  - match: x\n    "+written+"\n", nil, nil)
		if got := *c.Rules.For("x"); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", written, got, want)
		}
		var out bytes.Buffer
		if err := c.Show(&out); err != nil {
			t.Fatal(err)
		}
		if got := *mustLoad(t, out.String(), nil, nil).Rules.For("x"); got != want {
			t.Errorf("%s, shown and read back:\n got %+v\nwant %+v\n%s", written, got, want, &out)
		}
	}
}

func TestRulesThatContradictThemselves(t *testing.T) {
	for written, want := range map[string]string{
		"recover: true, log: off":       "recover: true needs a log",
		"log: {size: 0}, recover: true": "recover: true needs a log",
		"subscribe: subscribers":        "would let nobody in",
		"members: everybody":            `members: "everybody" is none of`,
		"history: ''":                   `history: "" is none of`,
		"delta: maybe":                  "delta: \"maybe\" is neither true nor false",
		"log: 0":                        "log is no plain value",
		"log: 1":                        "log is no plain value",
		"joinleave: true":               "did you mean join_leave?",
		"member: users":                 "did you mean members?",
	} {
		_, err := load(t, "rules: [{match: x, "+written+"}]", nil, nil)
		if got := lines(err); len(got) != 1 || !strings.Contains(got[0], want) || !strings.Contains(got[0], "rule 1: ") {
			t.Errorf("%s\n got %q\nwant %q", written, got, want)
		}
	}
}
