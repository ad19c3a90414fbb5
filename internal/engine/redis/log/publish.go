package log

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

// Publish implements engine.Publisher. It fails with engine.ErrUnavailable within
// a few seconds when Redis does not answer, and at once when it is known not
// to. Such a publication may have happened all the same.
func (l *Logs) Publish(ctx context.Context, p engine.Publication) (engine.Result, error) {
	res, err := l.publish(ctx, p)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	return res, nil
}

func (l *Logs) publish(ctx context.Context, p engine.Publication) (res engine.Result, err error) {
	c, err := l.prepare(p)
	if err != nil {
		return engine.Result{}, err
	}
	err = l.Redis.Do(ctx, p.Channel, func(ctx context.Context) error {
		res, err = c.result(l.Redis.Client().Do(ctx, c.build()))
		if script.Missing(err) {
			if err = l.Scripts.Load(ctx, l.Scripts.Publish); err == nil {
				res, err = c.result(l.Redis.Client().Do(ctx, c.build()))
			}
		}
		return err
	})
	return res, err
}

// Immediate implements engine.Publisher: Redis has to answer.
func (l *Logs) Immediate() bool { return false }

// publication is one checked call that can be built again.
type publication struct {
	script bool // else a bare PUBLISH
	build  func() rueidis.Completed
}

// prepare checks p. Joins and leaves, which no log keeps, are only handed on.
func (l *Logs) prepare(p engine.Publication) (publication, error) {
	if err := channel.Check(p.Channel); err != nil {
		return publication{}, err
	}
	via := string(p.Via)
	if via == "" {
		via = string(message.ViaHTTP)
	}
	if !wire.IsWord(via) {
		return publication{}, fmt.Errorf("%q is not a way that messages come in", via)
	}
	meta, err := wire.EncodeMeta(p.By, p.Tags, p.Binary)
	if err != nil {
		return publication{}, err
	}
	of := l.Names.Of(p.Channel)
	live := of.Live()
	if p.Kind != message.Published {
		text := wire.EncodeUnlogged(p.Kind, time.Now().UnixMilli(), via, meta, wire.String(p.Payload))
		return publication{build: func() rueidis.Completed { return l.unlogged(live, text) }}, nil
	}
	size, age, bytes := l.Limits(p.Channel)
	if p.SkipLog {
		size = "0"
	}
	keys := []string{of.Log(), of.Meta()}
	if p.IdempotencyKey != "" {
		keys = append(keys, of.Idempotency(p.KeyOwner, p.IdempotencyKey))
	}
	args := []string{live, l.Node, size, age, bytes, script.Millis(l.IdempotencyWindow), via, meta, wire.String(p.Payload)}
	return publication{script: true, build: func() rueidis.Completed { return l.Scripts.Publish.Call(l.Redis.Client().B(), keys, args...) }}, nil
}

func (l *Logs) unlogged(live, text string) rueidis.Completed {
	b := l.Redis.Client().B()
	if l.Redis.Sharded {
		return b.Spublish().Channel(live).Message(text).Build()
	}
	return b.Publish().Channel(live).Message(text).Build()
}

func (c publication) result(reply rueidis.RedisResult) (engine.Result, error) {
	if !c.script {
		return engine.Result{}, reply.Error()
	}
	r := script.ReplyOf(reply, 3)
	offset, epoch, again := r.Number(), r.Text(), r.Number()
	if err := r.Err(); err != nil {
		return engine.Result{}, err
	}
	return engine.Result{Position: message.Position{Epoch: epoch, Offset: offset}, Duplicate: again == 1}, nil
}

// publishBatch publications go out in one round trip.
const publishBatch = 256

// PublishAll implements engine.Publisher. Publications to one channel keep their
// order.
func (l *Logs) PublishAll(ctx context.Context, all []engine.Publication) []engine.Outcome {
	outcomes := make([]engine.Outcome, len(all))
	for from := 0; from < len(all); from += publishBatch {
		to := min(from+publishBatch, len(all))
		l.publishSome(ctx, all[from:to], outcomes[from:to])
	}
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil {
			outcomes[i].Err = fmt.Errorf("publish to %q: %w", all[i].Channel, err)
		}
	}
	return outcomes
}

func (l *Logs) publishSome(ctx context.Context, all []engine.Publication, outcomes []engine.Outcome) {
	calls := make([]publication, len(all))
	var due []int // indexes of those to send
	for i, p := range all {
		if calls[i], outcomes[i].Err = l.prepare(p); outcomes[i].Err == nil {
			outcomes[i].Err = l.Redis.Gate(p.Channel)
		}
		if outcomes[i].Err == nil {
			due = append(due, i)
		}
	}
	// A Redis that forgot the script has not done these: they go once more.
	for try := 0; len(due) > 0 && try < 2; try++ {
		due = l.sendSome(ctx, calls, due, outcomes)
	}
}

// sendSome sends what is due and returns what Redis did not know how to do.
func (l *Logs) sendSome(ctx context.Context, calls []publication, due []int, outcomes []engine.Outcome) (again []int) {
	sent := false
	err := l.Redis.Do(ctx, "", func(ctx context.Context) error {
		sent = true
		cmds := make(rueidis.Commands, len(due))
		for k, i := range due {
			cmds[k] = calls[i].build()
		}
		for k, reply := range l.Redis.Client().DoMulti(ctx, cmds...) {
			i := due[k]
			res, err := calls[i].result(reply)
			if script.Missing(err) {
				again = append(again, i)
			}
			outcomes[i] = engine.Outcome{Result: res, Err: l.Redis.Failure(err)}
		}
		if len(again) > 0 {
			return l.Scripts.Load(ctx, l.Scripts.Publish)
		}
		return nil
	})
	if err != nil {
		if !sent {
			for _, i := range due {
				outcomes[i].Err = err
			}
		}
		return nil // what was sent has its own answer
	}
	return again
}

// Remove implements engine.Logs.
func (l *Logs) Remove(ctx context.Context, name string) error {
	if !l.Logged(name) {
		return l.Redis.Gate(name)
	}
	_, age, _ := l.Limits(name)
	of := l.Names.Of(name)
	if _, err := l.Scripts.Eval(ctx, l.Scripts.Remove, []string{of.Log(), of.Meta()}, of.Live(), l.Node, age); err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}
