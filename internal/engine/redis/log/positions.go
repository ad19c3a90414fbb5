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
	q := positions{Logs: l, channels: channels, tops: make([]message.Position, len(channels))}
	only, size := "", positionsBatch
	if len(channels) == 1 {
		only = channels[0]
	}
	if l.Redis.Sharded {
		size = 1
	}
	var logged []int // indexes of the channels that have a log
	for i, name := range channels {
		if (only != "" || l.Redis.Silence(name) == nil) && l.Logged(name) {
			logged = append(logged, i)
		}
	}
	if len(logged) == 0 {
		return q.tops, l.Redis.Gate("")
	}
	err := l.Redis.Read(ctx, only, func(ctx context.Context) error { return q.ask(ctx, logged, size) })
	if err != nil {
		return nil, fmt.Errorf("positions of %d channels: %w", len(channels), err)
	}
	return q.tops, nil
}

// positions is one call of Positions. Channels go by their index.
type positions struct {
	*Logs
	channels []string
	tops     []message.Position
}

// ask asks in one round trip, size channels to a script call.
func (q *positions) ask(ctx context.Context, list []int, size int) error {
	batches := slices.Collect(slices.Chunk(list, size))
	replies, err := q.send(ctx, batches)
	if err != nil {
		return err
	}
	for i, reply := range replies {
		batch := batches[i]
		err := q.take(batch, reply)
		foreign := topology.Answered(err) && strings.Contains(err.Error(), "WRONGTYPE")
		switch {
		case err == nil:
		case len(q.channels) == 1, ctx.Err() != nil:
			return err
		case foreign && len(batch) > 1:
			if err := q.ask(ctx, batch, 1); err != nil { // which one is it?
				return err
			}
		case foreign:
			if q.foreign.Allow() {
				q.Log.Error("a key of a channel holds something that is not Magpie's; delete it", "channel", q.channels[batch[0]], "error", err)
			}
		case !q.Redis.Sharded: // there, one master keeps no other from its answer
			return err
		}
	}
	return nil
}

func (q *positions) send(ctx context.Context, batches [][]int) ([]rueidis.RedisResult, error) {
	commands := func() rueidis.Commands {
		cmds := make(rueidis.Commands, len(batches))
		for k, batch := range batches {
			keys, args := make([]string, 0, 2*len(batch)), []string{q.Node}
			for _, i := range batch {
				of := q.Names.Of(q.channels[i])
				_, age, _ := q.Limits(q.channels[i])
				keys, args = append(keys, of.Log(), of.Meta()), append(args, age)
			}
			cmds[k] = q.Scripts.Positions.Call(q.Redis.Client().B(), keys, args...)
		}
		return cmds
	}
	replies := q.Redis.Client().DoMulti(ctx, commands()...)
	if slices.ContainsFunc(replies, func(r rueidis.RedisResult) bool { return script.Missing(r.Error()) }) {
		if err := q.Scripts.Load(ctx, q.Scripts.Positions); err != nil {
			return nil, err
		}
		replies = q.Redis.Client().DoMulti(ctx, commands()...)
	}
	return replies, nil
}

func (q *positions) take(batch []int, reply rueidis.RedisResult) error {
	r := script.ReplyOf(reply, 2*len(batch))
	tops := make([]message.Position, len(batch))
	for k := range batch {
		tops[k] = message.Position{Epoch: r.Text(), Offset: r.Number()}
	}
	if err := r.Err(); err != nil {
		return err
	}
	for k, i := range batch {
		q.tops[i] = tops[k]
	}
	return nil
}
