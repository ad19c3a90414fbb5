// Package log is what channels keep in Redis: messages are published into logs,
// and logs are read, asked for their top and removed.
//
// It refuses to buffer publications while Redis is away: they fail at once
// with engine.ErrUnavailable. It starts no goroutine.
package log

import (
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/throttle"
)

// Logs implements engine.Publisher and engine.Logs.
type Logs struct {
	script.Env
	foreign throttle.Throttle
}

// New returns what is ready when e.Redis is connected.
func New(e script.Env) *Logs { return &Logs{Env: e} }
