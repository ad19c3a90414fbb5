package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// leased runs f, which renews this node's lease, unless the node has left.
func (r *roster) leased(f func(key string) error) error {
	r.beating.Lock()
	defer r.beating.Unlock()
	if r.left {
		return engine.ErrClosed
	}
	return f(r.e.keys.node(r.id()))
}

// renew keeps this node's lease in a cluster until ctx ends. Elsewhere the
// probe does it on its way.
func (r *roster) renew(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for begun := false; ; {
		var held bool
		err := r.leased(func(key string) (err error) {
			held, err = r.beat(ctx, key)
			return err
		})
		if err == nil {
			if begun && !held {
				r.rewrite()
			}
			begun = true
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beat renews the lease and tells whether it was there.
func (r *roster) beat(ctx context.Context, key string) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	held, err = r.e.client.Do(ctx, r.e.client.B().Pexpire().Key(key).Milliseconds(engine.LeaseTime.Milliseconds()).Build()).AsBool()
	if err != nil || held {
		return held, err
	}
	return false, r.e.client.Do(ctx, r.e.client.B().Set().Key(key).Value("1").Px(engine.LeaseTime).Build()).Error()
}

// leave ends this node's lease, so that its presence goes at once.
func (r *roster) leave(ctx context.Context) {
	r.beating.Lock()
	defer r.beating.Unlock()
	r.left = true
	key := r.e.keys.node(r.id())
	// Without an answer the lease ends by itself.
	_ = r.e.doAny(ctx, key, func(ctx context.Context) error {
		return r.e.client.Do(ctx, r.e.client.B().Del().Key(key).Build()).Error()
	})
}

// settle is how long a call waits for a slot that is on its way to another
// master before it asks again.
const settle = 20 * time.Millisecond

// onceSettled runs f again as long as the answer is that keys of a slot are on
// their way to another master: nothing was done then.
func (e *Engine) onceSettled(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if reply, ok := rueidis.IsRedisErr(err); e.cluster == nil || !ok || !reply.IsTryAgain() {
			return err
		}
		pause := time.NewTimer(settle)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}
