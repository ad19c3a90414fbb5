// Package redis is the engine of many nodes: logs, live messages, leases and
// presence in one Redis 6.2 or later. What it has there is a public contract,
// docs/redis.md.
//
// It refuses to buffer publications while Redis is away: they fail at once
// with engine.ErrUnavailable. It refuses Sentinel, so far.
//
// Its goroutines, which Start starts and Close ends and waits for: the
// subscriber (subscriber.go) and the probe (probe.go), in a cluster of each
// master, and there who looks after the slots (cluster.go) and the node's lease
// (lease.go); the appender of plain
// PUBLISHes (plain_append.go), the roster (presence.go), the upkeep (upkeep.go)
// and one reader per ingested stream (ingest.go).
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

const (
	// callTimeout bounds every command: a publisher learns of a silent Redis.
	callTimeout = 3 * time.Second
	// gateAfter is how long Redis may be silent before commands fail at once.
	// Longer than a fork or a big delete may stall it.
	gateAfter = 2 * time.Second
	// startTimeout bounds Start when its context does not.
	startTimeout = 10 * time.Second
	// drainTimeout bounds what Close does before it lets go of Redis.
	drainTimeout = 2 * time.Second
	// inFlight is the most commands that wait for replies at once. It is half
	// of what the client queues: a full queue would ignore a call's context.
	inFlight  = 1024
	ringScale = 11
)

// Engine implements engine.Engine.
type Engine struct {
	// set by New
	cfg  Config
	keys keys
	node string // unique to this run
	addr string // what messages call this Redis
	opt  rueidis.ClientOption

	// set by Start
	client     rueidis.Client // commands; in a cluster it finds the master by the key
	only       *master        // nil in a cluster
	cluster    *cluster       // nil outside of one
	serves     engine.Node
	sink       engine.Sink // serves.Sink
	plain      *plainAppender
	roster     *roster
	ingest     *ingest
	noFunction sync.Once
	functions  chan struct{} // asks upkeep to look after the Redis Function

	slots     chan struct{} // one per command in flight that is not of one master
	life      context.Context
	end       context.CancelFunc
	running   sync.WaitGroup
	closed    atomic.Bool
	closing   sync.Once
	started   time.Time
	broken    seldom
	tooBig    seldom
	lostPlain seldom
}

// New checks the configuration. It does not connect.
func New(c Config) (*Engine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	opt, addr, clustered, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if clustered && len(c.Ingest.Streams)+len(c.Ingest.Channels) > 0 {
		return nil, errClusterIngest
	}
	e := &Engine{cfg: c, keys: keys{c.Prefix, clustered}, node: instance(c.Node), addr: addr, slots: make(chan struct{}, inFlight), functions: make(chan struct{}, 1), started: time.Now()}
	e.opt = e.options(opt)
	if clustered {
		e.cluster = newCluster(e)
		e.opt.ForceSingleClient = false
		e.opt.ClusterOption = rueidis.ClusterOption{ShardsRefreshInterval: 2 * lookEvery, MaxMovedRedirections: redirections}
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.plain = newPlainAppender(e)
	e.roster = newRoster(e)
	e.ingest = newIngest(e)
	return e, nil
}

func (e *Engine) options(opt rueidis.ClientOption) rueidis.ClientOption {
	opt.ClientName = e.cfg.Prefix + ":" + e.node
	opt.ForceSingleClient = true
	opt.DisableRetry = true
	opt.DisableCache = true
	opt.AlwaysPipelining = true
	opt.PipelineMultiplex = -1 // one connection: a publisher's order is kept
	opt.RingScaleEachConn = ringScale
	opt.ConnWriteTimeout = callTimeout
	opt.Dialer = net.Dialer{Timeout: gateAfter, KeepAlive: time.Second}
	if strings.HasPrefix(e.cfg.URL, "unix:") {
		opt.DialCtxFn = dialUnix
	}
	return opt
}

// instance makes a run's name from a node's: the random part keeps a node that
// comes back from owning what its predecessor left.
func instance(name string) string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	if name == "" {
		name = "node"
	}
	return name + "-" + hex.EncodeToString(b[:])
}

// Start implements engine.Engine.
func (e *Engine) Start(ctx context.Context, node engine.Node) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	e.serves, e.sink = node, node.Sink
	if err := e.start(ctx); err != nil {
		e.Close(ctx)
		return err
	}
	return nil
}

func (e *Engine) start(ctx context.Context) error {
	client, err := rueidis.NewClient(e.opt)
	e.client = client
	if err != nil {
		return e.startError(err)
	}
	if err := e.checkServer(ctx); err != nil {
		return err
	}
	if err := e.findMasters(ctx); err != nil {
		return err
	}
	e.loadFunction(ctx, false)
	for _, m := range e.masters() {
		m.start()
	}
	e.run(e.plain.run)
	e.run(e.roster.run)
	e.run(e.upkeep)
	if e.cluster != nil {
		e.run(e.cluster.run)
		e.run(e.roster.renew)
	}
	for _, m := range e.masters() {
		if err := m.probe.waitFirst(ctx); err != nil {
			return fmt.Errorf("Redis at %s answers but does not deliver what is published: %w; check that this user may use Pub/Sub", m.addr, err)
		}
	}
	e.ingest.start()
	return nil
}

func (e *Engine) run(loop func(context.Context)) {
	e.running.Go(func() { loop(e.life) })
}

func (e *Engine) startError(err error) error {
	if text := explain(err); text != "" {
		return fmt.Errorf("Redis at %s: %s (%w)", e.addr, text, err)
	}
	return fmt.Errorf("cannot reach Redis at %s: start it there, or set --redis to where it is (%w)", e.addr, err)
}

// checkServer refuses what would fail later in ways that are harder to read.
func (e *Engine) checkServer(ctx context.Context) error {
	if err := e.client.Do(ctx, e.client.B().Ping().Build()).Error(); err != nil {
		return e.startError(err)
	}
	info, err := e.client.Do(ctx, e.client.B().Info().Build()).ToString()
	if err != nil {
		e.cfg.Log.Warn("Redis refuses INFO: a Redis that goes back in time is noticed only when its data is gone", "redis", e.addr, "error", err)
		return nil
	}
	switch mode := infoField(info, "redis_mode"); mode {
	case "cluster":
		if e.cluster == nil {
			return fmt.Errorf("Redis at %s runs in cluster mode; begin its URL with redis+cluster:// (or rediss+cluster:// for TLS)", e.addr)
		}
		if v := infoField(info, "redis_version"); !atLeast(v, 7, 0) {
			return fmt.Errorf("Redis at %s is version %s; in a cluster 7.0 or later is needed, for its sharded Pub/Sub", e.addr, v)
		}
		return nil
	case "sentinel":
		return fmt.Errorf("at %s is a Sentinel, which is not supported yet; name the Redis master itself", e.addr)
	}
	if e.cluster != nil {
		return fmt.Errorf("Redis at %s is no cluster; begin its URL with redis:// (or rediss:// for TLS)", e.addr)
	}
	if infoField(info, "role") == "slave" {
		return fmt.Errorf("Redis at %s is a read-only replica; name its master", e.addr)
	}
	if v := infoField(info, "redis_version"); !atLeast(v, 6, 2) {
		return fmt.Errorf("Redis at %s is version %s; 6.2 or later is needed", e.addr, v)
	}
	return nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// atLeast is true of versions it cannot read: servers that speak Redis's
// language have versions of their own.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 != nil || err2 != nil || a > major || a == major && b >= minor
}

// Close implements engine.Engine. Until ctx ends, and at most for a few
// seconds, it first appends the plain PUBLISHes that only this node may hold
// and gives its leases back.
func (e *Engine) Close(ctx context.Context) error {
	return e.shut(func() {
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		e.ingest.stop(ctx)
		for _, m := range e.masters() {
			m.subscriber.leaveAll(ctx)
		}
		e.plain.drain(ctx)
		e.roster.leave(ctx)
	})
}

// crash is Close without any farewell, for tests of what a dead node leaves.
func (e *Engine) crash() { e.shut(func() {}) }

func (e *Engine) shut(farewell func()) error {
	e.closing.Do(func() {
		e.closed.Store(true)
		if e.client == nil {
			e.end()
			return
		}
		farewell()
		e.end()
		e.running.Wait()
		if e.cluster != nil {
			e.cluster.close()
		}
		e.client.Close()
	})
	return nil
}

// gate refuses after Close, and while the Redis of name is silent, so that
// callers neither wait nor pile up.
func (e *Engine) gate(name string) error {
	if e.closed.Load() {
		return engine.ErrClosed
	}
	return e.silence(name)
}

// do runs f with a bounded context, unless Redis is known to be silent. name is
// a channel, or a key of ours, that f is about; empty when it is about several.
func (e *Engine) do(ctx context.Context, name string, f func(context.Context) error) error {
	if err := e.gate(name); err != nil {
		return err
	}
	return e.doAny(ctx, name, f)
}

// doAny is do that also serves Close's farewell.
func (e *Engine) doAny(ctx context.Context, name string, f func(context.Context) error) error {
	if err := e.silence(name); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done, err := e.inLine(bounded, name)
	if err != nil {
		return e.failure(err)
	}
	defer done()
	return e.failure(e.onceSettled(bounded, f))
}

// read is do for what may be asked twice: a connection that broke is no news
// to a reader while Redis is there.
func (e *Engine) read(ctx context.Context, name string, f func(context.Context) error) error {
	return e.do(ctx, name, func(ctx context.Context) error {
		err := f(ctx)
		if _, answered := rueidis.IsRedisErr(err); err == nil || answered || ctx.Err() != nil {
			return err
		}
		return f(ctx)
	})
}

func (e *Engine) eval(ctx context.Context, s *script, keys []string, args ...string) (res rueidis.RedisResult, err error) {
	err = e.do(ctx, keys[0], func(ctx context.Context) error {
		res = e.script(s).eval(ctx, e.client, keys, args...)
		return res.Error()
	})
	return res, err
}

func dialUnix(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return d.DialContext(ctx, "unix", path)
}

// Immediate implements engine.Publisher: Redis has to answer.
func (e *Engine) Immediate() bool { return false }

var _ engine.Engine = (*Engine)(nil)
