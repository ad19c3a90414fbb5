//go:build linux

package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/template"
)

// The tables stand between these lines of the page.
const (
	tablesStart = "<!-- figures: made by make bench -->"
	tablesEnd   = "<!-- end of figures -->"
)

//go:embed *.tmpl
var templates embed.FS

// page is the template of all tables, over figures; it leaves out what was not
// measured. curveLines is what gnuplot draws.
var (
	page       = template.Must(template.ParseFS(templates, "page.tmpl"))
	curveLines = template.Must(template.ParseFS(templates, "curves.gp.tmpl"))
)

// report prints the tables, puts them on the page of -doc, and has the curves
// drawn.
func report(o options, f *figures) error {
	var b strings.Builder
	if err := page.Execute(&b, f); err != nil {
		return err
	}
	fmt.Print(b.String())
	if o.doc == "" {
		return nil
	}
	text, err := os.ReadFile(o.doc)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tablesStart)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for tables: %s", o.doc, tablesStart)
	}
	if err := os.WriteFile(o.doc, []byte(before+tablesStart+"\n"+b.String()+tablesEnd+after), 0o644); err != nil {
		return err
	}
	if len(f.Of("rates")) == 0 {
		return nil
	}
	cmd, script := exec.Command("gnuplot"), new(bytes.Buffer)
	if err := curveLines.Execute(script, f); err != nil {
		return err
	}
	cmd.Stdin = script
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gnuplot: %w: %s", err, out)
	}
	return nil
}

// spread is what one value was over the rounds.
type spread struct{ Low, Median, High float64 }

func spreadOf(all []float64) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	n := len(all)
	return spread{all[0], (all[n/2] + all[(n-1)/2]) / 2, all[n-1]}
}

// Others says how far the machine was ours, which latency depends on: the
// percentage that other programs took. It is nil when no loads were measured.
func (f *figures) Others() *spread {
	var all []float64
	for _, one := range f.Figures {
		if one.Table == "loads" {
			all = append(all, 100*one.Values["others"])
		}
	}
	if len(all) == 0 {
		return nil
	}
	s := spreadOf(all)
	return &s
}

// TooMuch tells whether that was so much that latencies tell of them.
func (s spread) TooMuch() bool { return s.Median > 100*tooMuch }

// row is one target under one load, in all its rounds.
type row struct {
	Target, Title string
	First         bool // of its load
	table, load   string
	rounds        []values // none: it was not measured
	all           *figures
}

func (f *figures) row(table, load, target string) row {
	r := row{Target: target, table: table, load: load, all: f}
	for _, one := range f.Figures {
		if one.is(table, load, target) {
			r.rounds = append(r.rounds, one.Values)
		}
	}
	return r
}

// Of are the rows of a table that were measured, or those of some of its loads,
// in the order of parts.
func (f *figures) Of(table string, loads ...string) (all []row) {
	for _, p := range parts {
		for _, l := range p.Loads {
			if l.Table != table || len(loads) > 0 && !slices.Contains(loads, l.Name) {
				continue
			}
			first := true
			for _, t := range l.on() {
				r := f.row(table, l.Name, t.name)
				if r.Title, r.First = l.Title, first; len(r.rounds) > 0 {
					all, first = append(all, r), false
				}
			}
		}
	}
	return all
}

// Curves are the rows of some tables by load, of the curved targets alone.
func (f *figures) Curves(tables ...string) (all [][]row) {
	for _, table := range tables {
		for _, r := range f.Of(table) {
			if r.First {
				all = append(all, nil)
			}
			if slices.ContainsFunc(curved, func(t target) bool { return t.name == r.Target }) {
				all[len(all)-1] = append(all[len(all)-1], r)
			}
		}
	}
	return slices.DeleteFunc(all, func(rows []row) bool { return len(rows) == 0 })
}

func (r row) of(value string) spread {
	var all []float64
	for _, v := range r.rounds {
		all = append(all, v[value])
	}
	return spreadOf(all)
}

// As writes the median of a value.
func (r row) As(verb, value string) string { return fmt.Sprintf(verb, r.of(value).Median) }

// Whole writes it without a fraction, Three with three digits or so.
func (r row) Whole(value string) string { return r.As("%.0f", value) }
func (r row) Three(value string) string { return three(r.of(value).Median) }

// Spread writes the median, and the lowest and highest of the rounds.
func (r row) Spread(value string) string {
	s := r.of(value)
	return fmt.Sprintf("**%s** (%s–%s)", three(s.Median), three(s.Low), three(s.High))
}

// To writes a value as a ratio to that of another target.
func (r row) To(target, value string) string {
	return ratio(r.of(value).Median, r.all.row(r.table, r.load, target).of(value).Median)
}

// ToIdleFloor compares one connection's part: the floor holds one number only.
func (r row) ToIdleFloor() string {
	each := func(r row) float64 { return r.of("hold_percent").Median / max(r.of("connections").Median, 1) }
	return ratio(each(r), each(r.all.row(r.table, idleLoad, "floor")))
}

// Faults counts over all rounds.
func (r row) Faults() string {
	var lost, repeated, reordered float64
	for _, v := range r.rounds {
		lost, repeated, reordered = lost+v["lost"], repeated+v["repeated"], reordered+v["reordered"]
	}
	return fmt.Sprintf("%.0f, %.0f, %.0f", lost, repeated, reordered)
}

// Has tells whether a value was measured.
func (r row) Has(value string) bool {
	_, ok := r.rounds[0][value]
	return ok
}

func three(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
