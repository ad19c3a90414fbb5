// Package ingest publishes the entries of Redis streams. One node at a time,
// holder of the stream's lease, reads a stream, which keeps its order; publishing
// and acknowledging an entry are one step in Redis, which makes each count
// exactly once whatever dies or repeats.
//
// Its goroutines are one per stream, which Start starts and Stop ends.
package ingest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/topology"
)

const (
	batchSize = 128
	readBlock = time.Second
	// leaseTime is how long a dead node keeps others from its stream.
	leaseTime  = 4 * time.Second
	retryPause = 500 * time.Millisecond
	// idleConsumer is when the name of a dead node leaves the group.
	idleConsumer = time.Hour
)

// Config is what New needs.
type Config struct {
	script.Env
	Streams  []string
	Admit    func(engine.Publication) error // decides about an entry
	Ingested func(result string)            // is told of each entry: published, rejected
}

// Ingest reads the streams.
type Ingest struct {
	Config
	end     context.CancelFunc // set by Start
	running sync.WaitGroup
}

// New returns what reads nothing until Start.
func New(c Config) *Ingest { return &Ingest{Config: c} }

// Start starts to read, until Stop or the end of life.
func (g *Ingest) Start(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	g.end = cancel
	for _, name := range g.Streams {
		s := &stream{Config: &g.Config, name: name, log: g.Log.With("stream", name)}
		g.running.Go(func() { s.run(ctx) })
	}
}

// Stop ends the readers and gives their leases back.
func (g *Ingest) Stop(ctx context.Context) {
	if g.end == nil {
		return
	}
	g.end()
	g.running.Wait()
	for _, name := range g.Streams {
		// Without an answer the lease ends by itself.
		_ = g.Redis.Finish(ctx, name, func(ctx context.Context) error {
			return g.Scripts.IngestRelease.Eval(ctx, g.Redis.Client(), []string{g.Names.Ingest(name)}, g.Node).Error()
		})
	}
}

// stream is one ingested stream. Its fields belong to run.
type stream struct {
	*Config
	name    string
	log     *slog.Logger
	pending bool // entries that were delivered before may wait
	trouble throttle.Throttle
}

func (s *stream) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause, err := s.turn(ctx)
		if err != nil && ctx.Err() == nil {
			s.complain(err)
			s.pending, pause = true, retryPause
		}
		if pause > 0 {
			topology.Pause(ctx, pause)
		}
	}
}

func (s *stream) complain(err error) {
	if s.trouble.Allow() {
		s.log.Warn("cannot take in a stream now", "times", s.trouble.Times(), "error", err)
	}
}

// recovered notes that the stream can be taken in.
func (s *stream) recovered() {
	if text := s.trouble.End(); text != "" {
		s.log.Info("cannot take in a stream: " + text)
	}
}

// turn renews the lease and takes in one batch. It returns how long to wait
// before the next.
func (s *stream) turn(ctx context.Context) (time.Duration, error) {
	reply, err := s.Scripts.Eval(ctx, s.Scripts.IngestTake, []string{s.Names.Ingest(s.name)}, s.Node, script.Millis(leaseTime))
	if err != nil {
		return 0, err
	}
	switch held, _ := reply.AsInt64(); held {
	case 0:
		return readBlock, nil
	case 2:
		if err := s.join(ctx); err != nil {
			return 0, err
		}
	}
	entries, err := s.read(ctx)
	if isNoGroup(err) {
		return 0, s.join(ctx) // the stream was deleted, or all of Redis flushed
	}
	if err != nil {
		return 0, s.Redis.Failure(err)
	}
	if len(entries) == 0 {
		s.pending = false
		s.recovered()
		return 0, nil
	}
	return s.takeIn(ctx, entries)
}

func isNoGroup(err error) bool { return err != nil && strings.Contains(err.Error(), "NOGROUP") }

// join makes the group where there is none.
func (s *stream) join(ctx context.Context) error {
	s.pending = true
	_, err := s.Scripts.Eval(ctx, s.Scripts.IngestJoin, []string{s.name}, s.Names.Prefix, s.Node, script.Millis(idleConsumer))
	return err
}

// read returns what was delivered to anyone and not finished, and after that
// what is new; it waits for new entries for a moment.
func (s *stream) read(ctx context.Context) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readBlock+topology.CallTimeout)
	defer cancel()
	client, group := s.Redis.Client(), s.Names.Prefix
	if s.pending {
		list, err := client.Do(ctx, client.B().Xautoclaim().Key(s.name).Group(group).Consumer(s.Node).
			MinIdleTime("0").Start("0-0").Count(batchSize).Build()).ToArray()
		if err != nil || len(list) < 2 {
			return nil, err
		}
		return entriesOf(&list[1])
	}
	reply, err := client.Do(ctx, client.B().Xreadgroup().Group(group, s.Node).Count(batchSize).Block(readBlock.Milliseconds()).
		Streams().Key(s.name).Id(">").Build()).ToMessage()
	if err != nil {
		return nil, ignoreNil(err)
	}
	return entriesOf(oneStream(&reply))
}

func ignoreNil(err error) error {
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}

// takeIn publishes a batch in order. It returns how long to wait before the
// next batch: when an entry was not first in line, something else is at work.
func (s *stream) takeIn(ctx context.Context, entries []entry) (time.Duration, error) {
	var replies []rueidis.RedisResult
	items := make([]item, len(entries))
	for i, e := range entries {
		items[i] = s.itemOf(e)
	}
	err := s.Redis.Do(ctx, s.name, func(ctx context.Context) error {
		replies = s.Redis.Client().DoMulti(ctx, s.commands(entries, items)...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, reply := range replies {
		code, err := reply.AsInt64()
		switch {
		case script.Missing(err):
			s.pending = true
			return 0, s.Redis.Do(ctx, s.name, func(ctx context.Context) error { return s.Scripts.Load(ctx, s.Scripts.Ingest) })
		case isNoGroup(err):
			return 0, s.join(ctx)
		case err != nil:
			return 0, s.Redis.Failure(err)
		case code == 1:
			s.Ingested("published")
		case code == 2:
			s.Ingested("rejected")
			s.log.Warn("an entry cannot be published; it is in "+s.Names.Rejected(), "id", entries[i].id, "reason", items[i].refused)
		case code == 3:
			s.pending = true
			return retryPause, nil
		}
	}
	return 0, nil
}
