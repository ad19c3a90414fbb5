package topology

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

const (
	// CallTimeout bounds every call: a publisher learns of a silent Redis.
	CallTimeout = 3 * time.Second
	// ringScale is what the client queues, as a power of two.
	ringScale = 11
	// MovePause is how long a call waits for names that are being moved to
	// another master before it asks again.
	MovePause = 20 * time.Millisecond
)

// Redis is how the parts of the engine reach Redis. All methods are safe for
// concurrent use after Connect. There are more than a dozen methods because each
// part has a way of its own to call: once, again, at the end, many at a time.
type Redis struct {
	// set by New
	Topology Topology
	// Sharded says that names live on several masters: a script has the keys
	// of one only, and live messages are sharded Pub/Sub.
	Sharded bool
	Addr    string // what messages call this Redis
	log     *slog.Logger
	dialer  *dialer
	option  rueidis.ClientOption
	line    chan struct{} // one place per call in flight that is not of one master

	Refusals Refusals

	client rueidis.Client // set by Connect
	closed atomic.Bool
	left   atomic.Pointer[error] // why Reconnect closed connections; nil: that is over
}

// New does not connect. name is what Redis calls the connections.
func New(t Target, name string, log *slog.Logger) *Redis {
	r := &Redis{Sharded: t.Cluster, Addr: t.Name, log: log, line: make(chan struct{}, inFlight)}
	r.Refusals.log = log
	r.dialer = newDialer(t.Option.DialCtxFn)
	r.option = t.option(name, r.dialer)
	if t.Cluster {
		r.Topology = newCluster(t.Name, r.option, log)
		r.option.ForceSingleClient = false
		r.option.ClusterOption = rueidis.ClusterOption{ShardsRefreshInterval: 2 * lookEvery, MaxMovedRedirections: redirections}
	} else {
		r.Topology = &standalone{addr: t.Name}
	}
	return r
}

func (t Target) option(name string, by *dialer) rueidis.ClientOption {
	opt := t.Option
	opt.ClientName = name
	opt.DialCtxFn = by.dial
	opt.ForceSingleClient = true
	opt.DisableRetry = true
	opt.DisableCache = true
	opt.AlwaysPipelining = true
	opt.PipelineMultiplex = -1 // one connection: a publisher's order is kept
	opt.RingScaleEachConn = ringScale
	opt.ConnWriteTimeout = CallTimeout
	opt.Dialer = net.Dialer{Timeout: silentAfter, KeepAlive: time.Second}
	return opt
}

// Connect returns when the masters are known, or with an error that says what
// to do.
func (r *Redis) Connect(ctx context.Context) error {
	client, err := rueidis.NewClient(r.option)
	if NoCommand(err) && r.option.ClientName != "" {
		// Without HELLO the name is set by CLIENT, which a managed Redis may not have.
		r.option.ClientName = ""
		r.Topology.unnamed()
		client, err = rueidis.NewClient(r.option)
	}
	r.client = client
	if err != nil {
		return r.connectError(err)
	}
	if err := r.checkServer(ctx); err != nil {
		return err
	}
	return r.Topology.open(ctx, client)
}

func (r *Redis) connectError(err error) error {
	if text := Explain(err); text != "" {
		return fmt.Errorf("Redis at %s: %s (%w)", r.Addr, text, err)
	}
	return fmt.Errorf("cannot reach Redis at %s: start it there, or set --redis to where it is (%w)", r.Addr, err)
}

// WithoutInfo is what a Redis that refuses INFO costs.
const WithoutInfo = "a Redis that goes back in time is noticed only when its data is gone"

// checkServer refuses what would fail later in ways that are harder to read.
func (r *Redis) checkServer(ctx context.Context) error {
	if err := r.client.Do(ctx, r.client.B().Ping().Build()).Error(); err != nil {
		return r.connectError(err)
	}
	info, err := r.client.Do(ctx, r.client.B().Info().Build()).ToString()
	if err != nil {
		r.log.Warn("Redis refuses INFO: "+WithoutInfo, "redis", r.Addr, "error", err)
		return nil
	}
	if InfoField(info, "redis_mode") == "sentinel" {
		return fmt.Errorf("at %s is a Sentinel, which is not supported yet; name the Redis master itself", r.Addr)
	}
	return r.Topology.accepts(info)
}

// Client sends commands. It finds the master of a command by its first key.
func (r *Redis) Client() rueidis.Client { return r.client }

// Reconnect closes all connections because of why. They are made again as they
// are needed, to whoever has the name by then. Calls that wait for an answer on
// them are told why.
func (r *Redis) Reconnect(why error) {
	r.left.Store(&why)
	r.dialer.closeAll()
}

// Reconnected notes that what Reconnect was called for is over.
func (r *Redis) Reconnected() { r.left.Store(nil) }

// Refuse makes Do fail with engine.ErrClosed from now on.
func (r *Redis) Refuse() { r.closed.Store(true) }

// Closed tells whether Refuse was called.
func (r *Redis) Closed() bool { return r.closed.Load() }

// Close lets go of Redis, after all who use it have ended.
func (r *Redis) Close() {
	if r.client != nil {
		r.Topology.close()
		r.client.Close()
	}
}

// Gate refuses after Refuse, and while the master of name is silent, so that
// callers neither wait nor pile up.
func (r *Redis) Gate(name string) error {
	if r.closed.Load() {
		return engine.ErrClosed
	}
	return r.Silence(name)
}

// Silence answers nil while a master that serves name may answer; an empty
// name is served by any.
func (r *Redis) Silence(name string) (err error) {
	if name != "" {
		if m := r.Topology.Home(name); m != nil {
			return m.Silence()
		}
		return engine.Unavailable("no master of the cluster at %s has the slot of %q", r.Addr, name)
	}
	err = engine.Unavailable("not connected to Redis at %s", r.Addr)
	for _, m := range r.Topology.Masters() {
		if err = m.Silence(); err == nil {
			return nil
		}
	}
	return err
}

// Do runs f with a bounded context, unless Redis is known to be silent. name is
// a channel, or a key of ours, that f is about; empty when it is about several.
func (r *Redis) Do(ctx context.Context, name string, f func(context.Context) error) error {
	if err := r.Gate(name); err != nil {
		return err
	}
	return r.Finish(ctx, name, f)
}

// Finish is Do that works after Refuse, for what is done at the end.
func (r *Redis) Finish(ctx context.Context, name string, f func(context.Context) error) error {
	if err := r.Silence(name); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	line := r.lineOf(name)
	select {
	case line <- struct{}{}:
	case <-bounded.Done():
		return r.Failure(bounded.Err())
	}
	defer func() { <-line }()
	return r.Failure(untilMoved(bounded, f))
}

// lineOf is where a call takes its place: each master has a line of its own, so
// that a silent one holds up none but its own.
func (r *Redis) lineOf(name string) chan struct{} {
	if name != "" {
		if m := r.Topology.Home(name); m != nil {
			return m.line
		}
	}
	return r.line
}

// untilMoved runs f again as long as the answer is that keys of a slot are
// being moved to another master: nothing was done then.
func untilMoved(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if reply, ok := rueidis.IsRedisErr(err); !ok || !reply.IsTryAgain() {
			return err
		}
		if !Pause(ctx, MovePause) {
			return err
		}
	}
}

// Pause waits for d, and returns false when ctx ended before.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Read is Do for what may be asked twice: it asks again when the connection
// broke, so that a reader notices nothing while Redis is there.
func (r *Redis) Read(ctx context.Context, name string, f func(context.Context) error) error {
	return r.Do(ctx, name, func(ctx context.Context) error {
		err := f(ctx)
		if _, answered := rueidis.IsRedisErr(err); err == nil || answered || ctx.Err() != nil {
			return err
		}
		return f(ctx)
	})
}

// DoAll sends commands, as many as batch at a time, and answers the first
// error. The others are sent all the same: one master of a cluster may be away.
func (r *Redis) DoAll(ctx context.Context, cmds rueidis.Commands, batch int) error {
	var errs []error
	for len(cmds) > 0 {
		n := min(len(cmds), batch)
		part := cmds[:n]
		cmds = cmds[n:]
		errs = append(errs, r.Do(ctx, "", func(ctx context.Context) error {
			for _, reply := range r.client.DoMulti(ctx, part...) {
				if err := reply.Error(); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}
