package script

import (
	"log/slog"
	"strconv"
	"time"

	"magpie/internal/channel"
	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/topology"
)

// Env is what every part works in: a Redis, what runs and lies there, and who
// this node is.
type Env struct {
	Redis   *topology.Redis
	Scripts *Scripts
	Names   names.Names
	Node    string // unique to this run; its last 8 characters are, too
	Rules   *channel.Rules
	// MaxPayload is the most bytes that what comes by way of Redis may have.
	MaxPayload        int
	IdempotencyWindow time.Duration
	Log               *slog.Logger
}

// Logged tells whether a channel keeps a log.
func (e *Env) Logged(ch string) bool { return e.Rules.For(ch).Log.Size > 0 }

// Limits are the size, the age and the bytes of a channel's log, as scripts
// take them.
func (e *Env) Limits(ch string) (size, age, bytes string) {
	log := e.Rules.For(ch).Log
	return strconv.Itoa(log.Size), Millis(log.Age), strconv.Itoa(log.Bytes)
}
