package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
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

// cluster knows which master has which slot, and keeps one subscriber and one
// probe per master. Its one goroutine is run.
type cluster struct {
	e     *Engine
	kick  chan struct{}
	table atomic.Pointer[[slotCount]*master]
	whole atomic.Bool // every slot has a master

	mu      sync.Mutex // guards what follows; memory only
	members map[string]*master
	begun   bool
}

func newCluster(e *Engine) *cluster {
	c := &cluster{e: e, kick: make(chan struct{}, 1), members: map[string]*master{}}
	c.table.Store(new([slotCount]*master))
	return c
}

func (c *cluster) home(name string) *master { return c.table.Load()[slotOf(name)] }

func (c *cluster) covered() bool { return c.whole.Load() }

func (c *cluster) all() []*master {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.members))
}

// look has the cluster asked soon, without waiting.
func (c *cluster) look() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *cluster) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	pause := time.NewTimer(lookPause)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.kick:
		}
		if err := c.refresh(ctx); err != nil {
			c.e.cfg.Log.Debug("cannot see who has which slot now", "redis", c.e.addr, "error", err)
		}
		pause.Reset(lookPause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// close lets go of all masters, after their goroutines have ended.
func (c *cluster) close() {
	for _, m := range c.all() {
		m.client.Close()
	}
}

// refresh asks all masters that there are and follows what they say.
func (c *cluster) refresh(ctx context.Context) error {
	owners, err := c.ask(ctx)
	if err != nil {
		return err
	}
	c.follow(ctx, owners)
	return nil
}

// ask merges what the masters say. It fails when none answers.
func (c *cluster) ask(ctx context.Context) (*ownership, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	masters := c.all()
	owners, answered := new(ownership), false
	var asked sync.WaitGroup
	answers, errs := make([][]claim, len(masters)), make([]error, len(masters))
	for i, m := range masters {
		asked.Go(func() { answers[i], errs[i] = c.askOne(ctx, m.client, m.addr) })
	}
	asked.Wait()
	for i := range masters {
		owners.merge(answers[i])
		answered = answered || errs[i] == nil
	}
	if answered {
		return owners, nil
	}
	claims, err := c.askOne(ctx, c.e.client, c.e.addr) // any node will do, a replica, too
	owners.merge(claims)
	return owners, err
}

func (c *cluster) askOne(ctx context.Context, client rueidis.Client, addr string) ([]claim, error) {
	text, err := client.Do(ctx, client.B().ClusterNodes().Build()).ToString()
	if err != nil {
		return nil, err
	}
	return parseNodes(text, addr, c.e.opt.TLSConfig != nil)
}

// follow makes masters, table and subscriptions as owners says. A slot that
// nobody has stays where it was: its master may come back.
func (c *cluster) follow(ctx context.Context, owners *ownership) {
	members := c.meet(ctx, owners)
	old := c.table.Load()
	table, whole := old, true
	has := map[*master]span{}
	for s := range old {
		m := members[owners.addr[s]]
		whole = whole && m != nil
		if m == nil {
			m = old[s]
		}
		if m != table[s] {
			if table == old { // readers have that one
				table = new([slotCount]*master)
				*table = *old
			}
			table[s] = m
		}
		if part, known := has[m]; known {
			has[m] = span{part.lowest, s}
		} else {
			has[m] = span{s, s}
		}
	}
	for m, part := range has {
		if m != nil {
			m.probe.settle(part)
		}
	}
	c.table.Store(table)
	c.whole.Store(whole)
	c.settle(has)
	c.recheck(owners.going)
}

// span is the lowest and the highest slot of a master.
type span struct{ lowest, highest int }

// recheck has the channels compared whose keys are on their way: what is
// published where they arrive comes live only when the slot has followed.
func (c *cluster) recheck(going map[int]bool) {
	if len(going) == 0 {
		return
	}
	var list []string
	for ch := range c.e.sink.Channels() {
		if going[slotOf(ch)] {
			list = append(list, ch)
		}
	}
	if len(list) > 0 {
		c.e.sink.Recheck(list...)
	}
}

// meet connects to the masters that are new. Those that cannot be reached are
// left out; the next look tries again.
func (c *cluster) meet(ctx context.Context, owners *ownership) map[string]*master {
	c.mu.Lock()
	members := maps.Clone(c.members)
	begun := c.begun
	c.mu.Unlock()
	for _, addr := range owners.addr {
		if addr == "" || members[addr] != nil || ctx.Err() != nil {
			continue
		}
		opt := c.e.opt
		opt.InitAddress, opt.ForceSingleClient = []string{addr}, true
		client, err := rueidis.NewClient(opt)
		if err != nil {
			c.e.cfg.Log.Warn("cannot reach a master of the cluster", "redis", addr, "error", err)
			owners.forget(addr)
			continue
		}
		members[addr] = newMaster(c.e, addr, client, begun)
	}
	return members
}

// settle lets channels follow their slots, starts new masters and ends those
// that have no slot any more.
func (c *cluster) settle(members map[*master]span) {
	var news, gone []*master
	c.mu.Lock()
	for m := range members {
		if m != nil && c.members[m.addr] == nil {
			c.members[m.addr] = m
			news = append(news, m)
		}
	}
	for addr, m := range c.members {
		if _, has := members[m]; !has {
			delete(c.members, addr)
			gone = append(gone, m)
		}
	}
	begun := c.begun
	c.begun = true
	c.mu.Unlock()
	if begun {
		for _, m := range news {
			m.start()
		}
		c.e.askFunction()
	}
	for m := range members {
		if m != nil {
			c.move(m)
		}
	}
	for _, m := range gone {
		c.move(m)
		c.e.cfg.Log.Info("a master of the cluster has no slots any more", "redis", m.addr)
		m.retire()
	}
}

// move sends the channels of m that lie elsewhere there.
func (c *cluster) move(m *master) {
	moved, whole := m.subscriber.settle()
	if len(moved) == 0 {
		return
	}
	c.e.cfg.Log.Info("channels follow their slots", "from", m.addr, "channels", len(moved))
	deaf := time.Duration(0)
	if whole {
		deaf = deafTime
	}
	to, all := map[*master][]string{}, map[string]bool{}
	for _, ch := range moved {
		home := c.home(ch)
		to[home] = append(to[home], ch)
		all[ch] = true
	}
	c.e.plain.cut(func(ch string) bool { return all[ch] })
	for home, channels := range to {
		home.subscriber.adopt(channels, deaf)
	}
}

// retire ends a master's goroutines and then its connections, without waiting.
func (m *master) retire() {
	m.end()
	m.e.running.Go(func() {
		m.running.Wait()
		m.client.Close()
	})
}

// settle gives the probe names in a slot of its master: the lowest, or the
// highest while the keys of that are on their way.
func (p *probe) settle(part span) {
	k, tag := p.e.keys, tagOf(part.lowest)
	if p.high.Load() {
		tag = tagOf(part.highest)
	}
	next := probePlace{name: k.probe(p.e.node) + ":{" + tag + "}", life: k.life() + ":{" + tag + "}"}
	if *p.place.Load() != next {
		p.place.Store(&next)
	}
}

// findMasters learns who takes writes, at the start.
func (e *Engine) findMasters(ctx context.Context) error {
	if e.cluster == nil {
		e.only = newMaster(e, e.addr, e.client, false)
		return nil
	}
	if err := e.cluster.refresh(ctx); err != nil {
		return fmt.Errorf("Redis at %s does not say who has which slot (CLUSTER NODES): %w", e.addr, err)
	}
	if !e.cluster.covered() {
		return fmt.Errorf("the Redis Cluster at %s has slots without a master, or one that cannot be reached; see redis-cli --cluster check", e.addr)
	}
	return nil
}
