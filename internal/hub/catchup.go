package hub

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// maxReads is how many logs are read for joins at once. A log can be many
// megabytes; a usual reading takes a fraction of a millisecond.
const maxReads = 8

// catchUp reads one channel's log for those who come back. While one reading
// is under way others wait, and the next one serves a group of them: it begins
// at the lowest of their positions. So a thousand clients of a node that died
// cost a few readings, not a thousand.
//
// Whoever waits is among the channel's receivers already, and a reading serves
// only those who waited before it began: what it does not see comes live (D3).
type catchUp struct {
	channel *channelState

	mu      sync.Mutex // guards what follows; memory only
	waiting []*waiter
	near    bool // the last group missed little; the next one is of who waits longest
	working bool // run runs
}

// waiter waits to be told what it missed.
type waiter struct {
	since message.Position
	done  chan struct{} // closed when what follows is set
	recovery
	err error
}

// ask returns what the log has after since.
func (u *catchUp) ask(ctx context.Context, since message.Position) (recovery, error) {
	w := &waiter{since: since, done: make(chan struct{})}
	u.mu.Lock()
	u.waiting = append(u.waiting, w)
	if !u.working {
		u.working = u.channel.hub.start(u.run)
	}
	u.mu.Unlock()
	select {
	case <-w.done:
		return w.recovery, w.err
	case <-ctx.Done():
		u.mu.Lock()
		u.waiting = slices.DeleteFunc(u.waiting, func(o *waiter) bool { return o == w })
		u.mu.Unlock()
		return recovery{}, engine.Unavailable("%w", ctx.Err())
	case <-u.channel.hub.life.Done():
		return recovery{}, ErrClosed
	}
}

// run reads until nobody waits.
func (u *catchUp) run() {
	h := u.channel.hub
	for more := true; more; {
		select {
		case h.reads <- struct{}{}:
		case <-h.life.Done():
			return // those who wait see it, too
		}
		members := u.nextGroup(u.channel.position())
		if more = len(members) > 0; more {
			u.serve(members)
		}
		<-h.reads
	}
}

// farBehind is how many messages behind the channel a position is served
// apart: one client that asks for a long log must not make everybody wait.
const farBehind = 1000

// group is what positions that are read together have in common.
type group struct {
	epoch string
	far   bool
}

func groupOf(since, channel message.Position) group {
	return group{since.Epoch, since.Epoch == channel.Epoch && channel.Offset > farBehind && since.Offset < channel.Offset-farBehind}
}

// nextGroup removes the next group from those who wait. Those who missed
// little on the channel's own timeline, as most clients do, wait for one
// reading of others at most, and the other way round.
func (u *catchUp) nextGroup(channel message.Position) (members []*waiter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) == 0 {
		u.working = false
		return nil
	}
	serve, near := groupOf(u.waiting[0].since, channel), group{epoch: channel.Epoch}
	u.near = !u.near
	if u.near && slices.ContainsFunc(u.waiting, func(w *waiter) bool { return groupOf(w.since, channel) == near }) {
		serve = near
	}
	u.waiting = slices.DeleteFunc(u.waiting, func(w *waiter) bool {
		if groupOf(w.since, channel) != serve {
			return false
		}
		members = append(members, w)
		return true
	})
	return members
}

// serve reads once and answers all members of the group.
func (u *catchUp) serve(members []*waiter) {
	lowest := slices.MinFunc(members, func(a, b *waiter) int { return cmp.Compare(a.since.Offset, b.since.Offset) }).since
	page, err := u.channel.read(engine.Query{Since: &lowest, Limit: engine.All, Resume: true})
	for _, w := range members {
		w.err = err
		if err == nil {
			w.recovery, _ = recoverFrom(w.since, page, lowest)
		}
		close(w.done)
	}
}
