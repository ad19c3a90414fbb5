//go:build linux

package main

import (
	"crypto/tls"
	"maps"
	"strings"
	"testing"
	"time"

	"magpie/internal/bench"
)

// figuresOf are figures whose loads cost so much for each server.
func figuresOf(cpu map[string]float64) *figures {
	f := new(figures)
	for _, load := range []string{"W1", "W2", "W4", "W5"} {
		for target, us := range cpu {
			f.Loads = append(f.Loads, loadFigure{Load: load, Target: target, Round: 1, Result: bench.Result{
				Latency: bench.Latency{P50: int64(us * 100), P99: 14_000},
				Server:  &bench.Server{DeliveryCPUUs: us, ConnectCPUUs: 100, RSSPerConn: 3.5 * 1024},
			}})
		}
	}
	return f
}

func goalLine(t *testing.T, f *figures, name string) string {
	t.Helper()
	var b strings.Builder
	goalTable(&b, f)
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "| "+name) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line %q in\n%s", name, &b)
	return ""
}

// Each target is compared with its own bound: of its door, by the floor where
// it is a ratio, and as it is printed.
func TestTargetsAreJudgedByTheirBounds(t *testing.T) {
	f := figuresOf(map[string]float64{"floor": 10, "Magpie, raw": 14.02, "Magpie, Centrifuge": 14.2})
	for name, want := range map[string]string{
		"W1: memory":      "| W1: memory of an idle connection | 3 KB raw, 4 KB Centrifuge | 3.50 KB | **missed** | 3.50 KB | met |",
		"W2 fan-out: CPU": "| W2 fan-out: CPU of a delivery | 1.4 × floor | 1.40 × floor | met | 1.42 × floor | **missed** |",
		"W2 fan-out: p50": "| W2 fan-out: p50 | 1.3 × floor | 1.40 × floor | **missed** | 1.42 × floor | **missed** |",
		"W5 burst: p99":   "| W5 burst: p99 | 15 ms | 14.0 ms | met | 14.0 ms | met |",
		"Idle":            "| Idle: CPU of 10,000 that answer pings | 1.5 % of a core | – | not measured | – | not measured |",
	} {
		if got := goalLine(t, f, name); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f.Rest = []restFigure{
		{Target: "Magpie, raw", Connections: 19_000, Rest: bench.Rest{Cores: 0.09}},
		{Target: "Magpie, raw", Connections: 10_000, Rest: bench.Rest{Cores: 0.009}},
		{Target: "Magpie, Centrifuge", Connections: 10_000, Rest: bench.Rest{Cores: 0.016}},
	}
	if got := goalLine(t, f, "Idle"); !strings.Contains(got, "| 0.90 % of a core | met | 1.60 % of a core | **missed** |") {
		t.Error(got)
	}
}

// Without its floor a ratio is not known; that is not a target that was met.
func TestATargetWithoutAFloorIsNotMeasured(t *testing.T) {
	f := figuresOf(map[string]float64{"Magpie, raw": 1, "Magpie, Centrifuge": 1})
	if got := goalLine(t, f, "W4"); strings.Count(got, "not measured") != 2 {
		t.Error(got)
	}
}

func TestTheMedianOfRounds(t *testing.T) {
	var loads []loadFigure
	for _, us := range []float64{9, 1, 4, 2} {
		loads = append(loads, loadFigure{Load: "W2", Target: "floor", Result: bench.Result{Server: &bench.Server{DeliveryCPUUs: us}}})
	}
	if s, ok := over(loads, "W2", "floor", cpu); !ok || s != (spread{1, 3, 9}) {
		t.Errorf("%+v", s)
	}
	if _, ok := over(loads, "W2", "peer", cpu); ok {
		t.Error("a server that did not run has a median")
	}
}

// What a process grew by is split without a rest that nobody names.
func TestResidentMemoryIsSplitWhole(t *testing.T) {
	before := map[string]float64{"rss": 1000, "heap_alloc": 100, "heap_inuse": 150, "heap_idle": 80, "heap_released": 80}
	after := maps.Clone(before)
	for name, more := range map[string]float64{"rss": 4000, "heap_alloc": 1000, "heap_inuse": 1300, "heap_idle": 900, "heap_released": 200, "stack_inuse": 100, "gc_sys": 50, "mspan_inuse": 10} {
		after[name] += more
	}
	got := split("x", 10, before, after)
	want := residentFigure{Target: "x", RSS: 400, Live: 100, Slack: 30, Spare: 70, Stacks: 10, Runtime: 6, Elsewise: 184}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
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

// The certificate is one that a server can load, and its roots trust it.
func TestCertificateIsForThisMachine(t *testing.T) {
	c, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: c.roots})
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*tls.Conn).HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The idle table has the floor first, whatever was measured again last, and
// says by how much of it each server is above.
func TestTheIdleTableIsInOrder(t *testing.T) {
	var b strings.Builder
	restTable(&b, []restFigure{
		{Target: "Magpie, raw", Connections: 19_000, Rest: bench.Rest{Seconds: 50, Cores: 0.019, Pings: 38_000}},
		{Target: "Magpie, raw", Connections: 10_000, Rest: bench.Rest{Seconds: 50, Cores: 0.008, Pings: 20_000}},
		{Target: "floor", Connections: 10_000, Rest: bench.Rest{Seconds: 50, Cores: 0.004, Pings: 20_000}},
	})
	_, rows, _ := strings.Cut(b.String(), "|---|---|---|---|---|---|\n")
	want := "| 10000 | floor | **0.40** | 1.00 | 2.00 | 0.00 |\n| 10000 | Magpie, raw | **0.80** | 2.00 | 2.00 | 0.00 |\n| 19000 | Magpie, raw | **1.90** | 2.50 | 2.00 | 0.00 |\n"
	if rows != want {
		t.Errorf("got\n%swant\n%s", rows, want)
	}
}

// A part that is not of this run says so.
func TestKeptPartsAreNamed(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	f := &figures{Machine: machine{Began: now}, Parts: map[string]occasion{
		"loads": {Began: now.Add(-time.Hour), LoadBefore: "0.1", LoadAfter: "1.5"}, "tls": {Began: now.Add(time.Minute)},
	}}
	text := tables(f)
	if !strings.Contains(text, "Kept from an earlier run: loads, of 2 January, 02:04 UTC, load average 0.1 before and 1.5 after.") || strings.Count(text, "Kept") != 1 {
		t.Error(text)
	}
}
