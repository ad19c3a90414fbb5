//go:build linux

package main

import (
	"fmt"
	"slices"
)

// goal is a value that is to stay under a bound. Bounds by the floor are
// ratios, so that they hold on any machine; those in KB and µs were set on the
// machine that the page names.
type goal struct {
	Name, unit         string
	most               [2]float64 // of doors
	table, load, value string
	toFloor            bool
}

// idleLoad is the load of the table idle that all targets have.
const idleLoad = "10000"

var goals = []goal{
	{"W1: memory of an idle connection", " KB", [2]float64{3, 4}, "loads", "W1", "rss_kb", false},
	{"W1: server CPU of a connect", " µs", [2]float64{110, 110}, "loads", "W1", "connect_us", false},
	{"W2 fan-out: CPU of a delivery", " × floor", [2]float64{1.4, 1.4}, "loads", "W2", "cpu_us", true},
	{"W2 fan-out: p50", " × floor", [2]float64{1.3, 1.3}, "loads", "W2", "p50_ms", true},
	{"W3 big room: CPU of a delivery", " × floor", [2]float64{1.4, 1.4}, "loads", "W1", "cpu_us", true}, // on W1's connections
	{"W4 rooms: CPU of a delivery", " × floor", [2]float64{2, 2}, "loads", "W4", "cpu_us", true},
	{"W5 burst: CPU of a delivery", " × floor", [2]float64{0.5, 0.5}, "loads", "W5", "cpu_us", true},
	{"W5 burst: p99", " ms", [2]float64{15, 15}, "loads", "W5", "p99_ms", false},
	{"Idle: CPU of 10,000 that answer pings", " % of a core", [2]float64{1.5, 1.5}, "idle", idleLoad, "hold_percent", false},
}

// goalTable says what was to be reached and what was.
type goalTable struct {
	Lines    []goalLine
	Met, All int
}

type goalLine struct {
	goal
	Results []string // two cells for each door
}

// Goals is nil when nothing was measured that has one.
func (f *figures) Goals() *goalTable {
	if len(f.Of("loads"))+len(f.Of("idle")) == 0 {
		return nil
	}
	var t goalTable
	for _, g := range goals {
		line := goalLine{goal: g}
		for i, most := range g.most {
			result := "– | not measured"
			if v, known := g.of(f, doors[i].name); known {
				t.All++
				result = three(v) + g.unit + " | **missed**"
				// As it is printed, so that nobody sees "1.40" miss "1.4".
				var printed float64
				if fmt.Sscan(three(v), &printed); printed <= most {
					t.Met++
					result = three(v) + g.unit + " | met"
				}
			}
			line.Results = append(line.Results, result)
		}
		t.Lines = append(t.Lines, line)
	}
	return &t
}

// of is the goal's value of one target, and whether it is known.
func (g goal) of(f *figures, target string) (float64, bool) {
	rows := f.Of(g.table, g.load)
	i := slices.IndexFunc(rows, func(r row) bool { return r.Target == target })
	if i < 0 {
		return 0, false
	}
	v := rows[i].of(g.value).Median
	if !g.toFloor {
		return v, true
	}
	lowest := rows[i].beside(g.load, "floor").of(g.value).Median
	return v / max(lowest, 1e-9), lowest > 0
}

// Bound is what the table says of it.
func (g goal) Bound() string {
	if g.most[0] == g.most[1] {
		return fmt.Sprintf("%g%s", g.most[0], g.unit)
	}
	return fmt.Sprintf("%g%s raw, %g%s Centrifuge", g.most[0], g.unit, g.most[1], g.unit)
}
