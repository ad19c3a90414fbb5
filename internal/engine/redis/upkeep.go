package redis

import (
	"context"
	"hash/maphash"
	"iter"
	"time"

	"magpie/internal/message"
)

const (
	// upkeepEvery a share of the held channels is refreshed; each has its turn
	// once in upkeepShares.
	upkeepEvery  = time.Minute
	upkeepShares = 60
)

// upkeep keeps what belongs to held channels from running out in Redis. It costs
// by channel, not by client.
func (e *Engine) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	turns := turns{seed: maphash.MakeSeed()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := turns.next(e.sink.Channels())
		if len(due) == 0 {
			continue
		}
		// A Redis that is away is no loss here: the next turn comes.
		if tops, err := e.Positions(ctx, due); err != nil {
			e.cfg.Log.Debug("could not refresh channels", "error", err)
		} else if err := e.presence.Refresh(ctx, due); err != nil {
			e.cfg.Log.Debug("could not refresh presence", "error", err)
		} else {
			turns.done(due, tops)
		}
	}
}

// turns says which channels are to be refreshed. Those to which nothing was
// published yet come each time: Redis keeps the identity of an empty log for
// minutes only (script/lua/log.lua).
type turns struct {
	seed  maphash.Seed
	share uint64
	kept  map[string]bool // channels that have messages
}

func (t *turns) next(channels iter.Seq[string]) (due []string) {
	kept := map[string]bool{}
	for ch := range channels {
		if t.kept[ch] {
			kept[ch] = true
		}
		if !t.kept[ch] || maphash.String(t.seed, ch)%upkeepShares == t.share {
			due = append(due, ch)
		}
	}
	t.kept, t.share = kept, (t.share+1)%upkeepShares
	return due
}

func (t *turns) done(channels []string, tops []message.Position) {
	for i, ch := range channels {
		// Without a log there is no position, and nothing that runs out early.
		if tops[i].Offset > 0 || tops[i].Epoch == "" {
			t.kept[ch] = true
		}
	}
}
