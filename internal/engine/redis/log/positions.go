package log

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/message"
)

// positionsBatch channels are asked for in one script call.
const positionsBatch = 64

// Positions implements engine.Logs. A channel that cannot be asked for keeps no
// other from its answer: its own position stays zero, which is no log's, so
// that its reading says what is wrong.
func (l *Logs) Positions(ctx context.Context, channels []string) ([]message.Position, error) {
	q := positions{l: l, channels: channels, tops: make([]message.Position, len(channels))}
	only := ""
	if len(channels) == 1 {
		only = channels[0]
	}
	var logged []int // indexes of the channels that have a log
	for i, name := range channels {
		if only == "" && l.Redis.Silence(name) != nil {
			continue
		}
		if l.Rules.For(name).Log.Size > 0 {
			logged = append(logged, i)
		}
	}
	if len(logged) == 0 {
		return q.tops, l.Redis.Gate("")
	}
	err := l.Redis.Read(ctx, only, func(ctx context.Context) error { return q.ask(ctx, logged) })
	if err != nil {
		return nil, fmt.Errorf("positions of %d channels: %w", len(channels), err)
	}
	return q.tops, nil
}

// positions is one call of Positions. Channels go by their index.
type positions struct {
	l        *Logs
	channels []string
	tops     []message.Position
}

func (q *positions) ask(ctx context.Context, logged []int) error {
	size := positionsBatch
	if q.l.Redis.Sharded {
		size = 1
	}
	return q.askInBatches(ctx, logged, size, func(batch []int, err error) error {
		switch {
		case len(q.channels) == 1, ctx.Err() != nil:
			return err
		case isForeign(err) && len(batch) > 1:
			return q.askInBatches(ctx, batch, 1, q.passOver)
		case isForeign(err):
			return q.passOver(batch, err)
		case q.l.Redis.Sharded:
			return nil // one master keeps no other from its answer
		}
		return err
	})
}

// isForeign tells whether a key of ours holds something that is not ours.
func isForeign(err error) bool {
	return topology.Answered(err) && strings.Contains(err.Error(), "WRONGTYPE")
}

// passOver leaves the position of a channel zero.
func (q *positions) passOver(batch []int, err error) error {
	if !isForeign(err) {
		return err
	}
	if q.l.foreign.Allow() {
		q.l.Log.Error("a key of a channel holds something that is not Magpie's; delete it", "channel", q.channels[batch[0]], "error", err)
	}
	return nil
}

// askInBatches asks in one round trip. failed decides what an error of a batch
// means for all.
func (q *positions) askInBatches(ctx context.Context, list []int, size int, failed func(batch []int, err error) error) error {
	batches := slices.Collect(slices.Chunk(list, size))
	replies, err := q.send(ctx, batches)
	if err != nil {
		return err
	}
	for i, reply := range replies {
		if err := q.take(batches[i], reply); err != nil {
			if err := failed(batches[i], err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *positions) send(ctx context.Context, batches [][]int) ([]rueidis.RedisResult, error) {
	s := q.l.Scripts
	commands := func() rueidis.Commands {
		cmds := make(rueidis.Commands, len(batches))
		for k, batch := range batches {
			keys, args := make([]string, 0, 2*len(batch)), []string{q.l.Node}
			for _, i := range batch {
				of := q.l.Names.Of(q.channels[i])
				_, age := q.l.limits(q.channels[i])
				keys = append(keys, of.Log(), of.Meta())
				args = append(args, age)
			}
			cmds[k] = s.Positions.Call(q.l.Redis.Client().B(), keys, args...)
		}
		return cmds
	}
	replies := q.l.Redis.Client().DoMulti(ctx, commands()...)
	if slices.ContainsFunc(replies, func(r rueidis.RedisResult) bool { return script.Missing(r.Error()) }) {
		if err := s.Load(ctx, s.Positions); err != nil {
			return nil, err
		}
		replies = q.l.Redis.Client().DoMulti(ctx, commands()...)
	}
	return replies, nil
}

func (q *positions) take(batch []int, reply rueidis.RedisResult) error {
	r := script.ReplyOf(reply, 2*len(batch))
	for _, i := range batch {
		q.tops[i] = message.Position{Epoch: r.Text(), Offset: r.Number()}
	}
	if err := r.Err(); err != nil {
		for _, i := range batch {
			q.tops[i] = message.Position{}
		}
		return err
	}
	return nil
}
