//go:build linux

package main

import (
	"cmp"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"magpie/internal/bench"
)

// restFigure is one server that holds connections which answer its pings, and
// then sends each of them one message a second.
type restFigure struct {
	Target      string     `json:"target"`
	Connections int        `json:"connections"`
	RSS         int64      `json:"rss"`
	RSSPerConn  float64    `json:"rss_per_connection"`
	Rest        bench.Rest `json:"rest"`
	Others      float64    `json:"others"` // share of the machine that other programs took
	Busy        float64    `json:"busy_cores"`
}

// pingEvery is the default of Magpie and of the peer. Twice that has two
// rounds of pings in it, wherever it begins.
var pingEvery = 25 * time.Second

// resting are the servers with what they need to hold subscriptions that can
// be resumed. The floor has none; it pings, and that is all.
var resting = []target{
	{"floor", "raw", func() (*server, error) { return floor(fmt.Sprint(pingEvery.Seconds())) }, false},
	{"peer", "centrifuge", func() (*server, error) { return peer("-history", "100", "-ping", pingEvery.String()) }, true},
	{"peer, tuned", "centrifuge", func() (*server, error) { return peer("-tuned", "-history", "100", "-ping", pingEvery.String()) }, true},
	{"Magpie, raw", "raw", func() (*server, error) { return magpie("--ping-interval", pingEvery.String()) }, false},
	{"Magpie, Centrifuge", "centrifuge", func() (*server, error) { return magpie("--ping-interval", pingEvery.String()) }, true},
}

// restSizes are how many connections rest. With the larger number only those
// are measured that the curves show: it takes a minute each.
var restSizes = []int{10_000, 19_000}

func measureRest(o options, f *figures) error {
	// What -match leaves out stays as it was.
	matches := func(name string, n int) bool { return o.match.MatchString(fmt.Sprintf("idle %d %s", n, name)) }
	f.Rest = slices.DeleteFunc(f.Rest, func(r restFigure) bool { return matches(r.Target, r.Connections) })
	if o.short {
		defer func(d time.Duration) { pingEvery = d }(pingEvery)
		pingEvery = time.Second
	}
	for i, n := range restSizes {
		for j, t := range resting {
			if i > 0 && !isCurved(j) || !matches(t.name, n) {
				continue
			}
			one, err := rest(o, t, n)
			if err != nil {
				return fmt.Errorf("%d connections, %s: %w", n, t.name, err)
			}
			f.Rest = append(f.Rest, one)
			log.Printf("%5d idle connections %-18s %5.2f KB each, %.2f %% of a core, %.2f pings to each in %.0f s; at a message a second %.1f %%", one.Connections, t.name,
				one.RSSPerConn/1024, 100*one.Rest.Cores, one.pings(), one.Rest.Seconds, 100*one.Busy)
		}
	}
	return nil
}

func rest(o options, t target, n int) (restFigure, error) {
	s, err := t.start()
	if err != nil {
		return restFigure{}, err
	}
	defer s.stop()
	p := shorten(o, bench.Plan{Connections: n, Settle: 3 * time.Second, Rate: 1, Duration: 6 * time.Second})
	p.Size, p.PID, p.Dialing, p.Name = payload, s.pid(), 500, "idle"
	p.Target = bench.Target{URL: "http://" + s.addr, Door: t.door, Recoverable: t.recoverable}
	time.Sleep(300 * time.Millisecond) // as in runLoad
	l, err := bench.NewLoad(p)
	if err != nil {
		return restFigure{}, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return restFigure{}, err
	}
	l.Settle()
	others := quiet(s)
	r, err := l.Rest(2 * pingEvery)
	if err != nil {
		return restFigure{}, err
	}
	f := restFigure{Target: t.name, Connections: p.Connections, Rest: r, Others: others()}
	if err := l.Publish(nil); err != nil {
		return restFigure{}, err
	}
	u := l.Result().Server
	f.RSS, f.RSSPerConn, f.Busy = u.RSSIdle, u.RSSPerConn, u.CPUShare
	return f, nil
}

// pings is how many each connection answered.
func (f restFigure) pings() float64 { return float64(f.Rest.Pings) / float64(f.Connections) }

// curve is the figure's point on the curves.
func (f restFigure) curve() curveFigure {
	return curveFigure{f.Target, f.Connections, f.RSS, f.Busy}
}

func restTable(b *strings.Builder, all []restFigure) {
	place := func(r restFigure) int {
		return r.Connections*len(resting) + slices.IndexFunc(resting, func(t target) bool { return t.name == r.Target })
	}
	all = slices.SortedFunc(slices.Values(all), func(x, y restFigure) int { return cmp.Compare(place(x), place(y)) })
	fmt.Fprintf(b, "\n### Idle connections that answer pings\n\nOne subscription each that can be resumed; pinged every %.0f s, CPU over %.0f s. The floor's is what one send and one read for each ping cost.\n\n", all[0].Rest.Seconds/2, all[0].Rest.Seconds)
	b.WriteString("| connections | server | CPU, % of a core | to the floor's | pings to each | memory per connection, KB |\n|---|---|---|---|---|---|\n")
	var lowest float64 // of one connection
	for _, r := range all {
		each := r.Rest.Cores / float64(r.Connections)
		if r.Target == "floor" {
			lowest = each
		}
		fmt.Fprintf(b, "| %d | %s | **%s** | %s | %.2f | %s |\n", r.Connections, r.Target, digits3(100*r.Rest.Cores), ratio(each, lowest), r.pings(), digits3(r.RSSPerConn/1024))
	}
}
