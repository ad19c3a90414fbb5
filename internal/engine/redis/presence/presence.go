// Package presence tells, through Redis, who is in a channel on all nodes.
//
// What Redis has is one hash per channel, field NODE/SESSION, and one lease per
// node, which says which fields count (lease.go). Joins and leaves only change
// memory; what they cost Redis goes by nodes and channels.
//
// NODE ends with a generation. Writing all anew starts a new one and ends the
// lease of the old: whatever Redis still has, or has again, of the old
// generation counts no more, without looking for it.
//
// Its goroutines are Run and Renew, which the caller starts and ends.
package presence

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
)

const (
	// writeDelay collects joins and leaves into one round trip.
	writeDelay = 100 * time.Millisecond
	writeRetry = 500 * time.Millisecond
	// writeBatch members are written per round trip.
	writeBatch = 500
	// mostChanges may wait. While Redis is away clients go on coming and going
	// for hours; past the bound who is there is written anew instead.
	mostChanges = 100_000
	// ttl outlives the time between two calls of Refresh by far; it only clears
	// up after channels that no node holds any more.
	ttl = 24 * time.Hour
)

// Sink knows who is on this node.
type Sink interface {
	Channels() iter.Seq[string]
	Members(channel string) iter.Seq[engine.Member]
}

// Config is what New needs.
type Config struct {
	script.Env
	Sink      Sink
	Rewritten func() // is told when all is written anew
}

// Presence implements engine.Presence.
type Presence struct {
	Config
	kick   chan struct{}
	clocks clocks

	mu         sync.Mutex // guards what follows
	generation uint64
	all        bool     // everything must be written
	old        []string // ids whose leases must end
	changes    changes
	waiting    int // of changes, at least
	flight
	ended   bool          // End was called
	renewal chan struct{} // closed when the last renewal has ended

	had string // the id of the last lease that was renewed; owned by Renew
}

// flight is the flush that is on its way, or was the last.
type flight struct {
	flushes    uint64 // its number
	flushed    uint64 // the last that succeeded
	writing    changes
	writingAll bool
	flushEnded chan struct{} // closed and renewed when it ends
}

// changes are who joined, by channel and session; nil: who left.
type changes map[string]map[string]*engine.Member

func (c changes) put(ch, session string, m *engine.Member) {
	if c[ch] == nil {
		c[ch] = map[string]*engine.Member{}
	}
	c[ch][session] = m
}

// New returns what is to be run with Run and Renew.
func New(c Config) *Presence {
	return &Presence{Config: c, kick: make(chan struct{}, 1), changes: changes{}, flight: flight{flushEnded: make(chan struct{})}}
}

// idLocked is what this node's fields begin with now.
func (p *Presence) idLocked() string { return p.Node + "." + strconv.FormatUint(p.generation, 36) }

// Rewrite has everything written anew, without waiting.
func (p *Presence) Rewrite() {
	p.mu.Lock()
	p.rewriteLocked()
	p.mu.Unlock()
	p.Rewritten()
	p.wake()
}

func (p *Presence) rewriteLocked() {
	p.old = append(p.old, p.idLocked())
	p.generation++
	p.all = true
}

func (p *Presence) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// Join implements engine.Presence.
func (p *Presence) Join(ch string, m engine.Member) { p.change(ch, m.Session, &m) }

// Leave implements engine.Presence.
func (p *Presence) Leave(ch, session string) { p.change(ch, session, nil) }

func (p *Presence) change(ch, session string, m *engine.Member) {
	p.mu.Lock()
	p.changes.put(ch, session, m)
	p.waiting++
	full := p.waiting > mostChanges
	if full { // the sink's members, which are asked then, have all of these changes
		p.rewriteLocked()
		p.changes, p.waiting = changes{}, 0
	}
	p.mu.Unlock()
	if full {
		p.Rewritten()
	}
	p.wake()
}

// Told implements engine.Presence. Channels whose master is silent are not
// waited for: nothing can be told there.
func (p *Presence) Told(ctx context.Context, channels iter.Seq[string]) error {
	need := p.flushOf(channels)
	for {
		p.mu.Lock()
		ended, done := p.flushEnded, p.flushed >= need
		p.mu.Unlock()
		if done || p.allSilent(channels) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
		}
	}
}

// flushOf is the number of the flush that writes what changed in the channels
// until now; 0: nothing did.
func (p *Presence) flushOf(channels iter.Seq[string]) (n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch := range channels {
		switch {
		case p.all || p.changes[ch] != nil:
			return p.flushes + 1
		case p.writingAll || p.writing[ch] != nil:
			n = p.flushes
		}
	}
	return n
}

func (p *Presence) allSilent(channels iter.Seq[string]) bool {
	for ch := range channels {
		if p.Redis.Silence(ch) == nil {
			return false
		}
	}
	return true
}

// Run writes what changes until ctx ends.
func (p *Presence) Run(ctx context.Context) {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	p.clocks.look(ctx, p.Redis.Topology.Masters())
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			p.clocks.look(ctx, p.Redis.Topology.Masters())
			p.check(ctx)
			continue
		case <-p.kick:
		}
		if !topology.Pause(ctx, writeDelay) {
			return
		}
		if err := p.flush(ctx); err != nil {
			if !topology.Pause(ctx, writeRetry) {
				return
			}
			p.wake()
		}
	}
}

// flush writes what changed. What could not be written stays to be written.
// Channels whose master is silent must not hold up the others.
func (p *Presence) flush(ctx context.Context) error {
	p.mu.Lock()
	id, all, old, changed := p.idLocked(), p.all, p.old, p.changes
	p.all, p.old, p.changes, p.waiting = false, nil, changes{}, 0
	p.flushes++
	p.writing, p.writingAll = changed, all
	n := p.flushes
	p.mu.Unlock()
	now, away := changes{}, changes{}
	var silent error
	for ch, sessions := range changed {
		if err := p.Redis.Silence(ch); err != nil {
			silent, away[ch] = err, sessions
		} else {
			now[ch] = sessions
		}
	}
	err := p.write(ctx, id, all, old, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.takeBackLocked(all, old, now)
	} else {
		p.flushed = n
	}
	p.takeBackLocked(false, nil, away)
	p.writing, p.writingAll = nil, false
	close(p.flushEnded)
	p.flushEnded = make(chan struct{})
	return errors.Join(err, silent)
}

func (p *Presence) takeBackLocked(all bool, old []string, changed changes) {
	p.all = p.all || all
	p.old = append(p.old, old...)
	for ch, sessions := range changed {
		p.waiting += len(sessions)
		for session, m := range sessions {
			if _, newer := p.changes[ch][session]; !newer {
				p.changes.put(ch, session, m)
			}
		}
	}
}

func (p *Presence) write(ctx context.Context, id string, all bool, old []string, changed changes) error {
	var cmds rueidis.Commands
	if all {
		// The new lease first: readers remove fields without one.
		cmds = append(cmds, p.take(p.Names.Node(id)))
		for ch := range p.Sink.Channels() {
			if p.Rules.For(ch).Presence {
				cmds = p.writeChannel(cmds, id, ch, p.membersHere(ch))
			}
		}
	}
	for ch, sessions := range changed {
		cmds = p.writeChannel(cmds, id, ch, sessions)
	}
	for _, gone := range old {
		cmds = append(cmds, p.Redis.Client().B().Del().Key(p.Names.Node(gone)).Build())
	}
	return p.Redis.DoAll(ctx, cmds, writeBatch)
}

func (p *Presence) membersHere(ch string) map[string]*engine.Member {
	all := map[string]*engine.Member{}
	for m := range p.Sink.Members(ch) {
		all[m.Session] = &m
	}
	return all
}

func (p *Presence) writeChannel(cmds rueidis.Commands, id, ch string, sessions map[string]*engine.Member) rueidis.Commands {
	b, key, joined := p.Redis.Client().B, p.Names.Of(ch).Presence(), false
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
		cmds = append(cmds, p.lifetime(key))
	}
	return cmds
}

func (p *Presence) lifetime(key string) rueidis.Completed {
	return p.Redis.Client().B().Pexpire().Key(key).Milliseconds(ttl.Milliseconds()).Build()
}

// Refresh keeps what belongs to these channels from running out in Redis.
func (p *Presence) Refresh(ctx context.Context, channels []string) error {
	cmds := make(rueidis.Commands, len(channels))
	for i, ch := range channels {
		cmds[i] = p.lifetime(p.Names.Of(ch).Presence())
	}
	return p.Redis.DoAll(ctx, cmds, len(cmds))
}
