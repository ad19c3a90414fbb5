package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/parttest"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/message"
	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// The same promises as on one Redis, over three masters.
func TestClusterConformance(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	var store atomic.Int64
	enginetest.Run(t, true, func(*testing.T) enginetest.Store {
		prefix := fmt.Sprintf("t%d", store.Add(1))
		return func(t *testing.T, rules *channel.Rules) engine.Engine {
			return newEngine(t, nil, func(cfg *Config) {
				cfg.URL, cfg.Prefix, cfg.Rules, cfg.IdempotencyWindow = c.URL, prefix, rules, enginetest.Window
			})
		}
	})
}

func inCluster(c *redistest.Cluster) func(*Config) { return func(cfg *Config) { cfg.URL = c.URL } }

// spread are channels on every master, by master.
func spread(c *redistest.Cluster, n int) map[*redistest.Server][]string {
	by := map[*redistest.Server][]string{}
	for i := 0; ; i++ {
		name := "room" + strconv.Itoa(i)
		owner := c.Owner(name)
		if len(by[owner]) < n {
			by[owner] = append(by[owner], name)
		}
		full := 0
		for _, s := range c.Masters {
			if len(by[s]) == n {
				full++
			}
		}
		if full == len(c.Masters) {
			return by
		}
	}
}

// traffic publishes to a channel until stop is called, every publication with a
// key and again until it is acknowledged; stop returns how many there were, and
// how often one was refused.
func traffic(t *testing.T, n *node, ch string) (stop func() (count, refused int)) {
	over := make(chan struct{})
	var done sync.WaitGroup
	count, refused := 0, 0
	done.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			count++
			for begun := time.Now(); ; {
				_, err := n.Publish(context.Background(), engine.Publication{Channel: ch, Payload: []byte(strconv.Itoa(count)), IdempotencyKey: fmt.Sprint(ch, count)})
				if err == nil {
					break
				}
				refused++
				if time.Since(begun) > kit.Patience {
					t.Errorf("publication %d to %s: %v", count, ch, err)
					return
				}
			}
		}
	})
	return func() (int, int) {
		close(over)
		done.Wait()
		return count, refused
	}
}

// seenAll waits until the sink of a node can have everything of a channel: what
// did not come live is in the log, and the node was told to look there.
func seenAll(t *testing.T, n *node, ch string, total int) {
	t.Helper()
	var last []string
	eventually(t, fmt.Sprintf("%s has %d messages, each once", ch, total), func() bool {
		page, err := n.History(t.Context(), ch, engine.Query{Limit: engine.All})
		last = nil
		for _, m := range page.Messages {
			last = append(last, string(m.Payload))
		}
		return err == nil && len(last) == total
	})
	for i, text := range last {
		if text != strconv.Itoa(i+1) {
			t.Fatalf("%s: message %d is %s", ch, i+1, text)
		}
	}
}

// arrives publishes until a message comes live, so the channel is listened to
// again.
func arrives(t *testing.T, n *node, ch string) {
	t.Helper()
	acked := map[message.Position]bool{}
	eventually(t, ch+" is live again", func() bool {
		if res, err := n.Publish(t.Context(), engine.Publication{Channel: ch, Payload: []byte("?")}); err == nil {
			acked[res.Position] = true
		}
		return slices.ContainsFunc(n.sink.Messages(ch), func(m *message.Message) bool { return acked[m.Position] })
	})
}

// D3, D6, D10: a slot is moved while messages flow. Publishers wait, nothing is
// lost or doubled, positions of before stay good, and the channel's messages
// come live again.
func TestClusterASlotMoves(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n := startNode(t, nil, inCluster(c))
	ch := "long-chat"
	n.subscribe(ch)
	start := n.history(ch, engine.Query{}).Top
	stop := traffic(t, n, ch)
	n.sink.Wait(t, ch, 20)
	from := c.Owner(ch)
	for _, to := range c.Masters {
		if to == from {
			continue
		}
		seen, rechecks := len(n.sink.Messages(ch)), n.sink.Rechecks()
		c.Move(ch, to, func() {
			// Its keys are on two masters now: who asks is answered, or told to
			// try again, in the time that it has.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := n.History(ctx, ch, engine.Query{}); err != nil && !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("while the slot moves: %v", err)
			}
		})
		eventually(t, "the move is told", func() bool { return n.sink.Rechecks() > rechecks })
		eventually(t, "messages come live", func() bool { return len(n.sink.Messages(ch)) > seen+20 })
	}
	total, refused := stop()
	if refused > 0 {
		t.Errorf("%d publications were refused", refused)
	}
	seenAll(t, n, ch, total)
	page := n.history(ch, engine.Query{Since: &start, Limit: engine.All})
	if page.Gap != "" {
		t.Errorf("the position of before two moves: gap %q", page.Gap)
	}
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
}

// D6, D7, D10: a master dies with -9 and its replica takes over. What was
// acknowledged and replicated is there, what was not is no offset twice, and the
// channel comes back; channels on other masters notice nothing.
func TestClusterAMasterFailsOver(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	for _, m := range c.Masters {
		c.AddReplica(m)
	}
	n := startNode(t, nil, inCluster(c))
	by := spread(c, 1)
	victim := c.Masters[1]
	dead, alive := by[victim][0], by[c.Masters[0]][0]
	n.subscribe(dead, alive)
	for i := range 10 {
		n.publish(dead, strconv.Itoa(i))
	}
	last := n.history(dead, engine.Query{}).Top
	victim.WaitReplicated()
	rechecks := n.sink.Rechecks()
	victim.Kill()
	eventually(t, "readiness says no", func() bool { return n.Ready() != nil })
	if res, err := n.Publish(t.Context(), engine.Publication{Channel: alive, Payload: []byte("x")}); err != nil {
		t.Errorf("a channel of another master: %v %v", res, err)
	}
	arrives(t, n, dead)
	if n.sink.Rechecks() == rechecks {
		t.Error("nobody was told to look at the log")
	}
	page := n.history(dead, engine.Query{Since: &last, Limit: engine.All})
	if page.Gap != "" || page.Top.Epoch == last.Epoch || page.Messages[0].Offset != last.Offset+1 {
		t.Errorf("the position of before: gap %q, top %v, before %v", page.Gap, page.Top, last)
	}
	n.back()
}

// D7: a master dies and comes back empty, without a replica: its channels are
// told, the others go on.
func TestClusterAMasterDiesAndComesBack(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n := startNode(t, nil, inCluster(c))
	by := spread(c, 1)
	victim := c.Masters[2]
	dead, alive := by[victim][0], by[c.Masters[0]][0]
	n.subscribe(dead, alive)
	before := n.publish(dead, "1").Position
	victim.Kill()
	eventually(t, "the dead one's channel fails at once", func() bool {
		begun := time.Now()
		_, err := n.Publish(t.Context(), engine.Publication{Channel: dead, Payload: []byte("x")})
		return err != nil && time.Since(begun) < time.Second
	})
	for range 50 {
		n.publish(alive, "x")
	}
	tops, err := n.Positions(t.Context(), []string{dead, alive})
	if err != nil || tops[0] != (message.Position{}) || tops[1].Offset != 50 {
		t.Errorf("positions %v, %v", tops, err)
	}
	n.sink.Wait(t, alive, 50)
	victim.Restart()
	arrives(t, n, dead)
	n.back()
	if page := n.history(dead, engine.Query{Since: &before, Limit: engine.All}); page.Gap != message.GapLost {
		t.Errorf("a position of the lost log: gap %q", page.Gap)
	}
}

// D1, D6: a master that hands over to its replica in good order loses nothing.
func TestClusterAMasterHandsOver(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	ch := "long-chat"
	replica := c.AddReplica(c.Owner(ch))
	n := startNode(t, nil, inCluster(c))
	n.subscribe(ch)
	stop := traffic(t, n, ch)
	n.sink.Wait(t, ch, 20)
	replica.Do("CLUSTER", "FAILOVER")
	eventually(t, "the replica is the master", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "role:master") && n.env.Redis.Topology.Home(ch).Addr == replica.Addr
	})
	seen := len(n.sink.Messages(ch))
	eventually(t, "messages come live", func() bool { return len(n.sink.Messages(ch)) > seen+20 })
	total, _ := stop()
	seenAll(t, n, ch, total)
	n.back()
}

// D6: while the keys of a slot have arrived and the slot has not, messages do not
// come live; nodes look at the log again and again. And the probe that lies in
// that slot goes to another.
func TestClusterASlotThatTakesItsTime(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n := startNode(t, nil, inCluster(c))
	ch := topology.Tag(0) // where the first master's probe lies
	home := c.Owner(ch)
	place := probeIn(home)
	n.subscribe(ch)
	n.publish(ch, "1")
	moved := false
	c.Move(ch, c.Masters[1], func() {
		if !moved { // the first key is there
			moved = true
			return
		}
		n.publish(ch, "2")
		rechecks := n.sink.Rechecks()
		eventually(t, "the log is looked at, twice", func() bool { return n.sink.Rechecks() >= rechecks+2 })
		if top := n.history(ch, engine.Query{}).Top; top.Offset != 2 {
			t.Errorf("top %v", top)
		}
		eventually(t, "the probe is elsewhere", func() bool { now := probeIn(home); return now != "" && !strings.Contains(now, place) })
		n.back()
	})
	arrives(t, n, ch)
	n.back()
}

// probeIn is where probes lie on a master now.
func probeIn(server *redistest.Server) string {
	return server.Do("PUBSUB", "SHARDCHANNELS", "magpie:{*}:probe:*")
}

// D7: the probe, whose names lie in a slot, and a master as a whole give way when
// slots go.
func TestClusterAMasterLosesItsSlots(t *testing.T) {
	c := redistest.StartClusterAt(t, 0, 8000, redistest.Slots-2)
	n := startNode(t, nil, inCluster(c))
	small := c.Masters[2]
	place := probeIn(small)
	n.subscribe(topology.Tag(redistest.Slots-2), topology.Tag(redistest.Slots-1))
	c.Move(topology.Tag(redistest.Slots-2), c.Masters[0], nil)
	eventually(t, "the probe has another place", func() bool { now := probeIn(small); return now != "" && !strings.Contains(now, place) })
	n.back()
	c.Move(topology.Tag(redistest.Slots-1), c.Masters[1], nil)
	eventually(t, "the master is left alone", func() bool {
		return len(n.env.Redis.Topology.Masters()) == 2 && c.Masters[2].Do("CLIENT", "LIST", "TYPE", "pubsub") == ""
	})
	n.back()
	for _, slot := range []int{redistest.Slots - 2, redistest.Slots - 1} {
		arrives(t, n, topology.Tag(slot))
	}
	c.Move(topology.Tag(redistest.Slots-1), c.Masters[2], nil)
	eventually(t, "the master is back", func() bool { return len(n.env.Redis.Topology.Masters()) == 3 })
	arrives(t, n, topology.Tag(redistest.Slots-1))
	n.back()
}

// P4: who is there can be told, and told to others, while a master is away that
// has nothing to do with the channel but a node's lease.
func TestClusterPresenceWhileAMasterIsAway(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n := startNode(t, nil, inCluster(c))
	leased := c.Owner(n.env.Names.Node(n.NodeID() + ".0"))
	var ch string
	for owner, list := range spread(c, 1) {
		if owner != leased {
			ch = list[0]
			n.join(list[0], "early")
			n.waitMembers(list[0], "early")
		}
	}
	leased.Kill()
	if list, err := n.Members(t.Context(), ch); err != nil || len(list) != 1 {
		t.Errorf("at once: %v, %v", list, err)
	}
	eventually(t, "the master is known to be silent", func() bool { return n.env.Redis.Silence(n.env.Names.Node(n.NodeID()+".0")) != nil })
	n.join(ch, "early", "late")
	n.waitMembers(ch, "early", "late")
}

// A plain PUBLISH at any node reaches the channel's subscribers, once.
func TestClusterPlainPublish(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	a, b := startNode(t, nil, inCluster(c)), startNode(t, nil, inCluster(c))
	by := spread(c, 2)
	var names []string
	for _, list := range by {
		names = append(names, list...)
	}
	a.subscribe(names...)
	b.subscribe(names...)
	for i := range 60 {
		for k, ch := range names {
			c.Masters[k%3].Do("PUBLISH", ch, strconv.Itoa(i))
		}
	}
	for _, ch := range names {
		for _, n := range []*node{a, b} {
			n.sink.Wait(t, ch, 60)
		}
		wantExactly(t, a, ch, 60)
	}
}

// A slot that moves under a stream of plain PUBLISHes doubles none of them and
// keeps their order; a few may be lost, and it goes on.
func TestClusterPlainPublishWhileASlotMoves(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	a, b := startNode(t, nil, inCluster(c)), startNode(t, nil, inCluster(c))
	const ch = "long-plain"
	a.subscribe(ch)
	b.subscribe(ch)
	stop := plainLoad(t, c.Masters[0], ch)
	a.sink.Wait(t, ch, 50)
	for _, to := range []int{1, 2, 0, 2} {
		if c.Owner(ch) == c.Masters[to] {
			continue
		}
		seen := len(a.sink.Messages(ch))
		c.Move(ch, c.Masters[to], nil)
		eventually(t, "plain ones come again", func() bool { return len(a.sink.Messages(ch)) > seen+200 })
	}
	total := stop()
	fence := 1_000_000_000 // again and again: the first ones may be among those that are lost
	eventually(t, "the last one is in the log", func() bool {
		fence++
		c.Masters[0].Do("PUBLISH", ch, strconv.Itoa(fence))
		list := a.log(ch)
		return len(list) > 0 && len(list[len(list)-1]) == 10
	})
	before := -1
	list := a.log(ch)
	for _, text := range list {
		i, err := strconv.Atoi(text)
		if err != nil || i <= before {
			t.Fatalf("%s after %d: doubled or out of order", text, before)
		}
		before = i
	}
	t.Logf("about %d of %d are in the log after the moves", len(list), total)
}

// What waits to be appended when its slot moves may have been appended by
// others unseen: who does not hold the lease lets go of it.
func TestClusterAFollowerLetsGoWhenASlotMoves(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	var dropped atomic.Int64
	n := startNode(t, nil, func(cfg *Config) {
		cfg.URL = c.URL
		cfg.Metrics.PlainDropped = func(reason string) {
			if reason == "uncertain" {
				dropped.Add(1)
			}
		}
	})
	const ch = "chat"
	n.subscribe(ch)
	c.Owner(ch).Do("SET", n.env.Names.Of(ch).Lease(), "other 1.1", "PX", "60000")
	c.Masters[0].Do("PUBLISH", ch, "x")
	eventually(t, "it waits for the holder", func() bool { return n.plain.State(ch).Waiting == 1 })
	for _, to := range c.Masters {
		if to != c.Owner(ch) {
			c.Move(ch, to, nil)
			break
		}
	}
	eventually(t, "it is let go", func() bool { return dropped.Load() == 1 })
	if entries := n.plain.State(ch).Waiting; entries != 0 {
		t.Errorf("%d wait", entries)
	}
}

// The function publishes on the master of its key.
func TestClusterFcall(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	n := startNode(t, nil, inCluster(c))
	for owner, list := range spread(c, 1) {
		n.subscribe(list[0])
		if got := owner.Do("FCALL", "magpie_publish", "1", list[0], "hi"); !strings.HasPrefix(got, "1\n") {
			t.Errorf("%s: %q", list[0], got)
		}
		n.sink.Wait(t, list[0], 1)
	}
}

// What does not work in a cluster, or is none, is said at the start.
func TestClusterRefusals(t *testing.T) {
	for _, in := range []Ingest{{Streams: []string{"orders"}}, {Channels: []string{"*"}}} {
		if _, err := New(Config{URL: "redis+cluster://h", Rules: parttest.Rules(t), Ingest: in}); err == nil || !strings.Contains(err.Error(), "do not work with a Redis Cluster") {
			t.Errorf("%+v: %v", in, err)
		}
	}
	single := redistest.Start(t)
	empty := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", "0")
	for url, want := range map[string]string{
		strings.Replace(single.URL, "redis://", "redis+cluster://", 1): "is no cluster",
		strings.Replace(empty.URL, "redis://", "redis+cluster://", 1):  "slots without a master",
		empty.URL: "redis+cluster://",
	} {
		e := newEngine(t, nil, func(cfg *Config) { cfg.URL = url })
		if err := e.Start(t.Context(), enginetest.NewRecorder().Node()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
