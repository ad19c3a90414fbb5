//go:build linux

package main

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// figuresOf are figures of all loads, whose deliveries cost so much for each
// target; nothing else was measured.
func figuresOf(cpu map[string]float64) *figures {
	f := new(figures)
	for _, load := range []string{"W1", "W2", "W4", "W5"} {
		for target, us := range cpu {
			f.Figures = append(f.Figures, figure{"loads", load, target, 1, values{"p50_ms": us / 10, "p99_ms": 14, "cpu_us": us, "connect_us": 100, "rss_kb": 3.5}})
		}
	}
	return f
}

func pageOf(t *testing.T, f *figures) string {
	t.Helper()
	var b strings.Builder
	if err := page.Execute(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func line(t *testing.T, text, start string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+start) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line %q in\n%s", start, text)
	return ""
}

// Each goal is compared with its own bound: of its door, by the floor where
// it is a ratio, and as it is printed.
func TestGoalsAreComparedWithTheirBounds(t *testing.T) {
	f := figuresOf(map[string]float64{"floor": 10, "Magpie, raw": 14.02, "Magpie, Centrifuge": 14.2})
	for name, want := range map[string]string{
		"W1: memory":      "| W1: memory of an idle connection | 3 KB raw, 4 KB Centrifuge | 3.50 KB | **missed** | 3.50 KB | met |",
		"W2 fan-out: CPU": "| W2 fan-out: CPU of a delivery | 1.4 × floor | 1.40 × floor | met | 1.42 × floor | **missed** |",
		"W2 fan-out: p50": "| W2 fan-out: p50 | 1.3 × floor | 1.40 × floor | **missed** | 1.42 × floor | **missed** |",
		"W5 burst: p99":   "| W5 burst: p99 | 15 ms | 14.0 ms | met | 14.0 ms | met |",
		"Idle":            "| Idle: CPU of 10,000 that answer pings | 1.5 % of a core | – | not measured | – | not measured |",
	} {
		if got := line(t, pageOf(t, f), name); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if page := pageOf(t, f); !strings.Contains(page, "\n9 of 16 met.\n") {
		t.Error(page)
	}
	f.Figures = []figure{
		{"idle", "19000", "Magpie, raw", 1, values{"hold_percent": 9}},
		{"idle", "10000", "Magpie, raw", 1, values{"hold_percent": .9}},
		{"idle", "10000", "Magpie, Centrifuge", 1, values{"hold_percent": 1.6}},
	}
	if got := line(t, pageOf(t, f), "Idle"); !strings.Contains(got, "| 0.90 % of a core | met | 1.60 % of a core | **missed** |") {
		t.Error(got)
	}
}

// Without its floor a ratio is not known; that is not a goal that was met.
func TestAGoalWithoutAFloorIsNotMeasured(t *testing.T) {
	f := figuresOf(map[string]float64{"Magpie, raw": 1, "Magpie, Centrifuge": 1})
	if got := line(t, pageOf(t, f), "W4"); strings.Count(got, "not measured") != 2 {
		t.Error(got)
	}
}

func TestTheMedianOfRounds(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want spread
	}{
		{[]float64{9, 1, 4, 2}, spread{1, 3, 9}}, {[]float64{5, 1, 3}, spread{1, 3, 5}}, {[]float64{7}, spread{7, 7, 7}}, {nil, spread{}},
	} {
		if got := spreadOf(c.all); got != c.want {
			t.Errorf("%v: %v, want %v", c.all, got, c.want)
		}
	}
}

// The rows of deliveries: medians over rounds, ratios to the floor and the peer
// under the same load, faults of all rounds, the load's title once.
func TestTheRowsOfDeliveries(t *testing.T) {
	f := new(figures)
	for round, us := range []float64{9, 1, 4} {
		f.Figures = append(f.Figures, figure{"loads", "W2", "Magpie, raw", round + 1, values{"cpu_us": us, "p50_ms": us, "p99_ms": 10 * us, "lost": 1, "reordered": us}})
	}
	f.Figures = append(f.Figures, figure{"loads", "W2", "floor", 1, values{"cpu_us": 2}}, figure{"loads", "W5", "floor", 1, values{"cpu_us": 1}}, figure{"loads", "W2", "peer", 1, values{"cpu_us": 8}})
	_, table, _ := strings.Cut(pageOf(t, f), "### W2 to W5")
	_, rows, _ := strings.Cut(table, "|---|---|---|---|---|---|---|---|\n")
	want := `| W2 fan-out: 1,000 in one channel, 20 msg/s | floor | **2.00** (2.00–2.00) | 1.00 | 0.25 | 0.00 | 0.00 | 0, 0, 0 |
|  | peer | **8.00** (8.00–8.00) | 4.00 | 1.00 | 0.00 | 0.00 | 0, 0, 0 |
|  | Magpie, raw | **4.00** (1.00–9.00) | 2.00 | 0.50 | 4.00 | 40.0 | 3, 0, 14 |
| W5 burst: 100 in one channel, 1,000 msg/s | floor | **1.00** (1.00–1.00) | 1.00 | – | 0.00 | 0.00 | 0, 0, 0 |
`
	if got := strings.TrimRight(rows, "\n") + "\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The idle table has the floor first, whatever was measured again last, and
// says by how much of it each server is above.
func TestTheIdleTableIsInOrder(t *testing.T) {
	f := &figures{Figures: []figure{
		{"idle", "19000", "Magpie, raw", 1, values{"connections": 19_000, "hold_percent": 1.9, "pings": 2}},
		{"idle", "10000", "Magpie, raw", 1, values{"connections": 10_000, "hold_percent": .8, "pings": 2}},
		{"idle", "10000", "floor", 1, values{"connections": 10_000, "hold_percent": .4, "pings": 2}},
	}}
	_, rows, _ := strings.Cut(pageOf(t, f), "memory per connection, KB |\n|---|---|---|---|---|---|\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	want := "| 10000 | floor | **0.40** | 1.00 | 2.00 | 0.00 |\n| 10000 | Magpie, raw | **0.80** | 2.00 | 2.00 | 0.00 |\n| 19000 | Magpie, raw | **1.90** | 2.50 | 2.00 | 0.00 |"
	if rows != want {
		t.Errorf("got\n%swant\n%s", rows, want)
	}
}

// Each load of loads.yaml has its table on the page, with all its targets and
// no value that was not measured; and without figures no table is there.
func TestEachLoadHasItsRow(t *testing.T) {
	f := &figures{Bytes: "\n#### raw door\n"}
	seen := make(map[string]bool)
	for _, p := range parts {
		for _, l := range p.Loads {
			if len(l.on()) == 0 {
				t.Errorf("%s %s has no targets", l.Table, l.Name)
			}
			for _, target := range l.on() {
				if key := l.key(target); seen[key] {
					t.Errorf("%s is measured twice", key)
				} else {
					seen[key] = true
				}
				f.Figures = append(f.Figures, figure{l.Table, l.Name, target.name, 1, values{"connections": 7, "live": 7, "hold_percent": 7}})
			}
		}
	}
	text := pageOf(t, f)
	for name, want := range map[string]int{
		"###": 16, "peer, tuned |": 12, "Magpie, raw |": 13, "Magpie, raw, TLS |": 1, "| PUBLISH |": 4, "| FCALL |": 3, "| yes |": 2, "long polling |": 1,
		"MB, 0 % of a core |": 5 * 3, "\n| 7 | 0.00, 0.00 | 0.00, 0.00 | 0.00, 0.00 |": 0, "\n| 0 | 0.00, 0.00 | 0.00, 0.00 | 0.00, 0.00 |": 7, "one master hears": 1,
	} {
		if got := strings.Count(text, name); got != want {
			t.Errorf("%d times %q, want %d", got, name, want)
		}
	}
	if strings.Contains(text, "no value") || strings.Contains(text, "NaN") || strings.Contains(text, "\n\n\n") {
		t.Error(text)
	}
	if empty := pageOf(t, new(figures)); strings.Contains(empty, "|") || strings.Contains(empty, "#") {
		t.Error(empty)
	}
}

// What a process grew by is split without a rest that nobody names.
func TestResidentMemoryIsSplitWhole(t *testing.T) {
	grew := values{"rss": 4000, "heap_alloc": 1000, "heap_inuse": 1300, "heap_idle": 900, "heap_released": 200, "stack_inuse": 100, "gc_sys": 50, "mspan_inuse": 10}
	want := values{"resident": 400, "live": 100, "slack": 30, "spare": 70, "stacks": 10, "runtime": 6, "else": 184}
	if got := split(10, grew); got.String() != want.String() {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOnlyTablesAreTakenFromABenchmark(t *testing.T) {
	out := "\n#### raw door\n\n| bytes |\n|---|\n| 384 |\n\ngoos: linux\nBenchmarkX-2  1  12 ns/op\n\n#### SSE door\n\n| 5 |\nPASS\n"
	want := "\n#### raw door\n\n| bytes |\n|---|\n| 384 |\n\n#### SSE door\n\n| 5 |\n"
	if got := onlyTables(out); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The expected time is said before anything runs: five rounds in about half
// an hour, and a mistyped part is an error instead of an empty run.
func TestPartsAndTheirTime(t *testing.T) {
	if d := (options{only: everything(), rounds: 5}).expected(); d < 20*time.Minute || d > 32*time.Minute {
		t.Errorf("everything takes %s", d)
	}
	if a, b := (options{only: "tls,loads", rounds: 1}).expected(), (options{only: "loads", rounds: 3}).expected(); a >= b {
		t.Errorf("%s, %s", a, b)
	}
	for only, good := range map[string]bool{everything(): true, "idle": true, "idle,tls": true, "idel": false, "": false, "loads,": false} {
		if err := (options{only: only, rounds: 1}).check(); (err == nil) != good {
			t.Errorf("%q: %v", only, err)
		}
	}
	if (options{only: "tls"}).check() == nil {
		t.Error("no rounds are accepted")
	}
}

// The certificate is one that a server can load, for this machine.
func TestCertificateIsForThisMachine(t *testing.T) {
	cert, key := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	if err := certify(cert, key); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Leaf.VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
}

// A part that is not of this run says so.
func TestKeptPartsAreNamed(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	text := pageOf(t, &figures{Machine: machine{occasion: occasion{Start: now}}, Parts: map[string]occasion{
		"loads": {Start: now.Add(-time.Hour), LoadBefore: "0.1", LoadAfter: "1.5"}, "tls": {Start: now.Add(time.Minute)},
	}})
	if !strings.Contains(text, "Kept from an earlier run: loads, of 2 January, 02:04 UTC, load average 0.1 before and 1.5 after.") || strings.Count(text, "Kept") != 1 {
		t.Error(text)
	}
}

// What one run wrote another reads.
func TestFiguresAreKept(t *testing.T) {
	name := t.TempDir() + "/bench.json"
	text, err := json.Marshal(figuresOf(map[string]float64{"floor": 1}))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := read(name); err != nil || len(f.Of("loads", "W5")) != 1 {
		t.Errorf("%+v %v", f, err)
	}
}
