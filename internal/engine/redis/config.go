package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
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
}

func (m Metrics) plainDropped(reason string) {
	if m.PlainDropped != nil {
		m.PlainDropped(reason)
	}
}

func (m Metrics) ingested(result string) {
	if m.Ingested != nil {
		m.Ingested(result)
	}
}

func (m Metrics) probed(d time.Duration) {
	if m.ProbeRoundTrip != nil {
		m.ProbeRoundTrip(d)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
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
	for _, s := range c.Ingest.Streams {
		if s == "" {
			return c, errors.New("ingest.streams holds an empty name")
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
	return c, nil
}

var (
	goodPrefix = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	goodNode   = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

const urlForm = "write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for TLS, unix:///path/to/redis.sock, or redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…] for a cluster (rediss+cluster:// with TLS)"

// errClusterIngest: sharded Pub/Sub has no patterns, and the keys of a stream and
// of the channels that its entries name lie on different masters.
var errClusterIngest = errors.New("ingest.streams and ingest.channels do not work with a Redis Cluster: leave them out, and publish with FCALL, PUBLISH or over HTTP; see docs/redis.md")

// CheckURL tells whether New takes this URL. It connects to nothing, and its
// errors hold nothing of a password.
func CheckURL(url string) error {
	_, _, _, err := parseURL(url)
	return err
}

// FunctionName is what FCALL calls on a Redis that servers with this prefix
// share.
func FunctionName(prefix string) string { return functionName(prefix) }

// parseURL reads a Redis URL. Its errors never repeat the URL, which may hold
// a password. name is what messages call this Redis.
func parseURL(s string) (opt rueidis.ClientOption, name string, cluster bool, err error) {
	s, others, cluster := clusterURL(s)
	opt, name, err = parseOne(s)
	if err != nil || !cluster {
		return opt, name, false, err
	}
	if opt.SelectDB != 0 {
		return opt, "", false, errors.New("a Redis Cluster has no databases but 0; " + urlForm)
	}
	if opt.TLSConfig != nil {
		opt.TLSConfig.ServerName = "" // each master has its own
	}
	for _, one := range others {
		other, addr, err := parseOne("redis://" + one)
		if err != nil || one == "" || other.Username+other.Password != "" || other.SelectDB != 0 {
			return opt, "", false, errors.New("an address of the Redis Cluster cannot be read; " + urlForm)
		}
		opt.InitAddress = append(opt.InitAddress, addr)
	}
	return opt, strings.Join(opt.InitAddress, ","), true, nil
}

// clusterURL takes a cluster's URL apart into the URL of its first address and
// the others. Any other URL is left as it is.
func clusterURL(s string) (first string, others []string, cluster bool) {
	for _, scheme := range []string{"redis", "rediss"} {
		rest, ok := strings.CutPrefix(s, scheme+"+cluster://")
		if !ok {
			continue
		}
		at := strings.IndexByte(rest, '@') + 1
		user, hosts := rest[:at], strings.TrimSuffix(rest[at:], "/")
		all := strings.Split(hosts, ",")
		return scheme + "://" + user + all[0], all[1:], true
	}
	return s, nil, false
}

func parseOne(s string) (opt rueidis.ClientOption, name string, err error) {
	u, err := url.Parse(s)
	if err != nil || s == "" {
		return opt, "", errors.New("the Redis URL cannot be read; " + urlForm)
	}
	q := u.Query()
	switch {
	case strings.Contains(u.Scheme, "sentinel"), q.Has("master_set"), q.Has("sentinel"):
		return opt, "", errors.New("Redis Sentinel is not supported yet; name one Redis: " + urlForm)
	case strings.Contains(u.Scheme, "cluster"), q.Has("cluster"), q.Has("addr"), strings.Contains(u.Host, ","):
		return opt, "", errors.New("several addresses are those of a Redis Cluster, and its URL begins with redis+cluster://; " + urlForm)
	case u.Fragment != "", strings.Contains(u.RawQuery, "@"):
		// A # or ? in a password cuts the URL here; what is before it looks whole.
		return opt, "", errors.New("the Redis URL has a # or a ? before its host; write %23 or %3F in a password; " + urlForm)
	}
	for key := range q {
		if key != "db" {
			return opt, "", fmt.Errorf("the Redis URL has the unknown parameter %q; only db is known; %s", key, urlForm)
		}
	}
	if u.User != nil {
		opt.Username = u.User.Username()
		opt.Password, _ = u.User.Password()
	}
	database := q.Get("db")
	switch u.Scheme {
	case "unix":
		if u.Path == "" {
			return opt, "", errors.New("the Redis URL names no socket; " + urlForm)
		}
		name = u.Path
	case "redis", "rediss":
		host, port := u.Hostname(), u.Port()
		if host == "" {
			return opt, "", errors.New("the Redis URL names no host; " + urlForm)
		}
		if port == "" {
			port = "6379"
		}
		name = net.JoinHostPort(host, port)
		if u.Scheme == "rediss" {
			opt.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
		}
		if path := strings.Trim(u.Path, "/"); path != "" {
			database = path
		}
	default:
		return opt, "", errors.New("the Redis URL begins with none of redis://, rediss://, unix://; " + urlForm)
	}
	if database != "" {
		if opt.SelectDB, err = strconv.Atoi(database); err != nil || opt.SelectDB < 0 {
			return opt, "", errors.New("the database in the Redis URL is not a number; " + urlForm)
		}
	}
	opt.InitAddress = []string{name}
	return opt, name, nil
}
