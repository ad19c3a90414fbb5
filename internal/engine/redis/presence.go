package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

const (
	// rosterDelay collects joins and leaves into one round trip.
	rosterDelay = 100 * time.Millisecond
	rosterRetry = 500 * time.Millisecond
	// presenceTTL outlives upkeep's round by far; it only clears up after
	// channels that no node holds any more.
	presenceTTL = 24 * time.Hour
	// rosterMost changes may wait. While Redis is away clients go on coming and
	// going for hours; past the bound who is there is written anew instead.
	rosterMost = 100_000
	// rosterBatch members are written per round trip.
	rosterBatch = 500
)

// roster tells Redis who is where on this node: one hash per channel, field
// NODE/SESSION, and one lease per node that says which fields count. Joins and
// leaves only change memory; the one goroutine (run) writes them.
//
// NODE ends with a generation. Writing all anew begins a new one and ends the
// lease of the old: whatever Redis still has, or has again, of the old
// generation counts no more, without looking for it.
type roster struct {
	e    *Engine
	kick chan struct{}

	failures atomic.Uint64 // rounds that could not be written

	mu      sync.Mutex // guards what follows
	gen     uint64
	all     bool     // everything must be written
	old     []string // ids whose leases must end
	changes map[string]map[string]*engine.Member
	waiting int // of changes, at least

	beating sync.Mutex // held over a renewal: after leave there is none
	left    bool       // guarded by beating
}

func newRoster(e *Engine) *roster {
	return &roster{e: e, kick: make(chan struct{}, 1), changes: map[string]map[string]*engine.Member{}}
}

// id is what this node's fields begin with now.
func (r *roster) id() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idLocked()
}

func (r *roster) idLocked() string { return r.e.node + "." + strconv.FormatUint(r.gen, 36) }

// rewrite has everything written anew.
func (r *roster) rewrite() {
	r.mu.Lock()
	r.rewriteLocked()
	r.mu.Unlock()
	call(r.e.cfg.Metrics.PresenceRewrites)
	r.wake()
}

func (r *roster) rewriteLocked() {
	r.old = append(r.old, r.idLocked())
	r.gen++
	r.all = true
}

func (r *roster) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Join implements engine.Presence.
func (e *Engine) Join(ch string, m engine.Member) { e.roster.change(ch, m.Session, &m) }

// Leave implements engine.Presence.
func (e *Engine) Leave(ch, session string) { e.roster.change(ch, session, nil) }

func (r *roster) change(ch, session string, m *engine.Member) {
	r.mu.Lock()
	c := r.changes[ch]
	if c == nil {
		c = map[string]*engine.Member{}
		r.changes[ch] = c
	}
	c[session] = m
	r.waiting++
	full := r.waiting > rosterMost
	if full { // the sink's members, which are asked then, have all of these changes
		r.rewriteLocked()
		r.changes, r.waiting = map[string]map[string]*engine.Member{}, 0
	}
	r.mu.Unlock()
	if full {
		call(r.e.cfg.Metrics.PresenceRewrites)
	}
	r.wake()
}

func (r *roster) run(ctx context.Context) {
	delay := time.NewTimer(0)
	defer delay.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		}
		delay.Reset(rosterDelay)
		select {
		case <-ctx.Done():
			return
		case <-delay.C:
		}
		if err := r.flush(ctx); err != nil {
			r.failures.Add(1)
			delay.Reset(rosterRetry)
			select {
			case <-ctx.Done():
				return
			case <-delay.C:
			}
			r.wake()
		}
	}
}

// flush writes what changed. What could not be written stays to be written.
func (r *roster) flush(ctx context.Context) error {
	r.mu.Lock()
	id, all, old, changes := r.idLocked(), r.all, r.old, r.changes
	r.all, r.old, r.changes, r.waiting = false, nil, map[string]map[string]*engine.Member{}, 0
	r.mu.Unlock()
	changes, away := r.apart(changes)
	err := r.write(ctx, id, all, old, changes)
	if err != nil {
		r.takeBack(all, old, changes)
	}
	if len(away) > 0 {
		r.takeBack(false, nil, away)
		err = cmp.Or(err, error(engine.ErrUnavailable))
	}
	return err
}

// apart takes out the channels whose master is silent, where that is not all
// there is: they must not hold up the others.
func (r *roster) apart(changes map[string]map[string]*engine.Member) (now, away map[string]map[string]*engine.Member) {
	if r.e.cluster == nil {
		return changes, nil
	}
	away = map[string]map[string]*engine.Member{}
	for ch, sessions := range changes {
		if r.e.silence(ch) != nil {
			away[ch] = sessions
			delete(changes, ch)
		}
	}
	return changes, away
}

func (r *roster) takeBack(all bool, old []string, changes map[string]map[string]*engine.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = r.all || all
	r.old = append(r.old, old...)
	for ch, sessions := range changes {
		r.waiting += len(sessions)
		for session, m := range sessions {
			if r.changes[ch] == nil {
				r.changes[ch] = map[string]*engine.Member{}
			}
			if _, newer := r.changes[ch][session]; !newer {
				r.changes[ch][session] = m
			}
		}
	}
}

func (r *roster) write(ctx context.Context, id string, all bool, old []string, changes map[string]map[string]*engine.Member) error {
	b := r.e.client.B
	var cmds rueidis.Commands
	if all {
		// The new lease first: readers remove fields without one.
		cmds = append(cmds, b().Set().Key(r.e.keys.node(id)).Value("1").Px(engine.LeaseTime).Build())
		for ch := range r.e.sink.Channels() {
			if r.e.cfg.Rules.For(ch).Presence {
				cmds = r.writeChannel(cmds, id, ch, r.membersOf(ch))
			}
		}
	}
	for ch, sessions := range changes {
		cmds = r.writeChannel(cmds, id, ch, sessions)
	}
	for _, gone := range old {
		cmds = append(cmds, b().Del().Key(r.e.keys.node(gone)).Build())
	}
	var failed error
	for len(cmds) > 0 {
		n := min(len(cmds), rosterBatch)
		part := cmds[:n]
		cmds = cmds[n:]
		if err := r.e.do(ctx, "", func(ctx context.Context) error { return firstError(r.e.client.DoMulti(ctx, part...)) }); err != nil {
			failed = err // one master of a cluster may be away and the others there
		}
	}
	return failed
}

func (r *roster) membersOf(ch string) map[string]*engine.Member {
	all := map[string]*engine.Member{}
	for m := range r.e.sink.Members(ch) {
		all[m.Session] = &m
	}
	return all
}

func (r *roster) writeChannel(cmds rueidis.Commands, id, ch string, sessions map[string]*engine.Member) rueidis.Commands {
	b, key, joined := r.e.client.B, r.e.keys.presence(ch), false
	for session, m := range sessions {
		field := id + "/" + session
		if m == nil {
			cmds = append(cmds, b().Hdel().Key(key).Field(field).Build())
			continue
		}
		text, err := json.Marshal(m)
		if err != nil {
			continue // a Member of strings and bytes always marshals
		}
		joined = true
		cmds = append(cmds, b().Hset().Key(key).FieldValue().FieldValue(field, string(text)).Build())
	}
	if joined {
		cmds = append(cmds, b().Pexpire().Key(key).Milliseconds(presenceTTL.Milliseconds()).Build())
	}
	return cmds
}

func firstError(replies []rueidis.RedisResult) error {
	for _, reply := range replies {
		if err := reply.Error(); err != nil {
			return err
		}
	}
	return nil
}

// Members implements engine.Presence. Fields of nodes without a lease are left
// out, and removed.
func (e *Engine) Members(ctx context.Context, ch string) ([]engine.Member, error) {
	var list []engine.Member
	err := e.read(ctx, ch, func(ctx context.Context) (err error) {
		list, err = e.members(ctx, ch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("members of %q: %w", ch, err)
	}
	return list, nil
}

func (e *Engine) members(ctx context.Context, ch string) ([]engine.Member, error) {
	key := e.keys.presence(ch)
	fields, err := e.client.Do(ctx, e.client.B().Hgetall().Key(key).Build()).AsStrMap()
	if err != nil {
		return nil, err
	}
	alive, err := e.alive(ctx, fields)
	if err != nil {
		return nil, err
	}
	var list []engine.Member
	var dead []string
	seen := map[string]bool{} // a session may be there under two generations
	for field, text := range fields {
		node, _, _ := strings.Cut(field, "/")
		var m engine.Member
		if !alive[node] || json.Unmarshal([]byte(text), &m) != nil {
			dead = append(dead, field)
		} else if !seen[m.Session] {
			seen[m.Session] = true
			list = append(list, m)
		}
	}
	if len(dead) > 0 {
		// Only tidying: the next reader does it when this one cannot.
		_ = e.client.Do(ctx, e.client.B().Hdel().Key(key).Field(dead...).Build()).Error()
	}
	return list, nil
}

// alive tells which of the nodes in the fields have a lease.
func (e *Engine) alive(ctx context.Context, fields map[string]string) (map[string]bool, error) {
	alive := map[string]bool{}
	var nodes []string
	for field := range fields {
		node, _, _ := strings.Cut(field, "/")
		if _, asked := alive[node]; !asked {
			alive[node] = false
			nodes = append(nodes, node)
		}
	}
	var asked []string
	cmds := make(rueidis.Commands, 0, len(nodes))
	for _, node := range nodes {
		if e.cluster != nil && e.silence(e.keys.node(node)) != nil {
			alive[node] = true // its lease lies elsewhere: not to be seen is not to be dead
			continue
		}
		asked = append(asked, node)
		cmds = append(cmds, e.client.B().Exists().Key(e.keys.node(node)).Build())
	}
	for i, reply := range e.client.DoMulti(ctx, cmds...) {
		n, err := reply.AsInt64()
		if err != nil && e.cluster == nil {
			return nil, err
		}
		alive[asked[i]] = err != nil || n == 1
	}
	return alive, nil
}
