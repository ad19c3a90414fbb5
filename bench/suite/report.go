//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"magpie/internal/bench"
)

// The tables stand between these lines of the page.
const (
	tablesBegin = "<!-- figures: made by make bench -->"
	tablesEnd   = "<!-- end of figures -->"
)

// report prints the tables, draws the plots and puts the tables on the page.
func report(o options, f *figures) error {
	text := tables(f)
	fmt.Print(text)
	if o.doc == "" {
		return nil
	}
	if err := drawAll(f); err != nil {
		return err
	}
	page, err := os.ReadFile(o.doc)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), tablesBegin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for tables: %s", o.doc, tablesBegin)
	}
	return os.WriteFile(o.doc, []byte(before+tablesBegin+"\n"+text+tablesEnd+after), 0o644)
}

func tables(f *figures) string {
	var b strings.Builder
	m := f.Machine
	fmt.Fprintf(&b, "\nMeasured on %s with %s. Client and servers share %d cores (%s). Load average before %s, after %s; rounds: %d; %s in all.\n",
		m.Began.Format("2 January 2006, 15:04 MST"), m.Magpie, m.Cores, m, m.LoadBefore, m.LoadAfter, m.Rounds, m.Took.Round(time.Second))
	for _, p := range parts {
		if when, ok := f.Parts[p.name]; ok && when.Began.Before(m.Began) {
			fmt.Fprintf(&b, "Kept from an earlier run: %s, of %s, load average %s before and %s after.\n", p.name, when.Began.Format("2 January, 15:04 MST"), when.LoadBefore, when.LoadAfter)
		}
	}
	if len(f.Loads) > 0 {
		othersLine(&b, f.Loads)
	}
	if len(f.Loads)+len(f.Rest) > 0 {
		goalTable(&b, f)
	}
	if len(f.Loads) > 0 {
		connectionTable(&b, f.Loads)
		deliveryTable(&b, f.Loads)
	}
	if len(f.Rest) > 0 {
		restTable(&b, f.Rest)
	}
	if len(f.TLS) > 0 {
		tlsTable(&b, f.TLS)
	}
	if len(f.Curves) > 0 {
		curveTables(&b, f)
	}
	if f.Redis != nil {
		redisTables(&b, f.Redis)
	}
	if len(f.Polling) > 0 {
		pollingTable(&b, f.Polling)
	}
	if f.Bytes != "" {
		b.WriteString("\n### A connection's bytes\n" + f.Bytes)
		residentTable(&b, f.Resident)
	}
	b.WriteByte('\n')
	return b.String()
}

// othersLine says how far the machine was ours, which latency depends on.
func othersLine(b *strings.Builder, loads []loadFigure) {
	var all []float64
	for _, l := range loads {
		all = append(all, 100*l.Others)
	}
	slices.Sort(all)
	if all[len(all)-1] == 0 {
		return // figures of before this was looked at
	}
	fmt.Fprintf(b, "During the loads other programs took %.0f %% of the machine in the median, %.0f %% at most.\n", all[len(all)/2], all[len(all)-1])
	if all[len(all)/2] > 100*tooMuch {
		b.WriteString("\n**The machine was not quiet: latencies tell more about the other programs than about the servers.** CPU, memory and counts hold.\n")
	}
}

// spread is what one figure was over the rounds.
type spread struct{ low, median, high float64 }

func over(loads []loadFigure, load, target string, of func(loadFigure) float64) (s spread, measured bool) {
	var all []float64
	for _, l := range loads {
		if l.Load == load && l.Target == target {
			all = append(all, of(l))
		}
	}
	if len(all) == 0 {
		return spread{}, false
	}
	slices.Sort(all)
	median := all[len(all)/2]
	if len(all)%2 == 0 {
		median = (median + all[len(all)/2-1]) / 2
	}
	return spread{all[0], median, all[len(all)-1]}, true
}

func (s spread) String() string {
	return fmt.Sprintf("**%s** (%s–%s)", digits3(s.median), digits3(s.low), digits3(s.high))
}

func digits3(v float64) string {
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

func rss(l loadFigure) float64     { return l.Result.Server.RSSPerConn / 1024 }
func kernel(l loadFigure) float64  { return l.Kernel / 1024 }
func connect(l loadFigure) float64 { return l.Result.Server.ConnectCPUUs }
func cpu(l loadFigure) float64     { return l.Result.Server.DeliveryCPUUs }
func p50(l loadFigure) float64     { return float64(l.Result.Latency.P50) / 1000 }
func p99(l loadFigure) float64     { return float64(l.Result.Latency.P99) / 1000 }

func connectionTable(b *strings.Builder, loads []loadFigure) {
	b.WriteString("\n### W1: 10,000 connections, one subscription each, idle for 8 s\n\n")
	b.WriteString("| server | memory per connection, KB | to the peer's | kernel per connection, KB | CPU per connect, µs | to the peer's |\n|---|---|---|---|---|---|\n")
	peerRSS, _ := over(loads, "W1", "peer", rss)
	peerConnect, _ := over(loads, "W1", "peer", connect)
	for _, t := range targets {
		r, ok := over(loads, "W1", t.name, rss)
		if !ok {
			continue // -match left it out
		}
		k, _ := over(loads, "W1", t.name, kernel)
		c, _ := over(loads, "W1", t.name, connect)
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", t.name, r, ratio(r.median, peerRSS.median), digits3(k.median), c, ratio(c.median, peerConnect.median))
	}
}

// deliveries are the loads whose deliveries are compared. W3 was run on the
// connections of W1.
var deliveries = []struct{ load, name string }{
	{"W2", "W2 fan-out: 1,000 in one channel, 20 msg/s"},
	{"W1", "W3 big room: 10,000 in one channel, 2 msg/s"},
	{"W4", "W4 rooms: 1,000 in 100 rooms, each publishes, 2,000 msg/s"},
	{"W5", "W5 burst: 100 in one channel, 1,000 msg/s"},
}

func deliveryTable(b *strings.Builder, loads []loadFigure) {
	b.WriteString("\n### W2 to W5: server CPU for each delivery, and latency\n\n")
	b.WriteString("Median of the rounds (lowest–highest). Payload 128 bytes.\n\n")
	b.WriteString("| load | server | CPU per delivery, µs | to the floor's | to the peer's | p50, ms | p99, ms | lost, repeated, reordered |\n|---|---|---|---|---|---|---|---|\n")
	for _, d := range deliveries {
		lowest, _ := over(loads, d.load, "floor", cpu)
		peers, _ := over(loads, d.load, "peer", cpu)
		name := d.name
		for _, t := range targets {
			c, ok := over(loads, d.load, t.name, cpu)
			if !ok {
				continue // -match left it out
			}
			half, _ := over(loads, d.load, t.name, p50)
			most, _ := over(loads, d.load, t.name, p99)
			var lost, repeated, reordered int
			for _, l := range loads {
				if l.Load == d.load && l.Target == t.name {
					lost, repeated, reordered = lost+l.Result.Lost, repeated+l.Result.Repeated, reordered+l.Result.Reordered
				}
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %d, %d, %d |\n", name, t.name, c, ratio(c.median, lowest.median), ratio(c.median, peers.median),
				digits3(half.median), digits3(most.median), lost, repeated, reordered)
			name = "" // once for all servers
		}
	}
}

func curveTables(b *strings.Builder, f *figures) {
	b.WriteString("\n### Memory and CPU against connections\n\nAll in one channel; each gets one message a second.\n\n")
	b.WriteString("![Memory against connections](img/performance-memory.svg)\n![CPU against connections](img/performance-cpu.svg)\n\n")
	b.WriteString("| connections |")
	for _, i := range curved {
		fmt.Fprintf(b, " %s |", targets[i].name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(curved)) + "\n")
	for _, n := range unique(f.allCurves(), func(c curveFigure) int { return c.Connections }) {
		fmt.Fprintf(b, "| %d |", n)
		for _, c := range f.allCurves() {
			if c.Connections == n {
				fmt.Fprintf(b, " %.1f MB, %.0f %% of a core |", float64(c.RSS)/(1<<20), 100*c.Cores)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n### Latency against rate\n\n100 in one channel; p50 and p99 in ms.\n\n![Latency against rate](img/performance-latency.svg)\n\n| messages a second |")
	for _, i := range curved {
		fmt.Fprintf(b, " %s |", targets[i].name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(curved)) + "\n")
	for _, rate := range unique(f.Rates, func(r rateFigure) float64 { return r.Rate }) {
		fmt.Fprintf(b, "| %.0f |", rate)
		for _, r := range f.Rates {
			if r.Rate == rate {
				fmt.Fprintf(b, " %s, %s |", ms(r.P50), ms(r.P99))
			}
		}
		b.WriteString("\n")
	}
}

func unique[F any, V cmp.Ordered](figures []F, of func(F) V) []V {
	var all []V
	for _, f := range figures {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func ms(us int64) string { return digits3(float64(us) / 1000) }

func percentiles(l bench.Latency) string { return ms(l.P50) + " | " + ms(l.P99) }

func redisTables(b *strings.Builder, f *redisFigures) {
	b.WriteString("\n### Two nodes, one Redis: from PUBLISH to the browser\n\n")
	b.WriteString("A client of Redis publishes, half of the receivers are on each node; the channel has a log.\n\n")
	b.WriteString("| command | messages a second | receivers | CPU of both nodes per delivery, µs | Redis, cores | p50, ms | p99, ms | lost, repeated, reordered |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range f.Rates {
		fmt.Fprintf(b, "| %s | %.0f | %d | %s | %.2f | %s | %d, %d, %d |\n", r.Way, r.Rate, r.Receivers, digits3(r.CPUUs), r.RedisCores, percentiles(r.Latency), r.Lost, r.Repeated, r.Reordered)
	}
	b.WriteString("\nWith 1,000 receivers a delivery cost")
	for i, n := range f.Nodes {
		if i > 0 {
			b.WriteString(" and")
		}
		fmt.Fprintf(b, " %s µs on node %d", digits3(n.DeliveryCPUUs), n.Node)
	}
	b.WriteString(". With few receivers the figure is mostly the cost of a message, which every node pays once.\n")
	b.WriteString("\n### One node through Redis, with a log: 200 receivers, 200 msg/s from a client\n\n| server | CPU per delivery, µs | p50, ms | p99, ms |\n|---|---|---|---|\n")
	for _, r := range f.Doors {
		fmt.Fprintf(b, "| %s | %s | %s |\n", r.Way, digits3(r.CPUUs), percentiles(r.Latency))
	}
	b.WriteString("\n### What one redis-server carries\n\nThe publish script, driven by redis-benchmark (50 connections, pipelines of 16) and then by a node (`POST /api/broadcast`), on 1,000 channels; medians of three turns.\n\n")
	b.WriteString("| log | redis-benchmark, calls/s | Magpie, publications/s | share | Redis CPU per publication, µs: redis-benchmark | Magpie | node CPU, µs | a whole Redis core would carry |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range f.Carried {
		fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f %% | %s | %s | %s | %.0f |\n", map[bool]string{true: "yes", false: "no"}[c.Log], c.Benchmark, c.Magpie, 100*c.Magpie/c.Benchmark,
			digits3(c.BenchmarkCPUUs), digits3(c.MagpieCPUUs), digits3(c.NodeCPUUs), 1e6/c.MagpieCPUUs)
	}
	b.WriteString("\n### A node's Redis traffic while nobody publishes\n\n| resumable subscriptions | channels | commands/s | bytes/s to Redis | bytes/s from Redis | Redis, cores | node, cores |\n|---|---|---|---|---|---|---|\n")
	for _, i := range f.Idle {
		fmt.Fprintf(b, "| %d | %d | %s | %.0f | %.0f | %.3f | %.3f |\n", i.Subscriptions, i.Channels, digits3(i.Commands), i.In, i.Out, i.RedisCores, i.NodeCores)
	}
	if f.Cluster != nil {
		clusterTables(b, f.Cluster)
	}
}

func pollingTable(b *strings.Builder, all []pollingFigure) {
	p := all[0]
	fmt.Fprintf(b, "\n### Against polling: %d clients follow one room for %.0f s, %d messages\n\n", p.Clients, p.Seconds, p.Messages)
	b.WriteString("| way | requests | bytes up | bytes down | server CPU, s | delay p50, ms | delay p99, ms | lost |\n|---|---|---|---|---|---|---|---|\n")
	for _, p := range all {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %.2f | %s | %d |\n", p.Way, p.Requests, p.BytesUp, p.BytesDown, p.CPU, percentiles(p.Latency), p.Lost)
	}
}
