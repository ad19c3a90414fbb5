//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// plot is a chart of lines, drawn as SVG without a library: two axes, a few
// series, values written at the ends.
type plot struct {
	title, x, y string
	log         bool // both axes
	series      []series
}

type series struct {
	name   string
	colour string
	dashed bool
	points [][2]float64
}

// The frame in units of the picture.
const (
	plotWidth, plotHeight     = 640, 380
	plotLeft, plotRight       = 70, 620
	plotTop, plotBottom       = 40, 310
	legendTop, legendDistance = 340, 205
)

var colours = []string{"#8a6d3b", "#1f6feb", "#2a9d5c"}

func drawAll(f *figures) error {
	if len(f.Curves) == 0 {
		return nil
	}
	memory := plot{title: "Memory of an idle server", x: "connections", y: "MB"}
	cores := plot{title: "CPU at one message a second to each", x: "connections", y: "% of a core"}
	latency := plot{title: "Latency, 100 receivers: p50 (line) and p99 (dashed)", x: "messages a second", y: "ms", log: true}
	for i, t := range curved {
		name, colour := targets[t].name, colours[i]
		m, c := series{name: name, colour: colour}, series{name: name, colour: colour}
		for _, p := range f.allCurves() {
			if p.Target == name {
				m.points = append(m.points, [2]float64{float64(p.Connections), float64(p.RSS) / (1 << 20)})
				c.points = append(c.points, [2]float64{float64(p.Connections), 100 * p.Cores})
			}
		}
		half, most := series{name: name, colour: colour}, series{colour: colour, dashed: true}
		for _, p := range f.Rates {
			if p.Target == name {
				half.points = append(half.points, [2]float64{p.Rate, float64(p.P50) / 1000})
				most.points = append(most.points, [2]float64{p.Rate, float64(p.P99) / 1000})
			}
		}
		memory.series, cores.series = append(memory.series, m), append(cores.series, c)
		latency.series = append(latency.series, half, most)
	}
	for name, p := range map[string]plot{"memory": memory, "cpu": cores, "latency": latency} {
		if err := os.WriteFile("docs/img/performance-"+name+".svg", []byte(p.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// axis maps values to the picture.
type axis struct {
	low, high float64
	from, to  float64
	log       bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, a.low)), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// marks are round values along the axis.
func (a axis) marks() (all []float64) {
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high)))
	for a.high/step < 4 {
		step /= 2
	}
	for v := 0.0; v <= a.high*1.001; v += step {
		all = append(all, v)
	}
	return all
}

func (p plot) axes() (x, y axis) {
	x = axis{from: plotLeft, to: plotRight, log: p.log}
	y = axis{from: plotBottom, to: plotTop, log: p.log}
	x.low, y.low = math.Inf(1), math.Inf(1)
	for _, s := range p.series {
		for _, v := range s.points {
			x.low, x.high = min(x.low, v[0]), max(x.high, v[0])
			y.low, y.high = min(y.low, v[1]), max(y.high, v[1])
		}
	}
	for _, a := range []*axis{&x, &y} {
		if !p.log {
			a.low, a.high = 0, max(a.high, 1e-3)*1.05
			continue
		}
		a.low = math.Pow(10, math.Floor(math.Log10(max(a.low, 1e-3))))
		a.high = math.Pow(10, math.Ceil(math.Log10(max(a.high, a.low*10))))
	}
	return x, y
}

func (p plot) svg() string {
	var b strings.Builder
	x, y := p.axes()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="%s">`+"\n", plotWidth, plotHeight, p.title)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="24" font-size="15">%s</text>`+"\n", plotWidth, plotHeight, plotLeft, p.title)
	for _, v := range x.marks() {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x.at(v), plotTop, x.at(v), plotBottom, x.at(v), plotBottom+16, number(v))
	}
	for _, v := range y.marks() {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft, y.at(v), plotRight, y.at(v), plotLeft-6, y.at(v)+4, number(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#555">%s</text><text x="%d" y="%d" text-anchor="end" fill="#555">%s</text>`+"\n", plotRight, plotBottom+32, p.x, plotLeft-6, plotTop-6, p.y)
	named := 0
	for _, s := range p.series {
		s.draw(&b, x, y)
		if s.name != "" {
			at := plotLeft + named*legendDistance
			fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`+"\n", at, legendTop+20, at+24, legendTop+20, s.colour, at+30, legendTop+24, s.name)
			named++
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (s series) draw(b *strings.Builder, x, y axis) {
	var at []string
	for _, v := range s.points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", x.at(v[0]), y.at(v[1])))
	}
	dash := ""
	if s.dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(at, " "), s.colour, dash)
	for _, v := range s.points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.at(v[0]), y.at(v[1]), s.colour)
	}
}

// number writes a mark without needless digits.
func number(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%gk", v/1000)
	}
	return fmt.Sprintf("%g", math.Round(v*1000)/1000)
}
