// Package metrics has the counters that packages hold in small structs.
//
// It knows neither names nor /metrics, which internal/app gives them, and it
// starts no goroutine.
package metrics

import "sync/atomic"

// Counter only grows. The zero value is ready; safe for concurrent use.
type Counter struct{ n atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n int) { c.n.Add(uint64(n)) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Gauge goes up and down. The zero value is ready; safe for concurrent use.
type Gauge struct{ n atomic.Int64 }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int) { g.n.Add(int64(n)) }

// Value returns the level.
func (g *Gauge) Value() int64 { return g.n.Load() }
