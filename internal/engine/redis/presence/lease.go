package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/topology"
)

// Presence of a dead node vanishes: each node has one lease, a key that ends by
// itself. A field of a channel's hash begins with the id of its node, and
// readers leave out, and remove, fields of nodes whose lease is gone.

const (
	// renewEvery is how often a node renews its lease. engine.LeaseTime is ten
	// times that.
	renewEvery   = 400 * time.Millisecond
	renewTimeout = time.Second
)

// Renew keeps this node's lease until ctx ends. A lease that it had and that is
// gone makes it write all anew: others may have removed its fields.
func (p *Presence) Renew(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if id, held, err := p.renew(ctx); err == nil {
			if !held && id == p.had {
				p.Rewrite()
			}
			p.had = id
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// renew renews the lease of id, unless End was called, and tells whether it was
// there. It is not for two goroutines at once.
func (p *Presence) renew(ctx context.Context) (id string, held bool, err error) {
	over := make(chan struct{})
	defer close(over)
	p.mu.Lock()
	id, p.renewal = p.idLocked(), over
	ended := p.ended
	p.mu.Unlock()
	if ended {
		return "", false, engine.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	client, key := p.Redis.Client(), p.Names.Node(id)
	held, err = client.Do(ctx, client.B().Pexpire().Key(key).Milliseconds(engine.LeaseTime.Milliseconds()).Build()).AsBool()
	if err != nil || held {
		return id, held, err
	}
	return id, false, client.Do(ctx, p.take(key)).Error()
}

// take is the command that takes a lease.
func (p *Presence) take(key string) rueidis.Completed {
	return p.Redis.Client().B().Set().Key(key).Value("1").Px(engine.LeaseTime).Build()
}

// End ends this node's lease, so that its presence goes at once. There is no
// renewal after it.
func (p *Presence) End(ctx context.Context) {
	p.mu.Lock()
	p.ended = true
	key, renewal := p.Names.Node(p.idLocked()), p.renewal
	p.mu.Unlock()
	if renewal != nil {
		select {
		case <-renewal:
		case <-ctx.Done():
		}
	}
	// Without an answer the lease ends by itself.
	_ = p.Redis.Finish(ctx, key, func(ctx context.Context) error {
		return p.Redis.Client().Do(ctx, p.Redis.Client().B().Del().Key(key).Build()).Error()
	})
}

// Members implements engine.Presence.
func (p *Presence) Members(ctx context.Context, ch string) ([]engine.Member, error) {
	var list []engine.Member
	err := p.Redis.Read(ctx, ch, func(ctx context.Context) (err error) {
		list, err = p.members(ctx, ch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("members of %q: %w", ch, err)
	}
	return list, nil
}

func (p *Presence) members(ctx context.Context, ch string) ([]engine.Member, error) {
	client, key := p.Redis.Client(), p.Names.Of(ch).Presence()
	fields, err := client.Do(ctx, client.B().Hgetall().Key(key).Build()).AsStrMap()
	if err != nil {
		return nil, err
	}
	alive, err := p.alive(ctx, ch, fields)
	if err != nil {
		return nil, err
	}
	var list []engine.Member
	var dead []string
	seen := map[string]bool{} // a session may be there under two generations
	for field, text := range fields {
		var m engine.Member
		if !alive[nodeOf(field)] || json.Unmarshal([]byte(text), &m) != nil {
			dead = append(dead, field)
		} else if !strings.HasPrefix(field, p.Node+".") && !seen[m.Session] {
			seen[m.Session] = true
			list = append(list, m)
		}
	}
	if len(dead) > 0 {
		// Only tidying: the next reader does it when this one cannot.
		_ = client.Do(ctx, client.B().Hdel().Key(key).Field(dead...).Build()).Error()
	}
	return p.merge(ch, list), nil
}

func nodeOf(field string) string {
	node, _, _ := strings.Cut(field, "/")
	return node
}

// gone is what PTTL answers for a key that is not there.
const gone = -2

// alive tells which of the nodes in the fields have a lease. A lease that lies
// on another master than the channel, and cannot be seen there, is taken for
// held, and so is one that is gone because the clock was set.
func (p *Presence) alive(ctx context.Context, ch string, fields map[string]string) (map[string]bool, error) {
	alive := map[string]bool{}
	var asked []string
	var cmds, long rueidis.Commands
	for field := range fields {
		node := nodeOf(field)
		if _, known := alive[node]; known {
			continue
		}
		alive[node] = true
		if key := p.Names.Node(node); !p.apart(ch, key) || p.Redis.Silence(key) == nil {
			asked = append(asked, node)
			cmds = append(cmds, p.Redis.Client().B().Pttl().Key(key).Build())
		}
	}
	set := map[*topology.Master]bool{} // masters of leases that are gone: their clocks were set
	for i, reply := range p.Redis.Client().DoMulti(ctx, cmds...) {
		ms, err := reply.AsInt64()
		if err == nil && ms > engine.LeaseTime.Milliseconds() {
			// Redis's clock was set back: a lease must not live longer than its length.
			long = append(long, p.Redis.Client().B().Pexpire().Key(p.Names.Node(asked[i])).Milliseconds(engine.LeaseTime.Milliseconds()).Build())
		}
		if err != nil && !p.apart(ch, p.Names.Node(asked[i])) {
			return nil, err
		}
		alive[asked[i]] = err != nil || ms != gone
		if home := p.Redis.Topology.Home(p.Names.Node(asked[i])); !alive[asked[i]] && home != nil {
			if _, looked := set[home]; !looked {
				set[home] = p.clocks.wasSet(ctx, home)
			}
			alive[asked[i]] = set[home]
		}
	}
	if len(long) > 0 {
		p.Redis.Client().DoMulti(ctx, long...) // else the next reader does it
	}
	return alive, nil
}

// apart tells whether two names lie on different masters.
func (p *Presence) apart(a, b string) bool {
	return p.Redis.Topology.Home(a) != p.Redis.Topology.Home(b)
}
