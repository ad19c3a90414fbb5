package subscribe

import (
	"errors"
	"time"

	"magpie/internal/engine/redis/topology"
)

// A channel may go to another master. Then its subscriptions follow, and it is
// compared with its log when they are on again (D6, D10). What Redis kept is not
// lost by that; plain PUBLISHes on their way at that moment may be.

// errMoved ends a wait for a name whose channel has gone to another master.
var errMoved = errors.New("the channel lies on another master now")

// ignoreTime is how long a plain name takes nothing on a master that its channel
// has just come to from one that was still there: a cluster sends PUBLISH to
// all masters, so what the old one has delivered may reach the new one yet, and
// losing it is better than taking it twice.
const ignoreTime = 150 * time.Millisecond

// movedTime is for how long after that a channel counts as one that has just
// moved: until all nodes have followed.
const movedTime = 3 * time.Second

// Follow makes connections and subscriptions as the topology is. It is called
// before all else, and then for each change; never twice at a time.
func (s *Subscriptions) Follow(change topology.Change) {
	old, now, added := *s.connections.Load(), connections{}, false
	for _, m := range change.Masters {
		if now[m] = old[m]; now[m] == nil {
			now[m] = newConnection(&s.setup, m, s.followed)
			added = true
		}
	}
	s.connections.Store(&now)
	for m, c := range now {
		s.move(c)
		if old[m] == nil {
			c.start()
		}
	}
	for _, m := range change.Gone {
		s.move(old[m])
		s.Log.Info("a master of the cluster has no slots any more", "redis", m.Addr)
		old[m].retire()
	}
	if added && s.followed {
		s.Events.Returned()
	}
	s.followed = true
	s.recheckMoving(change)
}

// move sends the channels of c that lie elsewhere there.
func (s *Subscriptions) move(c *connection) {
	moved, whole := c.follow()
	if len(moved) == 0 {
		return
	}
	s.Log.Info("channels follow their slots", "from", c.master.Addr, "channels", len(moved))
	ignore := time.Duration(0)
	if whole {
		ignore = ignoreTime
	}
	to, all := map[*connection][]string{}, map[string]bool{}
	for _, ch := range moved {
		home := s.home(ch)
		to[home] = append(to[home], ch)
		all[ch] = true
	}
	s.Plain.Moved(func(ch string) bool { return all[ch] })
	for home, list := range to {
		home.adopt(list, ignore)
	}
}

// recheckMoving has the channels compared whose keys are being moved: what is
// published where they arrive comes live only when the slot has followed.
func (s *Subscriptions) recheckMoving(change topology.Change) {
	if change.Moving == nil {
		return
	}
	var list []string
	for ch := range s.Sink.Channels() {
		if change.Moving(ch) {
			list = append(list, ch)
		}
	}
	if len(list) > 0 {
		s.Sink.Recheck(list...)
	}
}

// follow makes the names those that lie on this master: own ones of the node,
// and channels. It returns the channels that lie elsewhere by now and were
// listened to here, and whether the connection was whole until now.
func (c *connection) follow() (moved []string, whole bool) {
	place := c.probe.move()
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.probes {
		c.ownLocked(old, old == place)
	}
	c.probes = map[string]bool{place: true}
	c.ownLocked(place, true)
	for _, text := range []string{c.Names.Bus(""), c.Names.Bus(c.Node)} {
		c.ownLocked(text, c.isHome(text))
	}
	for name, ch := range c.channels {
		if c.Redis.Topology.Home(name) == nil || c.isHome(name) {
			continue
		}
		if ch.ready {
			moved = append(moved, name)
		}
		c.evictLocked(name, ch)
	}
	for _, n := range c.elsewhere {
		c.touchLocked(n)
	}
	c.elsewhere = nil
	return moved, c.whole
}

// ownLocked makes a name of the node's own wanted, or not.
func (c *connection) ownLocked(text string, want bool) {
	n := c.names[key{text, false}]
	if n == nil && want {
		c.addLocked(&name{key: key{text, false}, sharded: c.Redis.Sharded, want: true})
		return
	}
	if n != nil && n.want != want {
		n.want, n.err = want, nil
		delete(c.refused, n)
		c.touchLocked(n)
	}
}

// evictLocked lets go of a channel that lies on another master. Whoever waits
// for it asks there.
func (c *connection) evictLocked(name string, ch *channel) {
	delete(c.channels, name)
	for _, n := range ch.names() {
		n.want, n.moved, n.recheck, n.err = false, true, false, errMoved
		delete(c.refused, n)
		n.tellLocked()
		c.touchLocked(n)
	}
}

// adopt listens to channels that have come from another master; ignore is for
// how long their plain names take nothing.
func (c *connection) adopt(list []string, ignore time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range list {
		ch := c.wantLocked(name)
		ch.ready = true
		for _, n := range ch.names() {
			n.recheck = true
			if n.plain {
				n.ignore = time.Now().Add(ignore)
			}
		}
	}
}

// putAside keeps a name, whose slot is elsewhere for now, until the topology has
// been looked at again.
func (c *connection) putAside(n *name) {
	c.mu.Lock()
	if n.state == asking {
		n.state = off
	}
	c.elsewhere = append(c.elsewhere, n)
	c.mu.Unlock()
	c.Redis.Topology.Look()
}
