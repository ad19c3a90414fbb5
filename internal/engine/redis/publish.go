package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// Publish implements engine.Engine. It fails with engine.ErrUnavailable within
// a few seconds when Redis does not answer, and at once when it is known not
// to. Such a publication may have happened all the same.
func (e *Engine) Publish(ctx context.Context, p engine.Publication) (engine.Result, error) {
	res, err := e.publish(ctx, p)
	if err != nil {
		return engine.Result{}, fmt.Errorf("publish to %q: %w", p.Channel, err)
	}
	return res, nil
}

func (e *Engine) publish(ctx context.Context, p engine.Publication) (res engine.Result, err error) {
	c, err := e.prepare(p)
	if err != nil {
		return engine.Result{}, err
	}
	err = e.do(ctx, p.Channel, func(ctx context.Context) error {
		res, err = c.result(e.client.Do(ctx, c.build()))
		if isNoScript(err) {
			if err = e.load(ctx, publishScript); err == nil {
				res, err = c.result(e.client.Do(ctx, c.build()))
			}
		}
		return err
	})
	return res, err
}

// publication is one checked call that can be built again.
type publication struct {
	script bool // else a bare PUBLISH
	build  func() rueidis.Completed
}

// prepare checks p. Joins and leaves, which no log keeps, are only handed on.
func (e *Engine) prepare(p engine.Publication) (publication, error) {
	if err := channel.Check(p.Channel); err != nil {
		return publication{}, err
	}
	via := string(p.Via)
	if via == "" {
		via = string(message.ViaHTTP)
	}
	if !isWord(via) {
		return publication{}, fmt.Errorf("%q is not a way that messages come in", via)
	}
	meta, err := encodeMeta(p.By, p.Tags)
	if err != nil {
		return publication{}, err
	}
	live := e.keys.live(p.Channel)
	if p.Kind != message.Published {
		text := encodeUnlogged(p.Kind, time.Now().UnixMilli(), via, meta, stringOf(p.Payload))
		return publication{build: func() rueidis.Completed {
			if e.cluster != nil {
				return e.client.B().Spublish().Channel(live).Message(text).Build()
			}
			return e.client.B().Publish().Channel(live).Message(text).Build()
		}}, nil
	}
	log := e.cfg.Rules.For(p.Channel).Log
	if p.SkipLog {
		log.Size = 0
	}
	names := []string{e.keys.log(p.Channel), e.keys.meta(p.Channel)}
	if p.IdempotencyKey != "" {
		names = append(names, e.keys.idem(p.Channel, p.IdempotencyKey))
	}
	args := []string{live, e.node, strconv.Itoa(log.Size), millis(log.Age), millis(e.cfg.IdempotencyWindow), via, meta, stringOf(p.Payload)}
	return publication{script: true, build: func() rueidis.Completed { return e.script(publishScript).call(e.client.B(), names, args...) }}, nil
}

func (c publication) result(reply rueidis.RedisResult) (engine.Result, error) {
	if err := reply.Error(); err != nil || !c.script {
		return engine.Result{}, err
	}
	return decodeResult(reply)
}

// publishBatch publications go out in one round trip.
const publishBatch = 256

// PublishAll implements engine.Publisher. Publications to one channel keep their
// order.
func (e *Engine) PublishAll(ctx context.Context, all []engine.Publication) []engine.Outcome {
	outcomes := make([]engine.Outcome, len(all))
	for from := 0; from < len(all); from += publishBatch {
		to := min(from+publishBatch, len(all))
		e.publishSome(ctx, all[from:to], outcomes[from:to])
	}
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil {
			outcomes[i].Err = fmt.Errorf("publish to %q: %w", all[i].Channel, err)
		}
	}
	return outcomes
}

func (e *Engine) publishSome(ctx context.Context, all []engine.Publication, outcomes []engine.Outcome) {
	calls := make([]publication, len(all))
	var due []int // indexes of those to send
	for i, p := range all {
		if calls[i], outcomes[i].Err = e.prepare(p); outcomes[i].Err == nil {
			outcomes[i].Err = e.gate(p.Channel)
		}
		if outcomes[i].Err == nil {
			due = append(due, i)
		}
	}
	// A Redis that forgot the script has not done these: they go once more.
	for try := 0; len(due) > 0 && try < 2; try++ {
		due = e.sendSome(ctx, calls, due, outcomes)
	}
}

// sendSome sends what is due and returns what Redis did not know how to do.
func (e *Engine) sendSome(ctx context.Context, calls []publication, due []int, outcomes []engine.Outcome) (again []int) {
	sent := false
	err := e.do(ctx, "", func(ctx context.Context) error {
		sent = true
		cmds := make(rueidis.Commands, len(due))
		for k, i := range due {
			cmds[k] = calls[i].build()
		}
		for k, reply := range e.client.DoMulti(ctx, cmds...) {
			i := due[k]
			res, err := calls[i].result(reply)
			if isNoScript(err) {
				again = append(again, i)
			}
			outcomes[i] = engine.Outcome{Result: res, Err: e.failure(err)}
		}
		if len(again) > 0 {
			return e.load(ctx, publishScript)
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

func decodeResult(reply rueidis.RedisResult) (engine.Result, error) {
	list, err := reply.ToArray()
	if err != nil || len(list) != 3 {
		return engine.Result{}, engine.Unavailable("%w", errReply)
	}
	offset, err1 := list[0].AsInt64()
	epoch, err2 := list[1].ToString()
	again, err3 := list[2].AsInt64()
	if err1 != nil || err2 != nil || err3 != nil || offset < 0 {
		return engine.Result{}, engine.Unavailable("%w", errReply)
	}
	return engine.Result{Position: message.Position{Epoch: epoch, Offset: uint64(offset)}, Duplicate: again == 1}, nil
}

// Remove implements engine.Engine.
func (e *Engine) Remove(ctx context.Context, name string) error {
	log := e.cfg.Rules.For(name).Log
	if log.Size == 0 {
		return e.gate(name)
	}
	_, err := e.eval(ctx, removeScript, []string{e.keys.log(name), e.keys.meta(name)}, e.keys.live(name), e.node, millis(log.Age))
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
