package config

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"magpie/internal/tokenkey"
)

// Load reads the file, the environment (as os.Environ gives it) and the flags,
// checks all of it and returns the settings that hold. The error is a
// Problems with everything that is wrong. flags may be nil.
func Load(flags *Flags, environ []string) (*Config, error) {
	if flags == nil {
		flags = Bind(pflag.NewFlagSet("", pflag.ContinueOnError))
	}
	l := newLoader()
	l.checkRedis = flags.CheckRedis
	if file := cmp.Or(flags.file, Getenv(environ, "MAGPIE_CONFIG")); file != "" {
		l.layer(readFile(file))
	}
	l.layer(readEnviron(environ))
	l.layer(flags.read())
	l.finish()
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return l.config, nil
}

// loader is one run of Load.
type loader struct {
	config     *Config
	problems   Problems
	broken     map[string]bool    // settings that were given and could not be read
	checkRedis func(string) error // may be nil
}

// newLoader starts with the defaults.
func newLoader() *loader {
	l := &loader{config: &Config{from: make(map[string]string)}, broken: make(map[string]bool)}
	for _, s := range settings {
		if s.def != "" {
			l.read(s, raw{source: "default", texts: []string{s.def}})
		}
	}
	clear(l.config.from)
	return l
}

// layer reads one source over what earlier ones gave. Settings that a later
// source replaces are checked too, so that no mistake stays hidden.
func (l *loader) layer(raws map[string]raw, problems Problems) {
	l.problems = append(l.problems, problems...)
	for _, s := range settings {
		if r, ok := raws[s.key]; ok {
			l.read(s, r)
		}
	}
}

func (l *loader) read(s *setting, r raw) {
	l.config.from[s.key] = r.source
	err := s.value.read(l.config, r)
	if s.key == "redis" && err == nil && l.config.Redis != "" && l.checkRedis != nil {
		err = l.checkRedis(l.config.Redis)
	}
	if err == nil {
		delete(l.broken, s.key)
		return
	}
	l.broken[s.key] = true
	for _, e := range each(err) {
		text := e.Error()
		if r.node != nil {
			text = s.key + ": " + text
		}
		l.problems = append(l.problems, Problem{r.source, text})
	}
}

func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// finish checks and fills in what depends on more than one setting.
func (l *loader) finish() {
	c := l.config
	if c.Node == "" {
		c.Node = nodeName()
	}
	if c.from["outbox"] == "" {
		c.Limits.Outbox = max(c.Limits.Outbox, 2*c.Limits.MaxPayload)
	}
	if c.from["drain_delay"] == "" && Loopback(c.Addr) {
		c.Times.DrainDelay = 0 // there is no balancer in front
	}
	l.checkOutbox()
	l.checkProxies()
	l.checkTLS()
	l.readKeys()
	l.checkAccess()
	l.checkInternal()
	if c.Redis == "" && !l.broken["redis"] {
		l.useless("reads from Redis and there is none; set redis (--redis, MAGPIE_REDIS), or leave it out", "ingest.streams", "ingest.channels")
	}
	l.problems = append(l.problems, c.buildRules()...)
	if c.TokenJWKS != "" && c.TokenAudience == "" {
		c.warnings.addf("token_audience", "whoever has keys in token_jwks also signs tokens for other applications, and all of them are let in; set token_audience to the aud of the tokens that are for this server")
	}
	c.ruleTexts = nil
}

func (l *loader) checkInternal() {
	c := l.config
	if c.Internal == "" && c.PublicMetrics {
		l.problems.addf(c.from["public_metrics"], "/metrics is at addr anyway while there is no internal_addr; set internal_addr (--internal-addr, MAGPIE_INTERNAL_ADDR), or leave public_metrics out")
	}
	if c.Internal == c.Addr && !strings.HasSuffix(c.Addr, ":0") && !l.broken["internal_addr"] {
		l.problems.addf(c.from["internal_addr"], "internal_addr and addr are both %s; give each a port of its own", c.Addr)
	}
}

// checkOutbox makes sure that an outbox can hold the longest message in every
// protocol's encoding. Else no client could ever receive it.
func (l *loader) checkOutbox() {
	c := l.config
	if l.broken["outbox"] || l.broken["max_payload"] || c.Limits.Outbox >= 2*c.Limits.MaxPayload {
		return
	}
	l.problems.addf(c.from["outbox"], "an outbox of %s cannot hold a message of %s in every protocol; raise it to %s or leave it out",
		formatSize(c.Limits.Outbox), formatSize(c.Limits.MaxPayload), formatSize(2*c.Limits.MaxPayload))
}

func (l *loader) checkProxies() {
	if c := l.config; c.ProxyProtocol && len(c.Proxies) == 0 {
		l.problems.addf(c.from["proxy_protocol"], "whose PROXY headers are to be read; name the proxies in trusted_proxies (--trusted-proxies, MAGPIE_TRUSTED_PROXIES)")
	}
}

func (l *loader) checkTLS() {
	c := l.config
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		l.problems.addf(c.from["tls_cert"], "a certificate needs its key; set tls_key (--tls-key, MAGPIE_TLS_KEY) too")
	case c.TLSCert == "" && c.TLSKey != "":
		l.problems.addf(c.from["tls_key"], "a key needs its certificate; set tls_cert (--tls-cert, MAGPIE_TLS_CERT) too")
	case c.TLSCert != "":
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			l.problems.addf(c.from["tls_cert"], "the certificate and its key cannot be used (%s); give PEM files that belong together", err)
		}
	}
}

// readKeys reads the public keys, and reports settings that need a key where
// there is none.
func (l *loader) readKeys() {
	c := l.config
	var err error
	if c.TokenKeys, err = ReadKeyFiles(c.TokenKeyFiles); err != nil {
		for _, e := range each(err) {
			l.problems.addf(c.from["token_public_keys"], "%s", e)
		}
	}
	if !c.Tokens() {
		l.useless("is about tokens and there is nothing to check them with; set token_secret, token_public_keys or token_jwks, or leave it out", "token_audience", "token_issuer")
	}
}

// useless reports those of the settings that were given, because what they
// depend on was not. An empty value asks for nothing.
func (l *loader) useless(why string, keys ...string) {
	for _, key := range keys {
		if strings.Join(lookup(key).value.show(l.config), "") != "" {
			l.problems.addf(l.config.from[key], "%s %s", key, why)
		}
	}
}

// maxKeyFile is far above a dozen keys or a certificate chain.
const maxKeyFile = 256 << 10

// ReadKeyFiles returns the public keys in PEM files. The error joins one for
// each file that cannot be used.
func ReadKeyFiles(names []string) (all []tokenkey.Key, err error) {
	var errs []error
	for _, name := range names {
		keys, err := readKeyFile(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("the key file %s cannot be used: %w", name, err))
		}
		all = append(all, keys...)
	}
	return all, errors.Join(errs...)
}

func readKeyFile(name string) ([]tokenkey.Key, error) {
	text, err := readAtMost(name, maxKeyFile+1)
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, errors.New("it is longer than 256KB")
	}
	return tokenkey.ParsePEM(text)
}

// checkAccess refuses an address that other machines can reach while no token
// is checked, unless --open says that this is meant.
func (l *loader) checkAccess() {
	c := l.config
	for _, key := range []string{"addr", "open", "token_secret", "token_public_keys", "token_jwks"} {
		if l.broken[key] {
			return
		}
	}
	if !c.Tokens() && !c.OpenMode() {
		l.problems.addf(c.from["addr"], "%s can be reached from other machines and nobody has to show a token there; set --token-secret (MAGPIE_TOKEN_SECRET), --token-public-keys or --token-jwks, or give --open to let anyone join and publish, or listen on localhost", c.Addr)
	}
}

// nodeName is the host's name, for people, and a random end, because two
// processes on one host are two nodes.
func nodeName() string {
	host, err := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	if err != nil || !nodeForm.MatchString(host) {
		host = "node"
	}
	end := make([]byte, 3)
	rand.Read(end) // never fails since Go 1.24
	return host[:min(len(host), 48)] + "-" + hex.EncodeToString(end)
}
