// Package log is what channels keep in Redis: messages are published into logs,
// and logs are read, asked for their top and removed.
//
// It refuses to buffer publications while Redis is away: they fail at once
// with engine.ErrUnavailable. It starts no goroutine.
package log

import (
	"log/slog"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/topology"
)

// Config is what New needs.
type Config struct {
	Redis             *topology.Redis
	Scripts           *script.Scripts
	Names             names.Names
	Node              string // makes new epochs unique
	Rules             *channel.Rules
	IdempotencyWindow time.Duration
	Log               *slog.Logger
}

// Logs implements engine.Publisher and engine.Logs.
type Logs struct {
	Config
	foreign throttle.Throttle
}

// New returns what is ready when c.Redis is connected.
func New(c Config) *Logs { return &Logs{Config: c} }

// limits are size and age of a channel's log, as scripts take them.
func (l *Logs) limits(ch string) (size int, age string) {
	log := l.Rules.For(ch).Log
	return log.Size, script.Millis(log.Age)
}
