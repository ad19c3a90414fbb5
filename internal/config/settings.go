package config

import (
	"strings"
	"time"
)

// setting is one row of the table that everything else is made from: flags,
// environment variables, file keys, defaults, checks and the reference page.
type setting struct {
	key   string // in the file; a dot nests
	def   string // as a user would write it
	value value
	help  string // sentences, for --help and the page
}

func (s *setting) flag() string { return strings.NewReplacer("_", "-", ".", "-").Replace(s.key) }

func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings is in the order in which the reference page shows them.
var settings = []*setting{
	{"addr", "localhost:8080", text(func(c *Config) *string { return &c.Addr }, checkAddr),
		"Address to listen on, host:port. Use :8080 to be reached from other machines; port 0 asks the system for a free one."},
	{"internal_addr", "", text(func(c *Config) *string { return &c.Internal }, optional(checkInternal)),
		"Address of a second listener, for those who run the server and not for clients: /metrics, /readyz with its reasons, and profiles under /debug/pprof/. Without a host, as in :9090, only this machine reaches it. /readyz at addr then says yes or no and nothing more. Empty: there is none, and all but the profiles is at addr."},
	{"public_metrics", "false", boolean(func(c *Config) *bool { return &c.PublicMetrics }),
		"With internal_addr: have /metrics at addr as well."},
	{"redis", "", one("URL", func(c *Config) *string { return &c.Redis }, anyText, RedactURL),
		"URL of the Redis that the nodes share, such as redis://user:password@host:6379/0, rediss:// for TLS or unix:///path; or of a cluster, as redis+cluster://host,host,host. Empty: everything stays in this process."},
	{"prefix", DefaultPrefix, text(func(c *Config) *string { return &c.Prefix }, matching(prefixForm, "cannot begin a key; write 1 to 64 letters, digits and . _ - :, with a letter or digit first")),
		"Beginning of all of Magpie's keys in Redis, and of the function's name (magpie_publish). Servers with different prefixes do not see each other's logs."},
	{"node", "", text(func(c *Config) *string { return &c.Node }, optional(matching(nodeForm, "cannot name a node; write 1 to 63 letters, digits, dots, - and _"))),
		"Name of this server among the nodes; two nodes must not share one. Empty: the host's name and a random end."},
	{"open", "false", boolean(func(c *Config) *bool { return &c.Open }),
		"Let anyone join and publish without a token. On a loopback address this holds by itself while no token_ setting says what tokens are checked with."},
	{"token_secret", "", secrets(func(c *Config) *[]string { return &c.TokenSecrets }, checkTokenSecret),
		"Secrets of at least 32 bytes that tokens are signed with (HS256, HS384, HS512). While you rotate, give the new one first and the old one after it."},
	{"token_public_keys", "", list(func(c *Config) *[]string { return &c.TokenKeyFiles }, anyText),
		"PEM files with the public keys that tokens are checked with: RSA (RS256, RS384, RS512), ECDSA (ES256, ES384, ES512) or Ed25519 (EdDSA). While you rotate, give both."},
	{"token_jwks", "", one("URL", func(c *Config) *string { return &c.TokenJWKS }, optional(checkJWKS), itself),
		"URL of the JSON Web Key Set that tokens are checked with, https or on this machine. It is fetched when it is needed and kept as long as it says, one minute to one hour; redirects are not followed."},
	{"token_audience", "", text(func(c *Config) *string { return &c.TokenAudience }, anyText),
		"What every token must have in its aud claim. Empty: anything."},
	{"token_issuer", "", text(func(c *Config) *string { return &c.TokenIssuer }, anyText),
		"What every token must have as its iss claim. Empty: anything."},
	{"personal_channel", "user:", text(func(c *Config) *string { return &c.Personal }, optional(checkPersonal)),
		"Prefix of the channels that belong to one user each. Only user 42 may listen to user:42. Only that user and servers may publish there, unless a rule says publish: anyone. Empty: there are none."},
	{"personal_subscribe", "false", boolean(func(c *Config) *bool { return &c.PersonalSubscribe }),
		"Subscribe users to their personal channel when they connect through the Centrifuge door, asked or not."},
	{"api_key", "", secrets(func(c *Config) *[]string { return &c.APIKeys }, checkAPIKey),
		"Keys of at least 16 characters, better 32, with which your servers publish and use the API (header X-API-Key). Make one with: openssl rand -hex 32. Give two while you rotate."},
	{"allowed_origins", "", list(func(c *Config) *[]string { return &c.AllowedOrigins }, checkOrigin),
		"Origins of the pages that may connect, such as https://app.example.com, capacitor://localhost or chrome-extension://ID; https://*.example.com means all names below example.com, moz-extension://* all of Firefox's extensions, and * alone everybody. Pages that are named may send cookies, which a proxy in front may ask for; those that only * lets in may not. Empty: the server's own origin and localhost."},
	{"tls_cert", "", text(func(c *Config) *string { return &c.TLSCert }, anyText),
		"PEM file with the certificate chain, to speak TLS without a proxy in front. Needs tls_key."},
	{"tls_key", "", text(func(c *Config) *string { return &c.TLSKey }, anyText),
		"PEM file with the certificate's private key."},
	{"trusted_proxies", "", list(func(c *Config) *[]string { return &c.Proxies }, checkProxy),
		"Addresses and networks, such as 10.0.0.0/8, of the proxies in front. Of a request that comes from one of them X-Forwarded-For says whose it is, or Forwarded where there is no X-Forwarded-For: the last address there that is not a proxy's. A proxy that writes Forwarded must take away the X-Forwarded-For of strangers. Needed for the limits of one address; nobody else's word is taken."},
	{"proxy_protocol", "false", boolean(func(c *Config) *bool { return &c.ProxyProtocol }),
		"Connections of trusted_proxies begin with a PROXY header (version 1 or 2), which names the client: for balancers that pass TCP or TLS through, such as HAProxy with send-proxy-v2, or AWS's. One without it is closed; a client's own header never counts, as no client is a proxy."},
	{"compression", "false", boolean(func(c *Config) *bool { return &c.Compression }),
		"Let WebSocket clients that ask for it (permessage-deflate) have messages compressed, and send such. A message is compressed once for all receivers, from 256 bytes on and never together with another: texts of 800 bytes that repeat themselves shrink to a sixth in 5 µs, short ones do not. Whoever sends one makes the node inflate it, in 1 µs and 80 KB for each that is under way; a connection costs nothing more. Off: a text that strangers write beside a secret can tell of it by its length, and TLS does not hide that."},
	{"max_payload", "64KB", size(func(c *Config) *int { return &c.Limits.MaxPayload }, 1, 64<<20),
		"Longest message, in bytes of its payload. Longer ones are refused before they are read in full."},
	{"outbox", "1MB", size(func(c *Config) *int { return &c.Limits.Outbox }, 1<<10, 1<<30),
		"How much may wait for one client before it counts as too slow and is asked to come back. Raised by itself to twice max_payload."},
	{"max_subscriptions", "128", count(func(c *Config) *int { return &c.Limits.Subscriptions }, 1, 100_000),
		"How many channels one client may be in."},
	{"max_user_sessions", "100", count(func(c *Config) *int { return &c.Limits.UserSessions }, 1, 10_000_000),
		"How many connections one user may have on a node: tabs, phones, programs. Guests without a token are nobody's and are not counted. Raise it where many programs share one token."},
	{"max_handshakes", "2000", count(func(c *Config) *int { return &c.Limits.Handshakes }, 1, 10_000_000),
		"How many WebSockets and streams may begin on a node in a second; a guest's token (`POST /guest`) counts as one. After a rest five times as many may come at once. Over it they are refused with 503 and a time to wait, and those that are open go on undisturbed."},
	{"max_address_handshakes", "50", count(func(c *Config) *int { return &c.Limits.AddressHandshakes }, 1, 10_000_000),
		"How many of them one address may begin in a second; an IPv6 address is its network of 64 bits. After a rest ten times as many may come at once: everybody in an office comes back. Addresses of private networks and of this machine are not bounded, since a proxy may speak for all there; name it in trusted_proxies. Raise it where thousands share an address."},
	{"max_address_sessions", "5000", count(func(c *Config) *int { return &c.Limits.AddressSessions }, 1, 10_000_000),
		"How many connections one address may have on a node. Those of private networks and of this machine are not bounded. Raise it where more share an address."},
	{"max_guesses", "60", count(func(c *Config) *int { return &c.Limits.Guesses }, 1, 10_000_000),
		"How many API keys and tokens that are wrong one address may show in a minute; expired ones do not count. Over it they are refused with 429 and a time to wait. Good ones are always taken, so that nobody shuts out those who share his address."},
	{"max_requests", "1000", count(func(c *Config) *int { return &c.Limits.Requests }, 1, 10_000_000),
		"How many requests one connection may make in a second: messages, subscriptions, questions; and one user, or one guest with a token, over HTTP without a connection. A message counts as one, and one more for each 4 KB. After a rest five times as many may come at once. All connections of one user may make 20 times as many together, and so may all guests of one address (not of this machine or a private network), and all guests over HTTP. For a minute after one of their connections made too many, connections of that user, or of guests of that address, may make twice as many together. Servers are not counted. Raise it where a program publishes for many over one connection."},
	{"max_api_calls", "10000", count(func(c *Config) *int { return &c.Limits.APICalls }, 1, 10_000_000),
		"How many calls may be made with one API key in a second on a node; after a rest five times as many at once. A batch is one call."},
	{"max_new_channels", "600", count(func(c *Config) *int { return &c.Limits.NewChannels }, 1, 10_000_000),
		"How many channels that nobody on this node used lately one client may begin in a minute, by subscribing, publishing or asking for history: one user over all connections and doors, or one connection of nobody in particular. Each leaves something in Redis. After a rest twice as many may come at once (four times max_subscriptions, if that is more): that is many tabs that come back. All guests together may begin 20 times as many. Servers are not counted. Raise it where many clients have channels of their own and no token."},
	{"max_idempotency_keys", "10000", count(func(c *Config) *int { return &c.Limits.IdempotencyKeys }, 2, 10_000_000),
		"How many idempotency keys of one user are kept at once by way of a node; each is some 300 bytes for as long as idempotency_window. Half of them may come at once. Guests without a token count as one, and all guests together have 20 times as many. Servers are not counted."},
	{"ping_interval", "25s", duration(func(c *Config) *time.Duration { return &c.Times.PingInterval }, 100*time.Millisecond, time.Hour),
		"After this long without a word from a client it is pinged. Keep it under the idle timeout of the proxies in front."},
	{"pong_timeout", "10s", duration(func(c *Config) *time.Duration { return &c.Times.PongTimeout }, 100*time.Millisecond, time.Hour),
		"A client that leaves a ping unanswered for this long is disconnected."},
	{"write_timeout", "10s", duration(func(c *Config) *time.Duration { return &c.Times.WriteTimeout }, 100*time.Millisecond, time.Hour),
		"A client that takes nothing for this long, while something waits for it, is disconnected."},
	{"drain_delay", "5s", duration(func(c *Config) *time.Duration { return &c.Times.DrainDelay }, 0, time.Hour),
		"How long a node that is told to stop goes on as before but for /readyz, which says no: balancers need this time to see it and send nobody any more. Then the port closes and drain_timeout begins. On a loopback address it is 0 unless it is given."},
	{"drain_timeout", "15s", duration(func(c *Config) *time.Duration { return &c.Times.DrainTimeout }, 0, time.Hour),
		"How long a shutdown may take once the port is closed: clients are told to come back elsewhere, spread over this time."},
	{"idempotency_window", "5m", duration(func(c *Config) *time.Duration { return &c.Times.IdempotencyWindow }, time.Second, 7*24*time.Hour),
		"For this long a publish with the same idempotency key answers the first result."},
	{"coalesce", "5ms", duration(func(c *Config) *time.Duration { return &c.Times.Coalesce }, 0, time.Second),
		"Under a burst, how long messages of a channel may wait to leave together, which saves most of the work. One that comes alone never waits. 0: none does."},
	{"log_level", "info", choice(func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error"),
		"Log lines of this level and above."},
	{"log_format", "auto", choice(func(c *Config) *string { return &c.Log.Format }, "auto", "text", "json"),
		"Form of the log, on standard error. auto: text on a terminal and JSON elsewhere."},
	{"ingest.streams", "", list(func(c *Config) *[]string { return &c.Ingest.Streams }, checkStream),
		"Redis streams whose entries are published, each exactly once: fields channel, payload, idempotency_key. Needs redis."},
	{"ingest.channels", "", list(func(c *Config) *[]string { return &c.Ingest.Channels }, checkGlob),
		"Globs of channels whose plain PUBLISH is kept in the log even while no client listens. Needs redis."},
	{"rules", "", rules,
		"What holds in which channels: a list of rules; the first whose match fits a channel's name holds. They are described in docs/configuration.md."},
}

// otherVariables are MAGPIE_ variables that are no settings: the file's name,
// what the client commands read, and the binary under test.
var otherVariables = []string{"MAGPIE_CONFIG", "MAGPIE_URL", "MAGPIE_TOKEN", "MAGPIE_BIN"}

// DefaultPrefix is the prefix of servers that were told none.
const DefaultPrefix = "magpie"

const envPrefix = "MAGPIE_"

func lookup(key string) *setting {
	for _, s := range settings {
		if s.key == key {
			return s
		}
	}
	return nil
}

func names(of func(*setting) string) []string {
	all := make([]string, len(settings))
	for i, s := range settings {
		all[i] = of(s)
	}
	return all
}
