// Package config is the one place where Magpie's settings live: their names,
// defaults, sources, checks and reference page.
//
// Flags win over MAGPIE_ environment variables, those over the YAML file, and
// the file over the defaults. Everything that is unknown or wrong in any of
// them is reported at once; nothing is guessed and nothing is ignored.
//
// It keeps no state after Load, watches no file and starts no goroutine.
package config

import (
	"net"
	"time"

	"magpie/internal/channel"
	"magpie/internal/loopback"
	"magpie/internal/tokenkey"
)

// Config is every setting of a server. Load has checked all of them. It does
// not change afterwards and may be read by any goroutine. It has many fields
// because there are many settings.
type Config struct {
	Addr string // host:port to listen on; port 0 asks the system for one
	// Internal is host:port of the listener for those who run the node; empty: none.
	Internal      string
	PublicMetrics bool // whether /metrics is on Addr, too, where there is Internal

	Redis  string // URL; empty means the embedded engine. Holds a password.
	Prefix string // of every key and channel of ours in Redis
	Node   string // this server's name among the nodes, unique

	// Open is --open as it was given. OpenMode says whether open mode holds.
	Open          bool
	APIKeys       []string // secret; none: the server API needs no key in open mode and is closed otherwise
	TokenSecrets  []string // secret; each signs, the first is the newest
	TokenKeyFiles []string // PEM files, as they were given
	TokenJWKS     string   // URL of a key set; empty: none
	TokenAudience string   // what every token's aud must hold; empty: anything
	TokenIssuer   string   // what every token's iss must be; empty: anything
	Personal      string   // prefix of users' own channels; empty: none

	// PersonalSubscribe subscribes users to their own channel when they connect.
	PersonalSubscribe bool
	AllowedOrigins    []string // in the form of origin.Entry; none: same origin and localhost

	TLSCert string // PEM file; both or none
	TLSKey  string

	Limits Limits
	Times  Times
	Log    Log
	Ingest Ingest

	// Compression lets WebSocket clients that ask for it have permessage-deflate.
	Compression bool

	// Proxies are those whose word about addresses is taken, each an address or a
	// network.
	Proxies []string
	// ProxyProtocol says that their connections begin with a PROXY header.
	ProxyProtocol bool

	// TokenKeys are the public keys in TokenKeyFiles.
	TokenKeys []tokenkey.Key

	// Rules are never nil. Their default is for Anyone in open mode and for Users
	// otherwise.
	Rules *channel.Rules

	from      map[string]string // setting key -> where it was set; not there: default
	warnings  Problems
	ruleTexts []ruleText // until Load has built Rules
}

// Limits are what one client may take.
type Limits struct {
	MaxPayload    int // bytes of one message
	Outbox        int // bytes waiting for one session before it counts as slow (D8)
	Subscriptions int // channels of one session
	UserSessions  int // sessions of one user on this node
	Requests      int // requests of one session or user in a second
	NewChannels   int // names nobody used before that one client may begin in a minute

	Handshakes        int // connections that may begin in a second
	AddressHandshakes int // of one address
	AddressSessions   int // sessions of one address on this node
	Guesses           int // wrong keys and tokens of one address in a minute
	APICalls          int // with one API key in a second

	IdempotencyKeys int // of one client that are kept
}

// Times are how long things may take.
type Times struct {
	PingInterval      time.Duration // silence after which a client is pinged
	PongTimeout       time.Duration // how long its answer may take
	WriteTimeout      time.Duration // how long one write to a client may take
	DrainDelay        time.Duration // how long the port stays open while the node says that it is not ready
	DrainTimeout      time.Duration // how long a shutdown may take after that
	IdempotencyWindow time.Duration // how long a retry yields the first result (D4)
	Coalesce          time.Duration // how long messages of a burst may wait to leave together
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, text, json
}

// Ingest names what is read from Redis beside the channels that have
// subscribers.
type Ingest struct {
	Streams  []string // keys of streams read through a consumer group
	Channels []string // globs of channels whose plain PUBLISHes are kept even while nobody listens
}

// OpenMode tells whether anyone may join and publish without a token: when
// asked for with --open, and on a loopback address without a key for tokens.
func (c *Config) OpenMode() bool {
	return c.Open || !c.Tokens() && Loopback(c.Addr)
}

// Tokens tells whether there is anything to check tokens with.
func (c *Config) Tokens() bool {
	return len(c.TokenSecrets) > 0 || len(c.TokenKeyFiles) > 0 || c.TokenJWKS != ""
}

// Warnings are what is allowed and probably a mistake, such as a rule that
// never holds. Callers must not change them.
func (c *Config) Warnings() Problems { return c.warnings }

// TLS tells whether the server speaks TLS itself.
func (c *Config) TLS() bool { return c.TLSCert != "" }

// Loopback tells whether addr (host:port) can only be reached from this
// machine: localhost, 127.0.0.0/8 or ::1. It resolves no names.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopback.Host(host)
}
