//go:build linux

// Command suite measures Magpie on this machine: five loads beside a floor
// and a peer, what a connection takes, what goes through Redis, and polling
// against a connection. "make bench" runs it; it prints its tables, keeps
// them in docs/performance.md and draws docs/img/performance-*.svg.
//
// Servers are processes of their own, one at a time and in turn, so that a
// slow minute of the machine hits all alike. The client is one thread of this
// process (internal/bench, Reactor).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

type options struct {
	rounds int
	only   string
	out    string
	doc    string
	short  bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of the five loads")
	flag.StringVar(&o.only, "only", "loads,curves,redis,polling", "parts to run")
	flag.StringVar(&o.out, "out", "bin/bench.json", "where all figures are kept")
	flag.StringVar(&o.doc, "doc", "", "page whose tables are replaced")
	flag.BoolVar(&o.short, "short", false, "a tenth of everything, to see that it runs")
	flag.StringVar(&binary, "magpie", binary, "the program to measure")
	polling := flag.String("serve-polling", "", "be the server that polling is measured with, on this address")
	flag.Parse()
	log.SetFlags(log.Ltime)
	if *polling != "" {
		log.Fatal(servePolling(*polling))
	}
	// The client leaves the other core to the server, and its garbage, of
	// which there is little, until the end of a load.
	runtime.LockOSThread()
	debug.SetGCPercent(1000)
	if err := measure(o); err != nil {
		log.Fatal(err)
	}
}

// figures is all that is measured.
type figures struct {
	Machine machine         `json:"machine"`
	Loads   []loadFigure    `json:"loads"`
	Curves  []curveFigure   `json:"curves"`
	Rates   []rateFigure    `json:"rates"`
	Redis   *redisFigures   `json:"redis,omitempty"`
	Polling []pollingFigure `json:"polling,omitempty"`
}

func measure(o options) error {
	f := figures{Machine: thisMachine(o)}
	log.Printf("on %s", f.Machine)
	parts := []struct {
		name string
		run  func(options, *figures) error
	}{
		{"loads", measureLoads}, {"curves", measureCurves}, {"redis", measureRedis}, {"polling", measurePolling},
	}
	for _, p := range parts {
		if !strings.Contains(o.only, p.name) {
			continue
		}
		if err := p.run(o, &f); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
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
