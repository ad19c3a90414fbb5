//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"

	"magpie/internal/bench"
	"magpie/internal/config"
)

// BenchmarkBytesOfAConnection takes the heap apart: which function's
// allocations a connection holds while it is idle, with its subscription. The
// table in docs/performance.md is its output:
//
//	go test -run '^$' -bench BytesOfAConnection -benchtime 1x ./cmd/magpie
func BenchmarkBytesOfAConnection(b *testing.B) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	for _, door := range bench.Doors {
		b.Run(door, func(b *testing.B) {
			for b.Loop() {
				text, bytes := takeApart(b, door, 2000)
				b.ReportMetric(bytes, "heap-B/connection")
				fmt.Println(text) // a log of a benchmark is cut after ten lines
			}
		})
	}
}

func takeApart(b *testing.B, door string, connections int) (text string, total float64) {
	cfg := config.Default()
	cfg.Addr = "127.0.0.1:0"
	app, err := newApplication(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	defer app.Stop(context.Background())
	if err := app.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	l, err := bench.NewLoad(bench.Plan{Connections: connections, Size: 128, Target: bench.Target{URL: "http://" + app.Addr(), Door: door}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	before, stacks := heldBy()
	if err := l.Connect(); err != nil {
		b.Fatal(err)
	}
	after, stacksAfter := heldBy()
	n := float64(connections)
	var lines []string
	for _, who := range slices.SortedFunc(keys(after), func(x, y string) int {
		return cmp.Compare(after[y]-before[y], after[x]-before[x])
	}) {
		each := float64(after[who]-before[who]) / n
		if total += each; each >= 8 {
			lines = append(lines, fmt.Sprintf("| %.0f | %s |", each, who))
		}
	}
	lines = append(lines, fmt.Sprintf("| %.0f | stacks of goroutines |", float64(int64(stacksAfter-stacks))/n)) // stacks may shrink
	return "\n" + strings.Join(lines, "\n"), total
}

func keys(m map[string]int64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// heldBy returns the bytes in use by who allocated them, without the load's
// own, and those of all stacks. Memory is sampled at every allocation.
func heldBy() (bytes map[string]int64, stacks uint64) {
	// A profile is as of the last collection but one.
	for range 3 {
		runtime.GC()
	}
	records := make([]runtime.MemProfileRecord, 1<<16)
	n, _ := runtime.MemProfile(records, false)
	bytes = make(map[string]int64)
	for _, r := range records[:n] {
		if who := allocator(r.Stack()); who != "" {
			bytes[who] += r.InUseBytes()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return bytes, m.StackInuse
}

// allocator names the function that allocated, and the one of ours that asked
// for it when that is another; "" for the load itself.
func allocator(stack []uintptr) string {
	var leaf string
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "magpie/internal/bench."), strings.HasPrefix(f.Function, "magpie/cmd"):
			return ""
		case leaf == "" && !strings.HasPrefix(f.Function, "runtime.") && !strings.HasPrefix(f.Function, "internal/runtime"):
			leaf = f.Function
		}
		if strings.HasPrefix(f.Function, "magpie/") {
			if leaf == f.Function {
				return strings.TrimPrefix(leaf, "magpie/internal/")
			}
			return leaf + ", for " + strings.TrimPrefix(f.Function, "magpie/internal/")
		}
		if !more {
			return leaf
		}
	}
}
