//go:build linux

package main

import (
	"fmt"
	"strings"
)

// goal is a figure that is to stay under a bound. Bounds by the floor are
// ratios, so that they hold on any machine; those in KB and µs were set on the
// machine that the page names.
type goal struct {
	name string
	// unit follows the figure, after a space of its own.
	unit string
	most [2]float64 // raw, Centrifuge
	of   func(f *figures, target string) (value float64, known bool)
}

var goals = []goal{
	{"W1: memory of an idle connection", " KB", [2]float64{3, 4}, median("W1", rss)},
	{"W1: server CPU of a connect", " µs", [2]float64{110, 110}, median("W1", connect)},
	{"W2 fan-out: CPU of a delivery", " × floor", [2]float64{1.4, 1.4}, toFloor("W2", cpu)},
	{"W2 fan-out: p50", " × floor", [2]float64{1.3, 1.3}, toFloor("W2", p50)},
	{"W3 big room: CPU of a delivery", " × floor", [2]float64{1.4, 1.4}, toFloor("W1", cpu)}, // on W1's connections
	{"W4 rooms: CPU of a delivery", " × floor", [2]float64{2, 2}, toFloor("W4", cpu)},
	{"W5 burst: CPU of a delivery", " × floor", [2]float64{0.5, 0.5}, toFloor("W5", cpu)},
	{"W5 burst: p99", " ms", [2]float64{15, 15}, median("W5", p99)},
	{"Idle: CPU of 10,000 that answer pings", " % of a core", [2]float64{1.5, 1.5}, resting10k},
}

// goalDoors are the columns.
var goalDoors = [2]string{"Magpie, raw", "Magpie, Centrifuge"}

func median(load string, of func(loadFigure) float64) func(*figures, string) (float64, bool) {
	return func(f *figures, target string) (float64, bool) {
		s, ok := over(f.Loads, load, target, of)
		return s.median, ok
	}
}

func toFloor(load string, of func(loadFigure) float64) func(*figures, string) (float64, bool) {
	return func(f *figures, target string) (float64, bool) {
		s, ok := over(f.Loads, load, target, of)
		lowest, ok2 := over(f.Loads, load, "floor", of)
		if !ok || !ok2 || lowest.median == 0 {
			return 0, false
		}
		return s.median / lowest.median, true
	}
}

func resting10k(f *figures, target string) (float64, bool) {
	for _, r := range f.Rest {
		if r.Target == target && r.Connections == restSizes[0] {
			return 100 * r.Rest.Cores, true
		}
	}
	return 0, false
}

// goalTable says what was to be reached and what was. A figure is judged as it
// is printed, so that nobody sees "1.40" miss "1.4".
func goalTable(b *strings.Builder, f *figures) {
	b.WriteString("\n### Targets\n\n| | at most | raw door | | Centrifuge door | |\n|---|---|---|---|---|---|\n")
	met, all := 0, 0
	for _, g := range goals {
		fmt.Fprintf(b, "| %s | %s |", g.name, g.bound())
		for i, door := range goalDoors {
			v, known := g.of(f, door)
			if !known {
				b.WriteString(" – | not measured |")
				continue
			}
			all++
			verdict := "**missed**"
			if within(v, g.most[i]) {
				met++
				verdict = "met"
			}
			fmt.Fprintf(b, " %s%s | %s |", digits3(v), g.unit, verdict)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "\n%d of %d met.\n", met, all)
}

func (g goal) bound() string {
	if g.most[0] == g.most[1] {
		return fmt.Sprintf("%g%s", g.most[0], g.unit)
	}
	return fmt.Sprintf("%g%s raw, %g%s Centrifuge", g.most[0], g.unit, g.most[1], g.unit)
}

func within(v, most float64) bool {
	var printed float64
	fmt.Sscan(digits3(v), &printed)
	return printed <= most
}
