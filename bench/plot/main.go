// Command plot draws the curves of docs/performance.md from the figures that
// bench/suite keeps. It is a module of its own, so that what draws is not among
// the dependencies of Magpie.
//
//	plot bin/bench.json docs/img/performance-
package main

import (
	"encoding/json"
	"image/color"
	"log"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figure is one of bench/suite.
type figure struct {
	Table, Target string
	Values        map[string]float64
}

// curve is a plot: values y over x of some tables.
type curve struct {
	file, title, labelX, labelY string
	tables                      []string
	x                           string
	y                           []string // the second one is dashed
	log                         bool     // both axes
}

var curves = []curve{
	{"memory", "Memory of an idle server", "connections", "MB", []string{"curves", "idle"}, "connections", []string{"rss_mb"}, false},
	{"cpu", "CPU at one message a second to each", "connections", "% of a core", []string{"curves", "idle"}, "connections", []string{"cpu_percent"}, false},
	{"latency", "Latency, 100 receivers: p50 (line) and p99 (dashed)", "messages a second", "ms", []string{"rates"}, "rate", []string{"p50_ms", "p99_ms"}, true},
}

var targets = []struct {
	name   string
	colour color.RGBA
}{
	{"peer, tuned", color.RGBA{0x8a, 0x6d, 0x3b, 0xff}}, {"Magpie, raw", color.RGBA{0x1f, 0x6f, 0xeb, 0xff}}, {"Magpie, Centrifuge", color.RGBA{0x2a, 0x9d, 0x5c, 0xff}},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: plot FIGURES.json START-OF-THE-FILES'-NAMES")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var all struct{ Figures []figure }
	if err := json.Unmarshal(text, &all); err != nil {
		log.Fatal(err)
	}
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	for _, c := range curves {
		p, err := c.draw(all.Figures)
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Save(480, 300, os.Args[2]+c.file+".svg"); err != nil {
			log.Fatal(err)
		}
	}
}

func (c curve) draw(figures []figure) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.labelX, c.labelY
	p.Title.Padding, p.Legend.Padding, p.Legend.Top, p.Legend.Left = 8, 3, true, true
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	grid.Horizontal.Width, grid.Vertical.Width = .75, .75
	p.Add(grid)
	for _, t := range targets {
		for i, y := range c.y {
			points := c.points(figures, t.name, y)
			if len(points) == 0 {
				continue
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width, dots.Color, dots.Shape = t.colour, 1.5, t.colour, draw.CircleGlyph{}
			if i > 0 {
				line.Dashes = []vg.Length{4, 3}
			} else {
				p.Legend.Add(t.name, line)
			}
			p.Add(line, dots)
		}
	}
	if c.log {
		p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
		p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
		p.Y.Min, p.Y.Max = 0.1, 100 // whole powers, and room for the legend
	} else {
		p.X.Min, p.Y.Min = 0, 0
		p.Y.Max *= 1.05
	}
	return p, nil
}

func (c curve) points(figures []figure, target, y string) (all plotter.XYs) {
	for _, f := range figures {
		if f.Target == target && slices.Contains(c.tables, f.Table) {
			all = append(all, plotter.XY{X: f.Values[c.x], Y: f.Values[y]})
		}
	}
	slices.SortFunc(all, func(a, b plotter.XY) int { return int(a.X - b.X) })
	return all
}
