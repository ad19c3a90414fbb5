package redis

import (
	"context"
	"hash/maphash"
	"time"
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
	seed := maphash.MakeSeed()
	for share := uint64(0); ; share = (share + 1) % upkeepShares {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Somebody may have deleted them one by one.
		e.library.Check()
		e.secrets.check()
		var due []string
		for ch := range e.sink.Channels() {
			if maphash.String(seed, ch)%upkeepShares == share {
				due = append(due, ch)
			}
		}
		if len(due) == 0 {
			continue
		}
		// A Redis that is away is no loss here: the next turn comes.
		if _, err := e.Positions(ctx, due); err != nil {
			e.cfg.Log.Debug("could not refresh channels", "error", err)
		} else if err := e.presence.Refresh(ctx, due); err != nil {
			e.cfg.Log.Debug("could not refresh presence", "error", err)
		}
	}
}
