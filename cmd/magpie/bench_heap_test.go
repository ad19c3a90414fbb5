//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// BenchmarkBytesOfAConnection takes the heap apart: who allocated what a
// connection holds while it is idle, with its subscription. The tables in
// docs/performance.md are its output; "make bench" takes them over:
//
//	go test -run '^$' -bench BytesOfAConnection -benchtime 1x ./cmd/magpie
func BenchmarkBytesOfAConnection(b *testing.B) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	for _, of := range []struct {
		name, door string
		secure     bool
	}{
		{"raw door", "raw", false}, {"Centrifuge door", "centrifuge", false}, {"SSE door", "sse", false},
		{"raw door over TLS", "raw", true}, {"Centrifuge door over TLS", "centrifuge", true},
	} {
		b.Run(of.name, func(b *testing.B) {
			connections := heapConnections(b)
			for b.Loop() {
				s := newTestServer(b, of.secure)
				s.fill(of.door, warmUp)
				before := s.settled()
				s.fill(of.door, connections)
				after := s.settled()
				each := float64(after.heap-before.heap) / float64(connections)
				b.ReportMetric(each, "heap-B/connection")
				b.ReportMetric(float64(after.all-before.all)/float64(connections), "goroutines/connection")
				// A log of a benchmark is cut after ten lines.
				fmt.Printf("\n#### %s\n\n%s\n", of.name, after.table(before, connections))
			}
		})
	}
}

// heapConnections is how many are opened; fewer, to see that it runs.
func heapConnections(b *testing.B) int {
	text := os.Getenv("MAGPIE_BENCH_CONNECTIONS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("MAGPIE_BENCH_CONNECTIONS=%q is no number of connections", text)
	}
	return n
}
