package node

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/address"
	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/limit"
)

// growth bounds how often clients ask, and how fast they make the engine's store
// grow: by names that nobody used here before, which live there for minutes once
// read and for days once published to, and by idempotency keys. Servers are not
// bounded. Its methods are safe for concurrent use; it holds nothing for who begins
// nothing.
type growth struct {
	limits                Limits
	requests, names, keys limit.Rate
	seed                  maphash.Seed
	// seen has the hashes of names that were used a while ago, each in its own
	// place, where another may follow it: who publishes where nobody
	// listens on this node goes on without a lock.
	seen [1 << 14]atomic.Uint64

	guests grown // of all of them together: to be another guest costs nothing

	mu     sync.Mutex // guards what follows; memory only
	owners map[string]*grown
	sweep  int // when there are so many owners, those who are at rest go
}

// grown is what one has taken of the rates.
type grown struct {
	requests    limit.Shared
	names, keys limit.Bucket
}

// manyTimes is how much more many clients together may take than one: all guests,
// all sessions of a user or of an address.
const manyTimes = 20

// floodedTimes takes the place of manyTimes for floodedFor after a session took more
// than it may alone. Such a session is cut; those who come back after it would else
// have all that many may take.
const (
	floodedTimes = 2
	floodedFor   = time.Minute
)

// leastOwners are kept without a look at who is at rest.
const leastOwners = 1000

func newGrowth(l Limits) *growth {
	g := &growth{limits: l, requests: l.rate(), seed: maphash.MakeSeed(), owners: map[string]*grown{}, sweep: leastOwners}
	if l.NewChannels > 0 {
		// Four tabs that come back with all of their channels are no flood.
		g.names = limit.Rate{Every: time.Minute / time.Duration(l.NewChannels), Burst: max(2*l.NewChannels, 4*l.Subscriptions)}
	}
	if n := l.IdempotencyKeys; n > 1 {
		// Half of them at once and half in a window: never more than all are alive.
		g.keys = limit.Rate{Every: 2 * l.IdempotencyWindow / time.Duration(n), Burst: n / 2}
	}
	return g
}

// ask counts requests: those of a session are its own. Over HTTP those of a user
// are, and those of a guest with a token; guests without one are nobody, and
// count for all guests alone. What begins a session is not counted: it has limits of
// its own, and nobody's requests may keep others from coming in.
func (g *growth) ask(r *request, n int) (wait time.Duration) {
	a := &r.actor
	switch {
	case g.requests.Every == 0 || a.trusted() || a.session == nil && r.do == auth.Subscribe:
		return 0
	case a.session != nil:
		return g.askFrom(r, n)
	case a.who.User == "":
		return times(g.requests, manyTimes).TakeMany(&g.guests.requests.Bucket, time.Now(), n)
	}
	return g.take(a, a.keyOwner(), g.requests, n, func(t *grown) *limit.Bucket { return &t.requests.Bucket })
}

// askFrom counts for the session, and for all that share a bucket with it: else who
// is refused would come back at once with nothing taken. Others of a shared address
// may listen all the same.
func (g *growth) askFrom(r *request, n int) (wait time.Duration) {
	s, now := r.actor.session, time.Now()
	owner := s.OwnerRequests.Load()
	wait = g.requests.TakeMany(&s.Requests, now, n)
	switch {
	case owner == nil:
		return wait
	case wait > 0:
		owner.Flood(now.Add(floodedFor))
		return wait
	case r.do == auth.Subscribe:
		return 0
	case owner.Flooded(now):
		return times(g.requests, floodedTimes).TakeMany(&owner.Bucket, now, n)
	}
	return times(g.requests, manyTimes).TakeMany(&owner.Bucket, now, n)
}

// ownerRequests is what all sessions of a user have taken. To be another guest costs
// nothing: guests have what is their address's.
func (g *growth) ownerRequests(who auth.Identity, from *address.Client) *limit.Shared {
	if who.Kind != auth.User || who.User == "" {
		return from.Requests()
	}
	a := Actor{who: who}
	return &g.owner(a.keyOwner(), time.Now()).requests
}

// name decides whether the actor may use a channel, and counts a name that is
// new; here tells whether somebody on this node listens to it.
func (g *growth) name(a *Actor, channel string, here func(string) bool) error {
	if g.names.Every == 0 || a.trusted() {
		return nil
	}
	hash := maphash.String(g.seed, channel)
	place := &g.seen[hash%uint64(len(g.seen))]
	if place.Load() == hash {
		return nil
	}
	if !here(channel) {
		owner := a.keyOwner()
		if a.session != nil && a.who.User == "" {
			owner = a.session.ID()
		}
		if wait := g.take(a, owner, g.names, 1, func(t *grown) *limit.Bucket { return &t.names }); wait > 0 {
			return &fault.Fault{Kind: fault.TooMany, Setting: "max_new_channels", Wait: wait,
				Message: fmt.Sprintf("%d channels that nobody used here before are the most to begin in a minute; wait, or use fewer names (setting max_new_channels)", g.limits.NewChannels)}
		}
	}
	place.Store(hash)
	return nil
}

// key counts an idempotency key that the actor uses.
func (g *growth) key(a *Actor) error {
	if g.keys.Every == 0 || a.trusted() {
		return nil
	}
	wait := g.take(a, a.keyOwner(), g.keys, 1, func(t *grown) *limit.Bucket { return &t.keys })
	if wait == 0 {
		return nil
	}
	return &fault.Fault{Kind: fault.TooMany, Setting: "max_idempotency_keys", Wait: wait,
		Message: fmt.Sprintf("%d idempotency keys are the most that are kept for one client; wait, or publish without one (setting max_idempotency_keys)", g.limits.IdempotencyKeys)}
}

// take takes from the owner's bucket, and for a guest from that of all guests.
func (g *growth) take(a *Actor, owner string, rate limit.Rate, n int, of func(*grown) *limit.Bucket) (wait time.Duration) {
	now := time.Now()
	if wait = rate.TakeMany(of(g.owner(owner, now)), now, n); wait > 0 || a.who.Kind == auth.User {
		return wait
	}
	return times(rate, manyTimes).TakeMany(of(&g.guests), now, n)
}

// times is a rate for so many clients together.
func times(r limit.Rate, n int) limit.Rate {
	return limit.Rate{Every: r.Every / time.Duration(n), Burst: r.Burst * n}
}

func (g *growth) owner(name string, now time.Time) *grown {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.owners[name]
	if t != nil {
		return t
	}
	if len(g.owners) >= g.sweep {
		for name, t := range g.owners {
			if t.requests.Rested(now) && t.names.Rested(now) && t.keys.Rested(now) {
				delete(g.owners, name)
			}
		}
		g.sweep = max(leastOwners, 2*len(g.owners))
	}
	t = new(grown)
	g.owners[name] = t
	return t
}
