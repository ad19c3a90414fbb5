package config

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"magpie/internal/tokenkey"
)

// Load reads the file, the environment (as os.Environ gives it) and the flags,
// checks all of it and returns the settings that hold. The error is a
// Problems with everything that is wrong. flags may be nil.
func Load(flags *Flags, environ []string) (*Config, error) {
	l := loader{config: &Config{from: make(map[string]string)}, broken: make(map[string]bool)}
	l.defaults()
	file := fromEnviron(environ, "MAGPIE_CONFIG")
	if flags != nil {
		file = cmp.Or(flags.file, file)
		l.checkRedis = flags.CheckRedis
	}
	if file != "" {
		l.layer(readFile(file))
	}
	l.layer(readEnviron(environ))
	if flags != nil {
		l.layer(flags.raws(), flags.problems())
	}
	l.finish()
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return l.config, nil
}

// Default returns the settings of a server that was told nothing.
func Default() *Config {
	c, err := Load(nil, nil)
	if err != nil {
		panic(err) // the table's own defaults are wrong; a test holds them
	}
	return c
}

type loader struct {
	config   *Config
	problems Problems
	broken   map[string]bool // settings that were given and could not be read

	checkRedis func(string) error // may be nil
}

func (l *loader) defaults() {
	for i := range settings {
		s := &settings[i]
		if s.def != "" {
			l.read(s, raw{source: "default", texts: []string{s.def}})
		}
	}
	clear(l.config.from)
}

// layer lays one source over what is there. It reads settings that a later
// layer replaces too: a mistake is a mistake wherever it stands.
func (l *loader) layer(raws map[string]raw, problems Problems) {
	l.problems = append(l.problems, problems...)
	for i := range settings {
		if r, ok := raws[settings[i].key]; ok {
			l.read(&settings[i], r)
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

// finish settles what depends on more than one setting.
func (l *loader) finish() {
	c := l.config
	if c.Node == "" {
		c.Node = nodeName()
	}
	if c.from["outbox"] == "" {
		c.Limits.Outbox = max(c.Limits.Outbox, 2*c.Limits.MaxPayload)
	}
	l.checkOutbox()
	l.checkTLS()
	l.readKeys()
	l.checkAccess()
	l.checkIngest()
	l.problems = append(l.problems, c.buildRules()...)
	c.ruleTexts = nil
}

// checkOutbox keeps a message from being one that no client can ever get: an
// outbox has to hold it in the protocol's own encoding.
func (l *loader) checkOutbox() {
	c := l.config
	if l.broken["outbox"] || l.broken["max_payload"] || c.Limits.Outbox >= 2*c.Limits.MaxPayload {
		return
	}
	l.problems.addf(c.from["outbox"], "an outbox of %s cannot hold a message of %s in every protocol; raise it to %s or leave it out",
		formatSize(c.Limits.Outbox), formatSize(c.Limits.MaxPayload), formatSize(2*c.Limits.MaxPayload))
}

func (l *loader) checkTLS() {
	c := l.config
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
	case c.TLSKey == "":
		l.problems.addf(c.from["tls_cert"], "a certificate needs its key; set tls_key (--tls-key, MAGPIE_TLS_KEY) too")
	case c.TLSCert == "":
		l.problems.addf(c.from["tls_key"], "a key needs its certificate; set tls_cert (--tls-cert, MAGPIE_TLS_CERT) too")
	default:
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			l.problems.addf(c.from["tls_cert"], "the certificate and its key cannot be used (%s); give PEM files that belong together", err)
		}
	}
}

// readKeys reads the public keys, and asks for something to check with where
// something is to be checked.
func (l *loader) readKeys() {
	c := l.config
	for _, name := range c.TokenKeyFiles {
		keys, err := readKeyFile(name)
		if err != nil {
			l.problems.addf(c.from["token_public_keys"], "the key file %s cannot be used: %s", name, err)
			continue
		}
		c.TokenKeys = append(c.TokenKeys, keys...)
	}
	if c.Tokens() {
		return
	}
	for _, one := range []struct{ key, value string }{{"token_audience", c.TokenAudience}, {"token_issuer", c.TokenIssuer}} {
		if one.value != "" {
			l.problems.addf(c.from[one.key], "%s is about tokens and there is nothing to check them with; set token_secret, token_public_keys or token_jwks, or leave it out", one.key)
		}
	}
}

// maxKeyFile is far above a dozen keys or a certificate chain.
const maxKeyFile = 256 << 10

func readKeyFile(name string) ([]tokenkey.Key, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, errors.New(reason(err))
	}
	if len(text) > maxKeyFile {
		return nil, errors.New("it is longer than 256KB")
	}
	return tokenkey.ParsePEM(text)
}

// checkAccess is the line between a trial and a hole: a server that others
// can reach asks for tokens, unless its owner says in so many words that it
// should not.
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

func (l *loader) checkIngest() {
	c := l.config
	if c.Redis != "" || l.broken["redis"] {
		return
	}
	for _, one := range []struct {
		key   string
		value []string
	}{{"ingest.streams", c.Ingest.Streams}, {"ingest.channels", c.Ingest.Channels}} {
		if len(one.value) > 0 { // an empty list asks for nothing
			l.problems.addf(c.from[one.key], "%s reads from Redis and there is none; set redis (--redis, MAGPIE_REDIS), or leave it out", one.key)
		}
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
