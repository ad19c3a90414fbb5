package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
)

// Config is what New needs.
type Config struct {
	// URL names one Redis: redis://, rediss:// (TLS) or unix://; or some nodes
	// of a cluster: redis+cluster://, rediss+cluster://.
	URL string
	// Prefix begins every key. Empty means "magpie".
	Prefix string
	// Node is this node's name in logs and keys: letters, digits, '.', '_' and
	// '-'. Empty is allowed. The engine adds a random part, so that a node
	// that restarts is not taken for the one that died.
	Node  string
	Rules *channel.Rules
	// MaxPayload is the most bytes a plain PUBLISH, FCALL or XADD may bring.
	// 0 means 64 KiB.
	MaxPayload int
	// IdempotencyWindow is how long a key is remembered. 0 means 5 minutes.
	IdempotencyWindow time.Duration
	Ingest            Ingest
	Log               *slog.Logger // nil: slog.Default
	Metrics           Metrics
}

// Ingest names what is taken in although nobody on this node may listen.
type Ingest struct {
	// Streams are Redis streams whose entries are published.
	Streams []string
	// Channels are globs of channels whose plain PUBLISHes are always taken in.
	Channels []string
}

// Metrics are told what happens. Any field may be nil; none may block, and
// all are called from several goroutines.
type Metrics struct {
	PlainDropped     func(reason string) // a plain PUBLISH was not taken in
	EnvelopeSkipped  func()              // an envelope could not be read
	SubscriberLost   func()              // the subscriber connection ended
	ProbeRoundTrip   func(time.Duration) // a probe came back
	Ingested         func(result string) // an entry of a stream: published, rejected
	PresenceRewrites func()              // this node's presence was written anew
	Refused          func(reason string) // Redis refused a command or a subscription
}

// withDefaults has a func in every field.
func (m Metrics) withDefaults() Metrics {
	for _, f := range []*func(){&m.EnvelopeSkipped, &m.SubscriberLost, &m.PresenceRewrites} {
		if *f == nil {
			*f = func() {}
		}
	}
	for _, f := range []*func(string){&m.PlainDropped, &m.Ingested, &m.Refused} {
		if *f == nil {
			*f = func(string) {}
		}
	}
	if m.ProbeRoundTrip == nil {
		m.ProbeRoundTrip = func(time.Duration) {}
	}
	return m
}

// withDefaults checks c and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = "magpie"
	}
	if !goodPrefix.MatchString(c.Prefix) {
		return c, fmt.Errorf("redis prefix %q: use 1 to 64 letters, digits and . _ - :", c.Prefix)
	}
	if !goodNode.MatchString(c.Node) {
		return c, fmt.Errorf("node name %q: use at most 64 letters, digits and . _ -", c.Node)
	}
	if c.Rules == nil {
		return c, errors.New("redis engine: no channel rules given")
	}
	for _, glob := range c.Ingest.Channels {
		if err := channel.CheckGlob(glob); err != nil {
			return c, fmt.Errorf("ingest.channels %q: %w", glob, err)
		}
	}
	for i, s := range c.Ingest.Streams {
		switch {
		case s == "":
			return c, errors.New("ingest.streams holds an empty name")
		case names.Names{Prefix: c.Prefix}.Own(s):
			return c, fmt.Errorf("ingest.streams %q: this is a key of Magpie's own; name a stream that you write to, or choose another prefix", s)
		case slices.Contains(c.Ingest.Streams[:i], s):
			return c, fmt.Errorf("ingest.streams names %q twice; name it once", s)
		}
	}
	if c.MaxPayload <= 0 {
		c.MaxPayload = 64 << 10
	}
	if c.IdempotencyWindow <= 0 {
		c.IdempotencyWindow = 5 * time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Metrics = c.Metrics.withDefaults()
	return c, nil
}

var (
	goodPrefix = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	goodNode   = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

// errClusterIngest: sharded Pub/Sub has no patterns, and the keys of a stream and
// of the channels that its entries name lie on different masters.
var errClusterIngest = errors.New("ingest.streams and ingest.channels do not work with a Redis Cluster: leave them out, and publish with FCALL, PUBLISH or over HTTP; see docs/redis.md")

// CheckURL tells whether New takes this URL. It connects to nothing, and its
// errors hold nothing of a password.
func CheckURL(url string) error {
	_, err := topology.ParseURL(url)
	return err
}

// FunctionName is what FCALL calls on a Redis that servers with this prefix
// share.
func FunctionName(prefix string) string { return script.FunctionName(prefix) }
