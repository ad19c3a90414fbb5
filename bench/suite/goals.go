//go:build linux

package main

import "fmt"

// goal is a value that is to stay under a bound; loads.yaml has them.
type goal struct {
	Name, Unit         string
	Most               [2]float64 // of doors
	Table, Load, Value string
	ToFloor            bool // the bound is a ratio
}

// idleLoad is the load of the table idle that all targets have.
const idleLoad = "10000"

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
		for i, most := range g.Most {
			result := "– | not measured"
			if v, known := g.of(f, doors[i].name); known {
				t.All++
				result = three(v) + g.Unit + " | **missed**"
				// As it is printed, so that nobody sees "1.40" miss "1.4".
				var printed float64
				if fmt.Sscan(three(v), &printed); printed <= most {
					t.Met++
					result = three(v) + g.Unit + " | met"
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
	r := f.row(g.Table, g.Load, target)
	v, known := r.of(g.Value).Median, len(r.rounds) > 0
	if !g.ToFloor {
		return v, known
	}
	lowest := f.row(g.Table, g.Load, "floor").of(g.Value).Median
	return v / max(lowest, 1e-9), known && lowest > 0
}

// Bound is what the table says of it.
func (g goal) Bound() string {
	if g.Most[0] == g.Most[1] {
		return fmt.Sprintf("%g%s", g.Most[0], g.Unit)
	}
	return fmt.Sprintf("%g%s raw, %g%s Centrifuge", g.Most[0], g.Unit, g.Most[1], g.Unit)
}
