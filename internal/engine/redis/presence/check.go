package presence

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// checkEvery is how often a node looks whether Redis still has what it wrote.
// It costs one HEXISTS for each channel in which it has members.
const checkEvery = 5 * time.Second

// check has those channels written anew that somebody deleted. Run calls it, so
// that nothing is written meanwhile.
func (p *Presence) check(ctx context.Context) {
	p.mu.Lock()
	id, all := p.idLocked(), p.all
	p.mu.Unlock()
	if all {
		return // it comes anyway
	}
	var asked []string
	var cmds rueidis.Commands
	for ch := range p.Sink.Channels() {
		session, some := p.oneHere(ch)
		if some && p.Redis.Silence(ch) == nil {
			asked = append(asked, ch)
			cmds = append(cmds, p.Redis.Client().B().Hexists().Key(p.Names.Of(ch).Presence()).Field(id+"/"+session).Build())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	for len(cmds) > 0 {
		n := min(len(cmds), writeBatch)
		for i, reply := range p.Redis.Client().DoMulti(ctx, cmds[:n]...) {
			if has, err := reply.AsBool(); err == nil && !has {
				p.again(asked[i])
			}
		}
		asked, cmds = asked[n:], cmds[n:]
	}
}

// oneHere is a member of this node's that Redis is to have: one of whom nothing
// is to be written.
func (p *Presence) oneHere(ch string) (session string, some bool) {
	if !p.Rules.For(ch).Presence {
		return "", false
	}
	for m := range p.Sink.Members(ch) {
		p.mu.Lock()
		_, changes := p.changes[ch][m.Session]
		p.mu.Unlock()
		if !changes {
			return m.Session, true
		}
	}
	return "", false
}

// again has this node's members of a channel written. Whoever has left since
// they were asked for is among the changes.
func (p *Presence) again(ch string) {
	here := p.membersHere(ch)
	p.mu.Lock()
	for session, m := range here {
		if _, newer := p.changes[ch][session]; !newer {
			p.changes.put(ch, session, m)
			p.waiting++
		}
	}
	p.mu.Unlock()
	p.wake()
}

// merge makes of what Redis has of other nodes, and of this node's own members,
// which may not be written yet, one list.
func (p *Presence) merge(ch string, others []engine.Member) []engine.Member {
	here := p.membersHere(ch)
	list := make([]engine.Member, 0, len(here)+len(others))
	for _, m := range here {
		list = append(list, *m)
	}
	for _, m := range others {
		if here[m.Session] == nil {
			list = append(list, m)
		}
	}
	return list
}
