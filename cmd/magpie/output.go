package main

import (
	"context"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"magpie/internal/logqueue"
	"magpie/internal/metrics"
)

// flushTime is how long the end of a server waits for whoever reads its last
// lines.
const flushTime = 2 * time.Second

// detach puts queues in front of standard output and standard error, so that a
// server depends on nobody who reads them: not on one who stops to read, which
// would block, and not on one who goes, which would end the process by SIGPIPE.
// flush ends the queues. It returns the log, as text for people or as JSON for
// machines, and the number of lines that it lost.
func (c *command) detach(level string, text bool) (*slog.Logger, *metrics.Counter) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		panic(err) // config checked it
	}
	signal.Ignore(syscall.SIGPIPE)
	var log *slog.Logger
	lines := logqueue.Start(c.err, func(n int) {
		log.Warn("log lines were dropped, as nobody read them in time", "count", n)
	})
	out := logqueue.Start(c.out, nil)
	c.queues = []*logqueue.Queue{lines, out}
	c.err, c.out = lines, out
	options := &slog.HandlerOptions{Level: least}
	if log = slog.New(slog.NewJSONHandler(lines, options)); text {
		log = slog.New(slog.NewTextHandler(lines, options))
	}
	return log, &lines.Dropped
}

// flush waits until what was written is out, or nobody reads it.
func (c *command) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for _, q := range c.queues {
		_ = q.Close(ctx) // there is nobody left to tell
	}
}
