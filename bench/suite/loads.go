//go:build linux

package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"magpie/internal/bench"
)

// part is one of the things that are measured, apart from the others.
type part struct {
	Name        string
	Loads       []load
	Once, Round time.Duration // how long it takes, once and for each round
}

// load is what some targets get; loads.yaml says what each field means. It has
// many fields because each is a column that some load sets.
type load struct {
	Table, Name, Title string
	Targets            string
	Turns              string
	Plan               bench.Plan

	Redis, Nodes int
	Command      []string
	Carry        string
	Resumable    bool
	Hold         time.Duration
	Memory, TLS  bool

	short bool
}

// payload has 100 bytes of filler and what is measured: who, which, when.
const payload = 128

//go:embed loads.yaml
var loadsFile []byte

// parts and goals are the two documents of loads.yaml.
var parts, goals = func() (all []part, most []goal) {
	d := yaml.NewDecoder(bytes.NewReader(loadsFile))
	d.KnownFields(true)
	if err := cmp.Or(d.Decode(&all), d.Decode(&most)); err != nil {
		panic(fmt.Sprintf("loads.yaml: %v", err))
	}
	for _, p := range all {
		for i := range p.Loads {
			p.Loads[i].Title = cmp.Or(p.Loads[i].Title, p.Loads[i].Name)
		}
	}
	return all, most
}()

// on are the targets that the load is for.
func (l load) on() []target {
	switch l.Targets {
	case "all":
		return targets
	case "curved":
		return curved
	case "doors":
		return doors
	}
	return slices.DeleteFunc(append(slices.Clone(targets), polling), func(t target) bool { return t.name != l.Targets })
}

// turns is how often it is measured.
func (l load) turns(rounds int) (n int) {
	if l.Turns == "rounds" {
		return rounds
	}
	fmt.Sscan(l.Turns, &n)
	return max(n, 1)
}

// setup is what its servers are started with. Two rounds of pings are in what
// connections are held for.
func (l load) setup() setup {
	if !l.Resumable {
		return setup{}
	}
	ping := 25 * time.Second // as servers do by themselves
	if l.short {
		ping = 3 * time.Second
	}
	return setup{resumable: true, ping: ping}
}

// key is what -match is compared with.
func (l load) key(t target) string {
	if l.Table == "loads" {
		return l.Name + " " + t.name
	}
	return l.Table + " " + l.Name + " " + t.name
}

// shorten makes a load small, to try the suite itself.
func (l load) shorten() load {
	p := &l.Plan
	if p.Publishers == 0 {
		p.Channels = max(p.Channels/10, 1)
	}
	p.Connections = max(p.Connections/10, p.Channels*max(p.Publishers, 1))
	p.Quiet, p.Duration = p.Quiet/10, max(p.Duration/5, time.Second)
	if l.Hold > 0 {
		l.Hold = 6 * time.Second
	}
	l.short = true
	return l
}
