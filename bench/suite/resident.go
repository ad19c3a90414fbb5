//go:build linux

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"magpie/internal/bench"
)

// residentFigure is what a server's resident memory grew by with each idle
// connection, in bytes, by what Go's runtime says it is. The heap's live bytes
// are a part of it only: objects sit in pages, pages wait to be used again.
type residentFigure struct {
	Target   string  `json:"target"`
	RSS      float64 `json:"rss"`
	Live     float64 `json:"live"`     // objects, those included that the next collection finds dead
	Slack    float64 `json:"slack"`    // room in pages that hold objects
	Spare    float64 `json:"spare"`    // free pages that were not given back yet
	Stacks   float64 `json:"stacks"`   // of goroutines
	Runtime  float64 `json:"runtime"`  // the runtime's own tables
	Elsewise float64 `json:"elsewise"` // what is left: rounding, and pages of the program
}

// memoryGauges are the names of /metrics that it is made of.
var memoryGauges = []string{"heap_alloc", "heap_inuse", "heap_idle", "heap_released", "stack_inuse", "mspan_inuse", "gc_sys", "buck_hash_sys", "other_sys"}

func measureResident(o options, f *figures) error {
	f.Resident = nil
	for _, t := range resting {
		if !strings.HasPrefix(t.name, "Magpie") {
			continue
		}
		one, err := resident(o, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		f.Resident = append(f.Resident, one)
		log.Printf("%-18s %.0f bytes resident a connection: %.0f live, %.0f slack, %.0f spare, %.0f stacks, %.0f runtime, %.0f else",
			t.name, one.RSS, one.Live, one.Slack, one.Spare, one.Stacks, one.Runtime, one.Elsewise)
	}
	return nil
}

func resident(o options, t target) (residentFigure, error) {
	s, err := t.start()
	if err != nil {
		return residentFigure{}, err
	}
	defer s.stop()
	// As long as in W1, so that the same garbage is left.
	p := shorten(o, bench.Plan{Connections: 10_000, Settle: 8 * time.Second})
	p.Size, p.PID, p.Dialing, p.Name = payload, s.pid(), 500, "resident"
	p.Target = bench.Target{URL: "http://" + s.addr, Door: t.door, Recoverable: t.recoverable}
	before, err := memoryBefore(http.DefaultClient, "http://"+s.addr, s)
	if err != nil {
		return residentFigure{}, err
	}
	l, err := bench.NewLoad(p)
	if err != nil {
		return residentFigure{}, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return residentFigure{}, err
	}
	l.Settle()
	after, err := memory(http.DefaultClient, "http://"+s.addr, s)
	if err != nil {
		return residentFigure{}, err
	}
	return split(t.name, p.Connections, before, after), nil
}

// split says what the growth of a process is made of.
func split(name string, connections int, before, after map[string]float64) residentFigure {
	grew := func(name string) float64 { return (after[name] - before[name]) / float64(connections) }
	r := residentFigure{
		Target: name, RSS: grew("rss"), Live: grew("heap_alloc"), Slack: grew("heap_inuse") - grew("heap_alloc"),
		Spare: grew("heap_idle") - grew("heap_released"), Stacks: grew("stack_inuse"),
		Runtime: grew("mspan_inuse") + grew("gc_sys") + grew("buck_hash_sys") + grew("other_sys"),
	}
	r.Elsewise = r.RSS - r.Live - r.Slack - r.Spare - r.Stacks - r.Runtime
	return r
}

// memoryBefore asks twice: what asking takes is no connection's.
func memoryBefore(client *http.Client, url string, s *server) (map[string]float64, error) {
	if _, err := memory(client, url, s); err != nil {
		return nil, err
	}
	return memory(client, url, s)
}

// memory asks a server for its memory, and the kernel for what of it is there.
func memory(client *http.Client, url string, s *server) (map[string]float64, error) {
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	m := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if name, mine := strings.CutPrefix(name, "go_memstats_"); ok && mine {
			if m[strings.TrimSuffix(name, "_bytes")], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range memoryGauges {
		if _, ok := m[name]; !ok {
			return nil, fmt.Errorf("/metrics does not tell go_memstats_%s_bytes", name)
		}
	}
	u, err := bench.UsageOf(s.pid())
	m["rss"] = float64(u.RSS)
	return m, err
}

const residentHead = "| server | live objects, and dead ones not yet collected | room in their pages | free pages not given back | goroutine stacks | the runtime's tables | else | resident |\n|---|---|---|---|---|---|---|---|\n"

func residentTable(b *strings.Builder, all []residentFigure) {
	b.WriteString("\n#### From live bytes to resident memory\n\n10,000 idle connections in a process of their own, as in W1; bytes for each.\n\n")
	b.WriteString(residentHead)
	residentRows(b, all)
}

func residentRows(b *strings.Builder, all []residentFigure) {
	for _, r := range all {
		fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | **%.0f** |\n", r.Target, r.Live, r.Slack, r.Spare, r.Stacks, r.Runtime, r.Elsewise, r.RSS)
	}
}
