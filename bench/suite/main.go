//go:build linux

// Command suite measures Magpie on this machine beside a floor and a peer, and
// makes docs/performance.md of it. "make bench" runs it.
//
// Here is what is compared and how it is told: which servers are started, which
// loads they get (loads.yaml), and which tables and plots come of it (page.tmpl). What a
// single load does, and "magpie bench" too, is in internal/bench.
//
// Servers are processes of their own, one site at a time and in turn, so that a
// slow minute of the machine hits all alike. The client is one thread of this
// process.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

type options struct {
	rounds int
	only   string
	out    string
	doc    string
	short  bool
	match  *regexp.Regexp // of what is measured, see load.key
}

// everything names all parts.
func everything() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.Name)
	}
	return strings.Join(names, ",")
}

func (o options) chosen(p part) bool { return slices.Contains(strings.Split(o.only, ","), p.Name) }

// expected is how long the chosen parts take when nothing has to be repeated.
func (o options) expected() (all time.Duration) {
	for _, p := range parts {
		if o.chosen(p) {
			all += p.Once + time.Duration(o.rounds)*p.Round
		}
	}
	if o.short {
		all /= 5
	}
	return all.Round(time.Minute)
}

// check refuses parts that do not exist: nothing would be measured in silence.
func (o options) check() error {
	for name := range strings.SplitSeq(o.only, ",") {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.Name == name }) {
			return fmt.Errorf("-only %q: there is no part %q; choose of %s", o.only, name, everything())
		}
	}
	if o.rounds < 1 {
		return fmt.Errorf("-rounds %d: it takes one at least", o.rounds)
	}
	return nil
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of the five loads")
	flag.StringVar(&o.only, "only", everything(), "parts to run; the others are taken from -out")
	flag.StringVar(&o.out, "out", "bin/bench.json", "where all figures are kept")
	flag.StringVar(&o.doc, "doc", "", "page whose tables are replaced")
	tablesOnly := flag.Bool("tables", false, "measure nothing; make the tables of -out again")
	flag.BoolVar(&o.short, "short", false, "a tenth of everything, to see that it runs")
	match := flag.String("match", "", "measure again only what this expression matches (\"W2 Magpie, raw\", \"idle 10000 peer\")")
	flag.StringVar(&goTool, "go", goTool, "the go command, for the part bytes")
	flag.StringVar(&binary, "magpie", binary, "the program to measure")
	flag.Parse()
	log.SetFlags(log.Ltime)
	o.match = regexp.MustCompile(*match)
	if err := run(o, *tablesOnly); err != nil {
		log.Fatal(err)
	}
}

func run(o options, tablesOnly bool) error {
	if tablesOnly {
		f, err := read(o.out)
		if err != nil {
			return err
		}
		return report(o, &f)
	}
	// The client leaves the other core to the server, and its garbage, of
	// which there is little, until the end of a load.
	runtime.LockOSThread()
	debug.SetGCPercent(1000)
	if err := o.check(); err != nil {
		return err
	}
	return measureAll(o)
}

// figures is all that is measured.
type figures struct {
	Machine machine             `json:"machine"`
	Parts   map[string]occasion `json:"parts,omitempty"` // when each was measured
	Figures []figure            `json:"figures"`
	Bytes   string              `json:"bytes,omitempty"` // tables as they are
}

// figure is what was measured of one server under one load in one round.
type figure struct {
	Table  string `json:"table"`
	Load   string `json:"load"`
	Target string `json:"target"`
	Round  int    `json:"round"`
	Values values `json:"values"`
}

// values are in the units that their names end with, where they have one.
type values map[string]float64

func (f figure) is(table, load, target string) bool {
	return f.Table == table && f.Load == load && f.Target == target
}

// read returns the figures of an earlier run.
func read(name string) (f figures, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func measureAll(o options) error {
	var f figures
	if o.only != everything() || o.match.String() != "" {
		var err error
		if f, err = read(o.out); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f.Machine = thisMachine(o)
	if f.Parts == nil {
		f.Parts = make(map[string]occasion)
	}
	log.Printf("on %s", f.Machine)
	log.Printf("this takes about %.0f minutes, and up to two more where a noisy moment has to be measured again", max(o.expected().Minutes(), 1))
	for _, p := range parts {
		if !o.chosen(p) {
			continue
		}
		when := now()
		if err := p.measure(o, &f); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		when.LoadAfter = loadAverage()
		f.Parts[p.Name] = when
	}
	f.Machine.LoadAfter, f.Machine.Took = loadAverage(), time.Since(f.Machine.Start).Round(time.Second)
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return report(o, &f)
}
