package redis

import (
	"context"
	"slices"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// readingSize is the most messages that are read on the subscriber connection,
// where everybody's live messages wait behind them. The rest is read elsewhere.
const readingSize = 128

// reading is a part of a log, to be read behind the SUBSCRIBE of its channel.
type reading struct {
	channel string
	query   engine.Query // what was asked for
	ask     engine.Query // what is asked for at once

	taken bool          // guarded by subscriber.mu: it is being sent
	done  chan struct{} // closed when what follows is set
	reply rueidis.RedisResult
	good  bool // it was read after the names had been subscribed to
}

// newReading is nil for a channel without a log.
func (e *Engine) newReading(ch string, q engine.Query) *reading {
	if e.cfg.Rules.For(ch).Log.Size == 0 {
		return nil
	}
	r := &reading{channel: ch, query: q, ask: q, done: make(chan struct{})}
	r.ask.Limit = pageLimit(q.Limit, readingSize)
	return r
}

// joinsLocked tells whether a SUBSCRIBE of the channel's is still to be sent.
func (l *listening) joinsLocked() bool {
	return slices.ContainsFunc(l.names(), func(n *name) bool { return n.state == off })
}

// takeLocked takes the readings that may be sent now: behind all names.
func (l *listening) takeLocked() []*reading {
	for _, n := range l.names() {
		if n.state != asking && n.state != on {
			return nil
		}
	}
	taken := l.readings
	l.readings = nil
	for _, r := range taken {
		r.taken = true
	}
	return taken
}

func (l *listening) withdrawLocked(r *reading) {
	l.readings = slices.DeleteFunc(l.readings, func(o *reading) bool { return o == r })
}

func settleAll(list []*reading) {
	for _, r := range list {
		close(r.done)
	}
}

// readBehind waits for a reading that went out with the SUBSCRIBE, or reads by
// itself, and reads on when that was not all. The names are on.
func (s *subscriber) readBehind(ctx context.Context, l *listening, r *reading) (engine.Page, error) {
	s.mu.Lock()
	l.withdrawLocked(r)
	taken := r.taken
	s.mu.Unlock()
	if !taken {
		return s.e.history(ctx, r.channel, r.query, nil)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return engine.Page{}, engine.Unavailable("Redis at %s has not told the position yet (%w)", s.e.addr, ctx.Err())
	}
	if !r.good {
		return s.e.history(ctx, r.channel, r.query, nil)
	}
	page, err := decodePage(r.channel, r.ask, r.reply)
	if err != nil {
		return engine.Page{}, engine.Unavailable("%w", err)
	}
	return s.e.history(ctx, r.channel, r.query, &begun{page, r.ask.Limit})
}
