package config

import (
	"strings"
	"time"
)

// setting is one row of the table that everything else is made from: flags,
// environment variables, file keys, defaults, checks and the reference page.
type setting struct {
	key    string // in the file; a dot nests
	def    string // as a user would write it
	secret bool   // never shown
	value  value
	help   string // one or two sentences; the first is --help's
}

func (s *setting) flag() string { return strings.NewReplacer("_", "-", ".", "-").Replace(s.key) }

func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings is in the order in which the reference page shows them.
var settings = []setting{
	{key: "addr", def: "localhost:8080",
		value: text(func(c *Config) *string { return &c.Addr }, checkAddr),
		help:  "Address to listen on, host:port. Use :8080 to be reached from other machines; port 0 asks the system for a free one."},
	{key: "redis",
		value: one[string]{func(c *Config) *string { return &c.Redis }, anyText, RedactURL, "URL"},
		help:  "URL of the Redis that the nodes share, such as redis://user:password@host:6379/0, rediss:// for TLS or unix:///path; or of a cluster, as redis+cluster://host,host,host. Empty: everything stays in this process."},
	{key: "prefix", def: DefaultPrefix,
		value: text(func(c *Config) *string { return &c.Prefix }, checkPrefix),
		help:  "Beginning of all of Magpie's keys in Redis, and of the function's name (magpie_publish). Servers with different prefixes do not see each other's logs."},
	{key: "node",
		value: text(func(c *Config) *string { return &c.Node }, checkNode),
		help:  "Name of this server among the nodes; two nodes must not share one. Empty: the host's name and a random end."},
	{key: "open", def: "false",
		value: truth(func(c *Config) *bool { return &c.Open }),
		help:  "Let anyone join and publish without a token. On a loopback address this holds by itself while no token_ setting says what tokens are checked with."},
	{key: "token_secret", secret: true,
		value: many{func(c *Config) *[]string { return &c.TokenSecrets }, checkTokenSecret},
		help:  "Secrets of at least 32 bytes that tokens are signed with (HS256, HS384, HS512). While you rotate, give the new one first and the old one after it."},
	{key: "token_public_keys",
		value: many{func(c *Config) *[]string { return &c.TokenKeyFiles }, anyText},
		help:  "PEM files with the public keys that tokens are checked with: RSA (RS256, RS384, RS512), ECDSA (ES256, ES384, ES512) or Ed25519 (EdDSA). While you rotate, give both."},
	{key: "token_jwks",
		value: one[string]{func(c *Config) *string { return &c.TokenJWKS }, checkJWKS, func(s string) string { return s }, "URL"},
		help:  "URL of the JSON Web Key Set that tokens are checked with, https or on this machine. It is fetched when it is needed and kept as long as it says, one minute to one hour; redirects are not followed."},
	{key: "token_audience",
		value: text(func(c *Config) *string { return &c.TokenAudience }, anyText),
		help:  "What every token must have in its aud claim. Empty: anything."},
	{key: "token_issuer",
		value: text(func(c *Config) *string { return &c.TokenIssuer }, anyText),
		help:  "What every token must have as its iss claim. Empty: anything."},
	{key: "personal_channel", def: "user:",
		value: text(func(c *Config) *string { return &c.Personal }, checkPersonal),
		help:  "Prefix of the channels that belong to one user each. Only user 42 may listen to user:42. Only that user and servers may publish there, unless a rule says publish: anyone. Empty: there are none."},
	{key: "personal_subscribe", def: "false",
		value: truth(func(c *Config) *bool { return &c.PersonalSubscribe }),
		help:  "Subscribe users to their personal channel when they connect through the Centrifuge door, asked or not."},
	{key: "api_key", secret: true,
		value: many{func(c *Config) *[]string { return &c.APIKeys }, checkAPIKey},
		help:  "Keys of at least 16 characters, better 32, with which your servers publish and use the API (header X-API-Key). Make one with: openssl rand -hex 32. Give two while you rotate."},
	{key: "allowed_origins",
		value: many{func(c *Config) *[]string { return &c.AllowedOrigins }, checkOrigin},
		help:  "Origins of the pages that may connect, such as https://app.example.com; * allows all. Empty: the server's own origin and localhost."},
	{key: "tls_cert",
		value: text(func(c *Config) *string { return &c.TLSCert }, anyText),
		help:  "PEM file with the certificate chain, to speak TLS without a proxy in front. Needs tls_key."},
	{key: "tls_key",
		value: text(func(c *Config) *string { return &c.TLSKey }, anyText),
		help:  "PEM file with the certificate's private key."},
	{key: "max_payload", def: "64KB",
		value: size(func(c *Config) *int { return &c.Limits.MaxPayload }, 1, 64<<20),
		help:  "Longest message, in bytes of its payload. Longer ones are refused before they are read in full."},
	{key: "outbox", def: "1MB",
		value: size(func(c *Config) *int { return &c.Limits.Outbox }, 1<<10, 1<<30),
		help:  "How much may wait for one client before it counts as too slow and is asked to come back. Raised by itself to twice max_payload."},
	{key: "max_subscriptions", def: "128",
		value: count(func(c *Config) *int { return &c.Limits.Subscriptions }, 1, 100_000),
		help:  "How many channels one client may be in."},
	{key: "ping_interval", def: "25s",
		value: duration(func(c *Config) *time.Duration { return &c.Times.PingInterval }, 100*time.Millisecond, time.Hour),
		help:  "After this long without a word from a client it is pinged. Keep it under the idle timeout of the proxies in front."},
	{key: "pong_timeout", def: "10s",
		value: duration(func(c *Config) *time.Duration { return &c.Times.PongTimeout }, 100*time.Millisecond, time.Hour),
		help:  "A client that leaves a ping unanswered for this long is disconnected."},
	{key: "write_timeout", def: "10s",
		value: duration(func(c *Config) *time.Duration { return &c.Times.WriteTimeout }, 100*time.Millisecond, time.Hour),
		help:  "A client that takes nothing for this long, while something waits for it, is disconnected."},
	{key: "drain_timeout", def: "15s",
		value: duration(func(c *Config) *time.Duration { return &c.Times.DrainTimeout }, 0, time.Hour),
		help:  "How long a shutdown may take: clients are told to come back elsewhere, spread over this time."},
	{key: "idempotency_window", def: "5m",
		value: duration(func(c *Config) *time.Duration { return &c.Times.IdempotencyWindow }, time.Second, 7*24*time.Hour),
		help:  "For this long a publish with the same idempotency key answers the first result."},
	{key: "coalesce", def: "5ms",
		value: duration(func(c *Config) *time.Duration { return &c.Times.Coalesce }, 0, time.Second),
		help:  "Under a burst, how long messages of a channel may wait to leave together, which saves most of the work. One that comes alone never waits. 0: none does."},
	{key: "log_level", def: "info",
		value: choice(func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error"),
		help:  "Log lines of this level and above."},
	{key: "log_format", def: "auto",
		value: choice(func(c *Config) *string { return &c.Log.Format }, "auto", "text", "json"),
		help:  "Form of the log, on standard error. auto: text on a terminal and JSON elsewhere."},
	{key: "ingest.streams",
		value: many{func(c *Config) *[]string { return &c.Ingest.Streams }, checkStream},
		help:  "Redis streams whose entries are published, each exactly once: fields channel, payload, idempotency_key. Needs redis."},
	{key: "ingest.channels",
		value: many{func(c *Config) *[]string { return &c.Ingest.Channels }, checkGlob},
		help:  "Globs of channels whose plain PUBLISH is kept in the log even while no client listens. Needs redis."},
	{key: "rules", value: rules{},
		help: "What holds in which channels: a list of rules; the first whose match fits a channel's name holds. They are described in docs/configuration.md."},
}

// fromOutside are MAGPIE_ variables that are no settings: the file's name,
// what the client commands read, and the binary under test.
var fromOutside = []string{"MAGPIE_CONFIG", "MAGPIE_URL", "MAGPIE_TOKEN", "MAGPIE_BIN"}

// DefaultPrefix is the prefix of servers that were told none.
const DefaultPrefix = "magpie"

const envPrefix = "MAGPIE_"

func lookup(key string) *setting {
	for i := range settings {
		if settings[i].key == key {
			return &settings[i]
		}
	}
	return nil
}

func names(of func(*setting) string) []string {
	all := make([]string, len(settings))
	for i := range settings {
		all[i] = of(&settings[i])
	}
	return all
}
