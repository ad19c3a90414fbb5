//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// memoryGauges are the names of /metrics that a Magpie's memory is made of.
var memoryGauges = []string{"heap_alloc", "heap_inuse", "heap_idle", "heap_released", "stack_inuse", "mspan_inuse", "gc_sys", "buck_hash_sys", "other_sys"}

// memory is what the first node's memory is made of, in bytes, by what Go's
// runtime says.
func (s *site) memory() values {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.byMemory.Roots}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.byMemory.URL + "/metrics")
	s.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.must(err)
	v := make(values)
	for _, name := range memoryGauges {
		_, after, _ := strings.Cut(string(text), "\ngo_memstats_"+name+"_bytes ")
		value, _, _ := strings.Cut(after, "\n")
		if v[name], err = strconv.ParseFloat(value, 64); err != nil {
			s.Fatalf("/metrics does not tell go_memstats_%s_bytes", name)
		}
	}
	return v
}

// split says what the growth of a process is made of, for each connection. The
// heap's live bytes are a part of it only: objects sit in pages, pages wait to
// be used again.
func split(connections float64, grew values) values {
	v := values{
		"resident": grew["rss"],
		"live":     grew["heap_alloc"], // objects, those included that the next collection finds dead
		"slack":    grew["heap_inuse"] - grew["heap_alloc"],
		"spare":    grew["heap_idle"] - grew["heap_released"],
		"stacks":   grew["stack_inuse"],
		"runtime":  grew["mspan_inuse"] + grew["gc_sys"] + grew["buck_hash_sys"] + grew["other_sys"],
	}
	// What is left: rounding, and pages of the program.
	v["else"] = v["resident"] - v["live"] - v["slack"] - v["spare"] - v["stacks"] - v["runtime"]
	for name := range v {
		v[name] /= connections
	}
	return v
}

// goTool builds and runs the benchmark that takes the heap apart.
var goTool = "go"

// bytesTitle starts each table in the benchmark's output.
const bytesTitle = "#### "

// measureBytes runs a benchmark in one process with the server, so that it can
// look into its heap.
func measureBytes(o options, f *figures) error {
	cmd := exec.Command(goTool, "test", "-run", "^$", "-bench", "BytesOfAConnection", "-benchtime", "1x", "./cmd/magpie")
	cmd.Env = os.Environ()
	if o.short {
		cmd.Env = append(cmd.Env, "MAGPIE_BENCH_CONNECTIONS=200")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	if f.Bytes = onlyTables(string(out)); f.Bytes == "" {
		return fmt.Errorf("%s made no table:\n%s", cmd, out)
	}
	log.Printf("bytes of a connection: %d tables", strings.Count(f.Bytes, bytesTitle))
	return nil
}

// onlyTables leaves out what the testing package says in between.
func onlyTables(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, bytesTitle):
			b.WriteString("\n" + line + "\n")
		case strings.HasPrefix(line, "|"):
			b.WriteString(line)
		}
	}
	return b.String()
}
