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

func (e *Engine) publish(ctx context.Context, p engine.Publication) (engine.Result, error) {
	if err := channel.Check(p.Channel); err != nil {
		return engine.Result{}, err
	}
	via := string(p.Via)
	if via == "" {
		via = string(message.ViaHTTP)
	}
	meta, err := encodeMeta(p.By, p.Tags)
	if err != nil {
		return engine.Result{}, err
	}
	log := e.cfg.Rules.For(p.Channel).Log
	names := []string{e.keys.log(p.Channel), e.keys.meta(p.Channel)}
	if p.IdempotencyKey != "" {
		names = append(names, e.keys.idem(p.Channel, p.IdempotencyKey))
	}
	reply, err := e.eval(ctx, publishScript, names, e.keys.live(p.Channel), e.node,
		strconv.Itoa(log.Size), millis(log.Age), millis(e.cfg.IdempotencyWindow), via, meta, stringOf(p.Payload))
	if err != nil {
		return engine.Result{}, err
	}
	return decodeResult(reply)
}

func decodeResult(reply rueidis.RedisResult) (engine.Result, error) {
	list, err := reply.ToArray()
	if err != nil || len(list) != 3 {
		return engine.Result{}, fmt.Errorf("%w: %w", engine.ErrUnavailable, errReply)
	}
	offset, err1 := list[0].AsInt64()
	epoch, err2 := list[1].ToString()
	again, err3 := list[2].AsInt64()
	if err1 != nil || err2 != nil || err3 != nil || offset < 0 {
		return engine.Result{}, fmt.Errorf("%w: %w", engine.ErrUnavailable, errReply)
	}
	return engine.Result{Position: message.Position{Epoch: epoch, Offset: uint64(offset)}, Duplicate: again == 1}, nil
}

// Remove implements engine.Engine.
func (e *Engine) Remove(ctx context.Context, name string) error {
	log := e.cfg.Rules.For(name).Log
	if log.Size == 0 {
		return e.gate()
	}
	_, err := e.eval(ctx, removeScript, []string{e.keys.log(name), e.keys.meta(name)}, e.keys.live(name), e.node, millis(log.Age))
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
