package redis

import (
	"errors"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// In a cluster a channel's slot may go to another master: because an operator
// moves it, or because its master died and a replica took over. Then the
// channel's subscriptions follow (settle), and it is compared with its log when
// they are on again (D6, D10). What Redis kept is not lost by that; plain
// PUBLISHes on their way at that moment may be.

// errMoved ends a wait for a name whose channel has gone to another master.
var errMoved = errors.New("the channel lies on another master now")

// deafTime is how long a plain name takes nothing on a master that its channel
// has just come to from one that was still there: a cluster sends PUBLISH to
// all masters, so what the old one has delivered may reach the new one yet, and
// it is rather lost than doubled.
const deafTime = 150 * time.Millisecond

// isGoing tells whether a slot, or keys of it, are at another master.
func isGoing(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := reply.IsMoved()
	_, ask := reply.IsAsk()
	return moved || ask || reply.IsTryAgain()
}

// isElsewhere tells whether Redis refuses a name for its slot alone.
func isElsewhere(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	return isGoing(err) || reply.IsClusterDown() || reply.IsLoading() || strings.HasPrefix(reply.Error(), "MASTERDOWN")
}

// stray keeps a name until the cluster has been looked at again.
func (s *subscriber) stray(n *name) {
	s.mu.Lock()
	if n.state == asking {
		n.state = off
	}
	s.strayed = append(s.strayed, n)
	s.mu.Unlock()
	s.e.cluster.look()
}

// settle makes the names those that lie on this master: own ones of the node,
// and channels. It returns the channels that lie elsewhere by now and were
// listened to here, and whether they were heard until now.
func (s *subscriber) settle() (moved []string, whole bool) {
	e := s.e
	place := s.m.probe.place.Load().name
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range []string{place, e.keys.bus(""), e.keys.bus(e.node)} {
		s.ownLocked(text, text == place || e.home(text) == s.m)
	}
	for _, n := range s.names {
		if strings.HasPrefix(n.text, e.keys.probe(e.node)) && n.text != place {
			s.ownLocked(n.text, false)
		}
	}
	for ch, l := range s.channels {
		if home := e.home(ch); home == nil || home == s.m {
			continue
		}
		if l.ready {
			moved = append(moved, ch)
		}
		s.evictLocked(ch, l)
	}
	for _, n := range s.strayed {
		s.touchLocked(n)
	}
	s.strayed = nil
	return moved, s.whole
}

// ownLocked makes a name of the node's own wanted, or not.
func (s *subscriber) ownLocked(text string, want bool) {
	n := s.names[nameKey(text, false)]
	if n == nil && want {
		s.addLocked(&name{text: text, sharded: true, want: true})
		return
	}
	if n != nil && n.want != want {
		n.want, n.err = want, nil
		s.touchLocked(n)
	}
}

// evictLocked lets go of a channel that lies on another master. Whoever waits
// for it asks there.
func (s *subscriber) evictLocked(ch string, l *listening) {
	delete(s.channels, ch)
	for _, n := range l.names() {
		n.want, n.moved, n.recheck, n.err = false, true, false, errMoved
		n.tellLocked()
		s.touchLocked(n)
	}
}

// adopt listens to channels that have come from another master; deaf is for
// how long their plain names take nothing.
func (s *subscriber) adopt(channels []string, deaf time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range channels {
		l := s.wantLocked(ch)
		l.ready = true
		for _, n := range l.names() {
			n.recheck = true
			if n.plain {
				n.deaf = time.Now().Add(deaf)
			}
		}
	}
}

// hears tells whether a plain PUBLISH that came here is to be taken.
func (s *subscriber) hears(ch string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.names[nameKey(ch, false)]
	return n != nil && !n.moved && (n.deaf.IsZero() || time.Now().After(n.deaf))
}
