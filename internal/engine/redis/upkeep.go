package redis

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/redis/rueidis"
)

const (
	// upkeepEvery a share of the held channels is refreshed; each has its turn
	// once in upkeepShares.
	upkeepEvery  = time.Minute
	upkeepShares = 60
)

// upkeep keeps what belongs to held channels from running out in Redis, and
// the Redis Function there. It costs by channel, not by client.
func (e *Engine) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	seed := maphash.MakeSeed()
	for share := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-e.functions:
			e.loadFunction(ctx, true)
		case <-tick.C:
			e.refresh(ctx, func(ch string) bool { return maphash.String(seed, ch)%upkeepShares == share })
			share = (share + 1) % upkeepShares
		}
	}
}

// askFunction has the Redis Function looked after soon, without waiting.
func (e *Engine) askFunction() {
	select {
	case e.functions <- struct{}{}:
	default:
	}
}

// refresh renews the lives of the channels that are due.
func (e *Engine) refresh(ctx context.Context, due func(string) bool) {
	var channels []string
	for ch := range e.sink.Channels() {
		if due(ch) {
			channels = append(channels, ch)
		}
	}
	if len(channels) == 0 {
		return
	}
	// A Redis that is away is no loss here: the next round comes.
	if _, err := e.Positions(ctx, channels); err != nil {
		e.cfg.Log.Debug("could not refresh channels", "error", err)
		return
	}
	cmds := make(rueidis.Commands, 0, len(channels))
	for _, ch := range channels {
		cmds = append(cmds, e.client.B().Pexpire().Key(e.keys.presence(ch)).Milliseconds(presenceTTL.Milliseconds()).Build())
	}
	err := e.do(ctx, "", func(ctx context.Context) error { return firstError(e.client.DoMulti(ctx, cmds...)) })
	if err != nil {
		e.cfg.Log.Debug("could not refresh presence", "error", err)
	}
}
