package hub

import (
	"context"
	"slices"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// readersMost is how many logs are read for joins at once. A log can be many
// megabytes; a usual reading takes a fraction of a millisecond.
const readersMost = 8

// reader reads one room's log for those who come back. While one reading is
// under way others wait, and the next one serves all of them: it begins at the
// lowest of their positions. So a thousand clients of a node that died cost a
// few readings, not a thousand.
//
// Whoever waits is among the room's subscribers already, and a reading serves
// only those who waited before it began: what it does not see comes live (D3).
type reader struct {
	room *room

	mu      sync.Mutex // guards what follows; memory only
	waiting []*asker
	turn    bool // who missed little had the turn; now who waits longest has it
	working bool // run runs
}

// asker waits to hear what it missed.
type asker struct {
	since message.Position
	done  chan struct{} // closed when what follows is set
	verdict
	err error
}

// ask returns what the log has after since.
func (rd *reader) ask(ctx context.Context, since message.Position) (verdict, error) {
	a := &asker{since: since, done: make(chan struct{})}
	rd.mu.Lock()
	rd.waiting = append(rd.waiting, a)
	if !rd.working {
		rd.working = rd.room.hub.start(rd.run)
	}
	rd.mu.Unlock()
	select {
	case <-a.done:
		return a.verdict, a.err
	case <-ctx.Done():
		rd.mu.Lock()
		rd.waiting = slices.DeleteFunc(rd.waiting, func(o *asker) bool { return o == a })
		rd.mu.Unlock()
		return verdict{}, engine.Unavailable("%w", ctx.Err())
	case <-rd.room.hub.life.Done():
		return verdict{}, ErrClosed
	}
}

// run reads until nobody waits.
func (rd *reader) run() {
	h := rd.room.hub
	for {
		select {
		case h.reading <- struct{}{}:
		case <-h.life.Done():
			return // who waits sees it, too
		}
		group := rd.take(rd.room.position())
		if len(group) > 0 {
			rd.serve(group)
		}
		<-h.reading
		if len(group) == 0 {
			return
		}
	}
}

// far is how many messages behind the room a position is served apart: one
// client that asks for a long log must not make everybody wait for it.
const far = 1000

// kin is what positions that are read together have in common.
type kin struct {
	epoch string
	far   bool
}

func kinOf(since, room message.Position) kin {
	return kin{since.Epoch, since.Epoch == room.Epoch && room.Offset > far && since.Offset < room.Offset-far}
}

// take removes the next group from those who wait. Those who missed little on
// the room's own timeline, honest clients as a rule, wait for one reading of
// others at most, and the other way round.
func (rd *reader) take(room message.Position) (group []*asker) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if len(rd.waiting) == 0 {
		rd.working = false
		return nil
	}
	next, near := kinOf(rd.waiting[0].since, room), kin{epoch: room.Epoch}
	rd.turn = !rd.turn
	if rd.turn && slices.ContainsFunc(rd.waiting, func(a *asker) bool { return kinOf(a.since, room) == near }) {
		next = near
	}
	rest := rd.waiting[:0:0]
	for _, a := range rd.waiting {
		if kinOf(a.since, room) == next {
			group = append(group, a)
		} else {
			rest = append(rest, a)
		}
	}
	rd.waiting = rest
	return group
}

// serve reads once and answers the whole group.
func (rd *reader) serve(group []*asker) {
	lowest := group[0].since
	for _, a := range group {
		if a.since.Offset < lowest.Offset {
			lowest = a.since
		}
	}
	ctx, cancel := context.WithTimeout(rd.room.hub.life, fillTimeout)
	defer cancel()
	page, err := rd.room.hub.engine.History(ctx, rd.room.name, engine.Query{Since: &lowest, Limit: engine.All, Resume: true})
	for _, a := range group {
		a.err = err
		if err == nil {
			a.verdict, _ = judge(page, lowest, a.since)
		}
		close(a.done)
	}
}
