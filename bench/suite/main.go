//go:build linux

// Command suite measures Magpie on this machine: five loads beside a floor
// and a peer, what an idle connection costs in CPU, in memory, byte by byte
// and over TLS, what goes through Redis, and polling against a connection.
// "make bench" runs it; it prints its tables, keeps them in
// docs/performance.md and draws docs/img/performance-*.svg.
//
// Servers are processes of their own, one at a time and in turn, so that a
// slow minute of the machine hits all alike. The client is one thread of this
// process (internal/bench, Reactor).
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
	match  *regexp.Regexp // of the loads, those whose "W2 Magpie, raw" it matches
}

// part is one of the things that are measured, apart from the others.
type part struct {
	name string
	run  func(options, *figures) error
	// How long it takes on two quiet cores, once and for each round.
	once, round time.Duration
}

var parts = []part{
	{name: "loads", run: measureLoads, round: 170 * time.Second},
	{name: "idle", run: measureRest, once: 530 * time.Second},
	{name: "tls", run: measureTLS, once: 65 * time.Second},
	{name: "curves", run: measureCurves, once: 190 * time.Second},
	{name: "redis", run: measureRedis, once: 120 * time.Second},
	{name: "polling", run: measurePolling, once: 45 * time.Second},
	{name: "bytes", run: measureBytes, once: 35 * time.Second},
}

// everything names all parts.
func everything() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// chosen are the parts that are to run.
func (o options) chosen(p part) bool { return slices.Contains(strings.Split(o.only, ","), p.name) }

// expected is how long the chosen parts take when nothing has to be repeated.
func (o options) expected() (all time.Duration) {
	for _, p := range parts {
		if o.chosen(p) {
			all += p.once + time.Duration(o.rounds)*p.round
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
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
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
	match := flag.String("match", "", "measure again, of the loads and the idle part, only what this expression matches (\"W2 Magpie, raw\", \"idle 10000 peer\")")
	flag.StringVar(&goTool, "go", goTool, "the go command, for the part bytes")
	flag.StringVar(&binary, "magpie", binary, "the program to measure")
	polling := flag.String("serve-polling", "", "be the server that polling is measured with, on this address")
	flag.Parse()
	log.SetFlags(log.Ltime)
	o.match = regexp.MustCompile(*match)
	if *polling != "" {
		log.Fatal(servePolling(*polling))
	}
	if *tablesOnly {
		if err := tablesAgain(o); err != nil {
			log.Fatal(err)
		}
		return
	}
	// The client leaves the other core to the server, and its garbage, of
	// which there is little, until the end of a load.
	runtime.LockOSThread()
	debug.SetGCPercent(1000)
	if err := o.check(); err != nil {
		log.Fatal(err)
	}
	if err := measure(o); err != nil {
		log.Fatal(err)
	}
}

// figures is all that is measured.
type figures struct {
	Machine  machine             `json:"machine"`
	Parts    map[string]occasion `json:"parts,omitempty"` // when each was measured
	Loads    []loadFigure        `json:"loads"`
	Rest     []restFigure        `json:"rest,omitempty"`
	TLS      []tlsFigure         `json:"tls,omitempty"`
	Bytes    string              `json:"bytes,omitempty"` // tables as they are
	Resident []residentFigure    `json:"resident,omitempty"`
	Curves   []curveFigure       `json:"curves"`
	Rates    []rateFigure        `json:"rates"`
	Redis    *redisFigures       `json:"redis,omitempty"`
	Polling  []pollingFigure     `json:"polling,omitempty"`
}

// occasion is when a part was measured, and what else the machine did.
type occasion struct {
	Began      time.Time `json:"began"`
	LoadBefore string    `json:"load_before"`
	LoadAfter  string    `json:"load_after"`
}

// load reads the figures of an earlier run.
func load(name string) (f figures, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func tablesAgain(o options) error {
	f, err := load(o.out)
	if err != nil {
		return err
	}
	return report(o, &f)
}

func measure(o options) error {
	var f figures
	if o.only != everything() || o.match.String() != "" {
		var err error
		if f, err = load(o.out); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
		when := occasion{Began: time.Now().UTC(), LoadBefore: loadAverage()}
		if err := p.run(o, &f); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		when.LoadAfter = loadAverage()
		f.Parts[p.name] = when
	}
	f.Machine.LoadAfter, f.Machine.Took = loadAverage(), time.Since(f.Machine.Began).Round(time.Second)
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return report(o, &f)
}
