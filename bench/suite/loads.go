//go:build linux

package main

import (
	"fmt"
	"log"
	"slices"
	"time"

	"magpie/internal/bench"
)

// payload has 100 bytes of filler and what is measured: who, which, when.
const payload = 128

// loadFigure is one load of one server in one round.
type loadFigure struct {
	Load   string       `json:"load"`
	Target string       `json:"target"`
	Round  int          `json:"round"`
	Kernel float64      `json:"kernel_per_connection,omitempty"`
	Others float64      `json:"others"` // share of the machine that other programs took
	Result bench.Result `json:"result"`
}

// loads are W1 to W5. W1 and W3 share their ten thousand connections.
var loads = []struct {
	name string
	plan bench.Plan
}{
	{"W1", bench.Plan{Connections: 10_000, Settle: 8 * time.Second, Rate: 2, Duration: 5 * time.Second}},
	{"W2", bench.Plan{Connections: 1000, Settle: time.Second, Rate: 20, Duration: 5 * time.Second}},
	{"W4", bench.Plan{Connections: 1000, Channels: 100, Publishers: 10, Settle: time.Second, Rate: 2000, Duration: 5 * time.Second}},
	{"W5", bench.Plan{Connections: 100, Settle: time.Second, Rate: 1000, Duration: 5 * time.Second}},
}

func measureLoads(o options, f *figures) error {
	// What -match leaves out stays as it was.
	f.Loads = slices.DeleteFunc(f.Loads, func(l loadFigure) bool { return o.match.MatchString(l.Load + " " + l.Target) })
	for round := range o.rounds {
		for _, l := range loads {
			for _, t := range targets {
				if !o.match.MatchString(l.name + " " + t.name) {
					continue
				}
				one, err := runQuietly(o, t, l.plan)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, t.name, err)
				}
				one.Load, one.Target, one.Round = l.name, t.name, round+1
				f.Loads = append(f.Loads, one)
				s := one.Result.Server
				log.Printf("round %d %s %-18s %5.1f µs a delivery, p50 %d µs, p99 %d µs, %5.1f KB and %.0f µs a connection, lost %d", round+1, l.name, t.name,
					s.DeliveryCPUUs, one.Result.Latency.P50, one.Result.Latency.P99, s.RSSPerConn/1024, s.ConnectCPUUs, one.Result.Lost)
			}
		}
	}
	return nil
}

func runLoad(o options, t target, p bench.Plan) (loadFigure, error) {
	s, err := t.start()
	if err != nil {
		return loadFigure{}, err
	}
	defer s.stop()
	p = shorten(o, p)
	p.Size, p.PID, p.Dialing, p.Name = payload, s.pid(), 500, "bench"
	p.Target = bench.Target{URL: "http://" + s.addr, Door: t.door, Recoverable: t.recoverable}
	// A server has its own moment to start up before it is looked at.
	time.Sleep(300 * time.Millisecond)
	before := kernelMemory()
	l, err := bench.NewLoad(p)
	if err != nil {
		return loadFigure{}, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return loadFigure{}, err
	}
	l.Settle()
	// Both ends of each connection are in this kernel.
	kernel := float64(kernelMemory()-before) / float64(2*p.Connections)
	others := quiet(s)
	if err := l.Publish(nil); err != nil {
		return loadFigure{}, err
	}
	return loadFigure{Kernel: kernel, Others: others(), Result: l.Result()}, nil
}

// On a machine that does other things, too, latency tells of them. A load
// that others took more than tooMuch of the machine from is run again, and
// the quieter run counts; spare bounds how often in all, so that a machine
// that never is quiet gets an end.
const tooMuch = 0.1

var spare = 12

func runQuietly(o options, t target, p bench.Plan) (loadFigure, error) {
	best, err := runLoad(o, t, p)
	for err == nil && best.Others > tooMuch && spare > 0 && !o.short {
		spare--
		log.Printf("other programs took %.0f %% of the machine: once more", 100*best.Others)
		var again loadFigure
		if again, err = runLoad(o, t, p); err == nil && again.Others < best.Others {
			best = again
		}
	}
	return best, err
}

// shorten makes a load small, to try the suite itself.
func shorten(o options, p bench.Plan) bench.Plan {
	if o.short {
		p.Connections = max(p.Connections/10, p.Channels*max(p.Publishers, 1))
		p.Settle, p.Duration = p.Settle/10, max(p.Duration/5, time.Second)
	}
	return p
}
