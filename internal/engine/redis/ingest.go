package redis

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	ingestBatch = 128
	ingestBlock = time.Second
	// streamLease is how long a dead node keeps others from its stream.
	streamLease = 4 * time.Second
	streamRetry = 500 * time.Millisecond
	// idleConsumer is when the name of a dead node leaves the group.
	idleConsumer = time.Hour
)

// ingest publishes the entries of Redis streams. One node at a time, holder of
// the stream's lease, reads a stream, which keeps its order; publishing and
// acknowledging an entry are one step in Redis, which makes each count exactly
// once whatever dies or repeats. One goroutine per stream.
type ingest struct {
	e       *Engine
	end     context.CancelFunc
	running sync.WaitGroup
}

func newIngest(e *Engine) *ingest { return &ingest{e: e} }

func (g *ingest) start() {
	ctx, cancel := context.WithCancel(g.e.life)
	g.end = cancel
	for _, name := range g.e.cfg.Ingest.Streams {
		s := &stream{e: g.e, name: name, log: g.e.cfg.Log.With("stream", name)}
		g.running.Go(func() { s.run(ctx) })
	}
}

// stop ends the readers and gives their leases back.
func (g *ingest) stop(ctx context.Context) {
	if g.end == nil {
		return
	}
	g.end()
	g.running.Wait()
	for _, name := range g.e.cfg.Ingest.Streams {
		// Without an answer the lease ends by itself.
		_ = g.e.doAny(ctx, name, func(ctx context.Context) error {
			return g.e.script(freeLeaseScript).eval(ctx, g.e.client, []string{g.e.keys.ingest(name)}, g.e.node).Error()
		})
	}
}

// stream is one ingested stream. Its fields belong to run.
type stream struct {
	e       *Engine
	name    string
	log     *slog.Logger
	pending bool   // entries that were delivered before may wait
	problem string // the last one logged
}

func (s *stream) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause, err := s.turn(ctx)
		if err != nil && ctx.Err() == nil {
			s.complain(err)
			s.pending, pause = true, streamRetry
		}
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (s *stream) complain(err error) {
	if text := err.Error(); text != s.problem {
		s.problem = text
		s.log.Warn("cannot take in a stream now", "error", err)
	}
}

// turn renews the lease and takes in one batch. It returns how long to wait
// before the next.
func (s *stream) turn(ctx context.Context) (time.Duration, error) {
	reply, err := s.e.eval(ctx, streamLeaseScript, []string{s.e.keys.ingest(s.name)}, s.e.node, millis(streamLease))
	if err != nil {
		return 0, err
	}
	switch held, _ := reply.AsInt64(); held {
	case 0:
		return ingestBlock, nil
	case 2:
		s.pending = true
		if err := s.begin(ctx); err != nil {
			return 0, err
		}
	}
	entries, err := s.read(ctx)
	if isNoGroup(err) {
		s.pending = true
		return 0, s.begin(ctx) // the stream was deleted, or all of Redis flushed
	}
	if err != nil {
		return 0, s.e.failure(err)
	}
	if len(entries) == 0 {
		s.pending, s.problem = false, ""
		return 0, nil
	}
	return s.takeIn(ctx, entries)
}

func isNoGroup(err error) bool { return err != nil && strings.Contains(err.Error(), "NOGROUP") }

// begin makes the group where there is none and forgets consumers that are
// long gone. A new group starts with the entries that are there already.
func (s *stream) begin(ctx context.Context) error {
	group := s.e.keys.prefix
	return s.e.do(ctx, s.name, func(ctx context.Context) error {
		b := s.e.client.B
		err := s.e.client.Do(ctx, b().XgroupCreate().Key(s.name).Group(group).Id("0").Mkstream().Build()).Error()
		if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
			return err
		}
		consumers, err := s.e.client.Do(ctx, b().XinfoConsumers().Key(s.name).Group(group).Build()).ToArray()
		if err != nil {
			return err
		}
		for i := range consumers {
			if name, gone := s.gone(&consumers[i]); gone {
				if err := s.e.client.Do(ctx, b().XgroupDelconsumer().Key(s.name).Group(group).Consumername(name).Build()).Error(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// gone tells whether a consumer may be deleted: nothing waits under its name.
func (s *stream) gone(m *rueidis.RedisMessage) (name string, gone bool) {
	c, err := m.AsMap()
	if err != nil {
		return "", false
	}
	text, idle, waiting := c["name"], c["idle"], c["pending"]
	name, err1 := text.ToString()
	ms, err2 := idle.AsInt64()
	n, err3 := waiting.AsInt64()
	return name, err1 == nil && err2 == nil && err3 == nil && n == 0 && name != s.e.node && ms > idleConsumer.Milliseconds()
}

// read returns what was delivered to anyone and not finished, and after that
// what is new; it waits for new entries for a moment.
func (s *stream) read(ctx context.Context) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, ingestBlock+callTimeout)
	defer cancel()
	b, group := s.e.client.B(), s.e.keys.prefix
	if s.pending {
		reply := s.e.client.Do(ctx, b.Xautoclaim().Key(s.name).Group(group).Consumer(s.e.node).
			MinIdleTime("0").Start("0-0").Count(ingestBatch).Build())
		list, err := reply.ToArray()
		if err != nil || len(list) < 2 {
			return nil, err
		}
		return entriesOf(&list[1])
	}
	reply := s.e.client.Do(ctx, b.Xreadgroup().Group(group, s.e.node).Count(ingestBatch).Block(ingestBlock.Milliseconds()).
		Streams().Key(s.name).Id(">").Build())
	streams, err := reply.AsMap()
	if err != nil {
		return nil, ignoreNil(err)
	}
	list := streams[s.name]
	return entriesOf(&list)
}
