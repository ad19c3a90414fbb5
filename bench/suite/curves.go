//go:build linux

package main

import (
	"fmt"
	"log"
	"slices"
	"time"

	"magpie/internal/bench"
)

// curveFigure is one server with so many connections, each of which gets one
// message a second.
type curveFigure struct {
	Target      string  `json:"target"`
	Connections int     `json:"connections"`
	RSS         int64   `json:"rss"`
	Cores       float64 `json:"cores"`
}

// rateFigure is 100 receivers at so many messages a second.
type rateFigure struct {
	Target string  `json:"target"`
	Rate   float64 `json:"rate"`
	P50    int64   `json:"p50_us"`
	P99    int64   `json:"p99_us"`
	Lost   int     `json:"lost"`
}

var (
	// The part "idle" has the larger ones, 10,000 and 19,000. Both ends are on
	// this machine, and a process may open about 20,000 files on many: 19,000
	// leaves some for the rest.
	curveSizes = []int{1000, 2000, 5000}
	curveRates = []float64{10, 50, 100, 250, 500, 1000, 2000}
	curved     = []int{2, 3, 4} // of targets and resting: the peer, tuned, and both doors
)

func isCurved(target int) bool { return slices.Contains(curved, target) }

// allCurves are the points of both parts.
func (f *figures) allCurves() []curveFigure {
	all := slices.Clone(f.Curves)
	for _, r := range f.Rest {
		if slices.ContainsFunc(curved, func(i int) bool { return targets[i].name == r.Target }) {
			all = append(all, r.curve())
		}
	}
	return all
}

func measureCurves(o options, f *figures) error {
	f.Curves, f.Rates = nil, nil
	for _, n := range curveSizes {
		for _, i := range curved {
			one, err := runQuietly(o, resting[i], bench.Plan{Connections: n, Settle: 3 * time.Second, Rate: 1, Duration: 6 * time.Second})
			if err != nil {
				return fmt.Errorf("%d connections, %s: %w", n, resting[i].name, err)
			}
			s := one.Result.Server
			f.Curves = append(f.Curves, curveFigure{resting[i].name, one.Result.Connections, s.RSSIdle, s.CPUShare})
			log.Printf("%5d connections %-18s %6.1f MB, %.3f cores", n, resting[i].name, float64(s.RSSIdle)/(1<<20), s.CPUShare)
		}
	}
	for _, rate := range curveRates {
		for _, i := range curved {
			one, err := runQuietly(o, resting[i], bench.Plan{Connections: 100, Settle: 500 * time.Millisecond, Rate: rate, Duration: 2500 * time.Millisecond})
			if err != nil {
				return fmt.Errorf("%.0f messages a second, %s: %w", rate, resting[i].name, err)
			}
			l := one.Result.Latency
			f.Rates = append(f.Rates, rateFigure{resting[i].name, rate, l.P50, l.P99, one.Result.Lost})
			log.Printf("%5.0f messages/s %-18s p50 %d µs, p99 %d µs", rate, resting[i].name, l.P50, l.P99)
		}
	}
	return nil
}
