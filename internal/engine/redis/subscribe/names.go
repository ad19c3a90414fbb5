package subscribe

import (
	"slices"
	"time"

	channels "magpie/internal/channel"
	"magpie/internal/engine/redis/names"
)

// key tells names of one connection apart.
type key struct {
	text    string
	pattern bool
}

// name is one name to be subscribed to in Redis: what is wanted, and what Redis
// has confirmed.
type name struct {
	key
	channel string // "" for patterns and what nodes use themselves
	plain   bool
	sharded bool      // a cluster's kind of name, of one slot
	moved   bool      // its channel went to another master
	ignore  time.Time // until then a plain name takes nothing
	live    *name     // of a plain name: the one that its echoes come by
	want    bool
	state   nameState
	due     bool          // counted in connection.missing
	recheck bool          // was lost while wanted: tell the sink when it is back
	changed chan struct{} // closed at the next change of state; nil: nobody waits
	err     error         // why Redis refused it
}

type nameState int

const (
	off nameState = iota
	asking
	on
	leaving
)

// tellLocked wakes those who wait for a change of the name's state.
func (n *name) tellLocked() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// changeLocked is closed at the next change of the name's state.
func (n *name) changeLocked() <-chan struct{} {
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// channel is one that Subscribe was called for.
type channel struct {
	live, plain *name // nil where a pattern covers the channel; plain also for reserved names
	covered     []*name
	ready       bool       // Subscribe succeeded once
	waiting     int        // Subscribe calls that wait
	readings    []*reading // to be sent behind the SUBSCRIBE of its names
}

// names are the channel's own.
func (ch *channel) names() []*name {
	switch {
	case ch.live == nil:
		return nil
	case ch.plain == nil:
		return []*name{ch.live}
	}
	return []*name{ch.live, ch.plain}
}

// all are the names that the channel is heard by.
func (ch *channel) all() []*name {
	if ch.covered != nil {
		return ch.covered
	}
	return ch.names()
}

// onLocked tells whether Redis has confirmed all of them.
func (ch *channel) onLocked() bool {
	for _, n := range ch.all() {
		if n.state != on || !n.want {
			return false
		}
	}
	return true
}

// addLocked returns the name that is there already, if one is.
func (c *connection) addLocked(n *name) *name {
	if old := c.names[n.key]; old != nil {
		return old
	}
	c.names[n.key] = n
	c.touchLocked(n)
	return n
}

// touchLocked has run look at a name again.
func (c *connection) touchLocked(n *name) {
	c.dirty = append(c.dirty, n)
	c.wake()
}

func (c *connection) wantLocked(text string) *channel {
	ch := c.channels[text]
	if ch == nil {
		ch = &channel{}
		c.channels[text] = ch
	}
	reserved := c.Names.Reserved(text)
	if p := c.covering(text); p != nil && !reserved {
		ch.covered = []*name{c.addLocked(&name{key: p.live}), c.addLocked(&name{key: p.plain})}
		return ch
	}
	ch.live = c.wantNameLocked(&name{key: key{c.Names.Of(text).Live(), false}, channel: text, sharded: c.Redis.Sharded})
	if !reserved {
		ch.plain = c.wantNameLocked(&name{key: key{text, false}, channel: text, plain: true})
		ch.plain.live = ch.live
	}
	return ch
}

func (c *connection) wantNameLocked(n *name) *name {
	n = c.addLocked(n)
	if !n.want {
		n.want, n.moved, n.err = true, false, nil
		delete(c.refused, n)
		c.touchLocked(n)
	}
	return n
}

// goneLocked forgets a name that is neither wanted nor subscribed to.
func (c *connection) goneLocked(n *name) {
	c.oneLessLocked(n)
	delete(c.refused, n)
	if c.names[n.key] == n {
		delete(c.names, n.key)
	}
}

// pattern is a glob of channels that are always listened to, and its two names.
type pattern struct {
	glob        string
	plain, live key
}

func newPattern(n names.Names, glob string) pattern {
	g := redisGlob(glob)
	return pattern{glob: glob, live: key{n.Of(g).Live(), true}, plain: key{g, true}}
}

// redisGlob is a glob that Redis understands and that matches at least as
// much: its ? is one byte, ours is one character.
func redisGlob(glob string) string {
	b := []byte(glob)
	for i := range b {
		if b[i] == '?' {
			b[i] = '*'
		}
	}
	return string(b)
}

// covering returns the first pattern that matches the channel: the only one
// whose messages count, since Redis delivers once per matching pattern.
func (s *setup) covering(ch string) *pattern {
	i := slices.IndexFunc(s.patterns, func(p pattern) bool { return channels.Match(p.glob, ch) })
	if i < 0 {
		return nil
	}
	return &s.patterns[i]
}
