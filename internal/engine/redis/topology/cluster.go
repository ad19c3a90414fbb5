package topology

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/throttle"
	"magpie/internal/fault"
)

const (
	// lookEvery is how often the cluster is asked who has which slot. A look
	// costs each master one small command.
	lookEvery = time.Second
	// lookPause is the least time between two looks, however many ask for one.
	lookPause   = 100 * time.Millisecond
	lookTimeout = time.Second
	// redirections bounds how often one command follows a slot.
	redirections = 8
)

// cluster knows which master has which slot. A slot goes to another master
// because an operator moves it, or because its master died and a replica took
// over.
type cluster struct {
	// set at construction
	addr   string
	option rueidis.ClientOption // of a connection to one master
	log    *slog.Logger
	kick   chan struct{}

	unreached throttle.Kinds // by address

	client  rueidis.Client // set by open
	table   atomic.Pointer[[Slots]*Master]
	covered atomic.Bool // every slot has a master

	mu      sync.Mutex // guards what follows; memory only
	members map[string]*Master
}

func newCluster(addr string, option rueidis.ClientOption, log *slog.Logger) *cluster {
	c := &cluster{addr: addr, option: option, log: log, kick: make(chan struct{}, 1), members: map[string]*Master{}}
	c.table.Store(new([Slots]*Master))
	return c
}

func (c *cluster) Home(name string) *Master { return c.table.Load()[SlotOf(name)] }

func (c *cluster) Masters() []*Master {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.members))
}

func (c *cluster) Whole() error {
	if c.covered.Load() {
		return nil
	}
	f := fault.New(fault.Unavailable, "The Redis Cluster has slots without a master.")
	f.Wait, f.Cause = time.Second, fmt.Errorf("the cluster at %s has slots without a master", c.addr)
	return f
}

func (c *cluster) Look() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *cluster) unnamed() { c.option.ClientName = "" }

func (c *cluster) accepts(info string) error {
	if InfoField(info, "redis_mode") != "cluster" {
		return fmt.Errorf("Redis at %s is no cluster; begin its URL with redis:// (or rediss:// for TLS)", c.addr)
	}
	if v := InfoField(info, "redis_version"); !AtLeast(v, 7, 0) {
		return fmt.Errorf("Redis at %s is version %s; in a cluster 7.0 or later is needed, for its sharded Pub/Sub", c.addr, v)
	}
	return nil
}

func (c *cluster) open(ctx context.Context, client rueidis.Client) error {
	c.client = client
	owners, err := c.ask(ctx)
	if err != nil {
		return fmt.Errorf("Redis at %s does not say who has which slot (CLUSTER NODES): %w", c.addr, err)
	}
	if c.follow(ctx, owners); c.Whole() != nil {
		return fmt.Errorf("the Redis Cluster at %s has slots without a master, or one that cannot be reached; see redis-cli --cluster check", c.addr)
	}
	return nil
}

func (c *cluster) close() {
	for _, m := range c.Masters() {
		m.Client.Close()
	}
}

func (c *cluster) Run(ctx context.Context, told func(Change)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.kick:
		}
		if owners, err := c.ask(ctx); err != nil {
			c.log.Debug("cannot see who has which slot now", "redis", c.addr, "error", err)
		} else {
			told(c.follow(ctx, owners))
		}
		if !Pause(ctx, lookPause) {
			return
		}
	}
}

// ask merges what the masters say. It fails when none answers.
func (c *cluster) ask(ctx context.Context) (*ownership, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	masters := c.Masters()
	owners, answered := new(ownership), false
	var asked sync.WaitGroup
	answers, errs := make([][]claim, len(masters)), make([]error, len(masters))
	for i, m := range masters {
		asked.Go(func() { answers[i], errs[i] = c.askOne(ctx, m.Client, m.Addr) })
	}
	asked.Wait()
	for i := range masters {
		owners.merge(answers[i])
		answered = answered || errs[i] == nil
	}
	if answered {
		return owners, nil
	}
	claims, err := c.askOne(ctx, c.client, c.addr) // any node will do, a replica, too
	owners.merge(claims)
	return owners, err
}

func (c *cluster) askOne(ctx context.Context, client rueidis.Client, addr string) ([]claim, error) {
	text, err := client.Do(ctx, client.B().ClusterNodes().Build()).ToString()
	if err != nil {
		return nil, err
	}
	return parseNodes(text, addr, c.option.TLSConfig != nil)
}

// follow makes masters and table as owners says. A slot that nobody has stays
// where it was: its master may come back.
func (c *cluster) follow(ctx context.Context, owners *ownership) Change {
	known := c.connect(ctx, owners)
	old := c.table.Load()
	table, covered := old, true
	lowest, highest := map[*Master]int{}, map[*Master]int{}
	for s := range old {
		m := known[owners.addr[s]]
		if m == nil {
			m, covered = old[s], false
		}
		if m != table[s] {
			if table == old { // readers have that one
				table = new([Slots]*Master)
				*table = *old
			}
			table[s] = m
		}
		if m == nil {
			continue
		}
		if _, has := lowest[m]; !has {
			lowest[m] = s
		}
		highest[m] = s
	}
	for m := range lowest {
		m.tags.Store(&tags{Tag(lowest[m]), Tag(highest[m])})
	}
	c.table.Store(table)
	c.covered.Store(covered)
	change := c.replace(slices.Collect(maps.Keys(lowest)))
	if going := owners.going; len(going) > 0 {
		change.Moving = func(name string) bool { return going[SlotOf(name)] }
	}
	return change
}

// connect connects to the masters that are new, and returns all. Those that
// cannot be reached are left out; the next look tries again.
func (c *cluster) connect(ctx context.Context, owners *ownership) map[string]*Master {
	c.mu.Lock()
	known := maps.Clone(c.members)
	c.mu.Unlock()
	for _, addr := range owners.addr {
		if addr == "" || known[addr] != nil || ctx.Err() != nil {
			continue
		}
		opt := c.option
		opt.InitAddress = []string{addr}
		client, err := rueidis.NewClient(opt)
		if err != nil {
			if line := c.unreached.Of(addr); line.Allow() {
				c.log.Warn("cannot reach a master of the cluster", "redis", addr, "times", line.Times(), "error", err)
			}
			owners.forget(addr)
			continue
		}
		known[addr] = newMaster(addr, client)
		if text := c.unreached.Of(addr).End(); text != "" {
			c.log.Info("cannot reach a master of the cluster: "+text, "redis", addr)
		}
	}
	return known
}

// replace makes these the masters, and tells who is none any more.
func (c *cluster) replace(masters []*Master) Change {
	members := make(map[string]*Master, len(masters))
	for _, m := range masters {
		members[m.Addr] = m
	}
	change := Change{Masters: masters}
	c.mu.Lock()
	defer c.mu.Unlock()
	for addr, m := range c.members {
		if members[addr] != m {
			change.Gone = append(change.Gone, m)
		}
	}
	c.members = members
	return change
}
