//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
)

// goTool builds and runs the benchmark that takes the heap apart.
var goTool = "go"

// bytesCommand is what makes the tables of a connection's bytes; it runs in
// one process with the server, so that it can look into its heap.
var bytesCommand = []string{"test", "-run", "^$", "-bench", "BytesOfAConnection", "-benchtime", "1x", "./cmd/magpie"}

// bytesBegin starts each table in the benchmark's output.
const bytesBegin = "#### "

func measureBytes(o options, f *figures) error {
	cmd := exec.Command(goTool, bytesCommand...)
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
	for line := range strings.Lines(f.Bytes) {
		if strings.HasPrefix(line, bytesBegin) {
			log.Print(strings.TrimSpace(strings.TrimPrefix(line, bytesBegin)))
		}
	}
	return measureResident(o, f)
}

// onlyTables leaves out what the testing package says in between.
func onlyTables(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, bytesBegin):
			b.WriteString("\n" + line + "\n")
		case strings.HasPrefix(line, "|"):
			b.WriteString(line)
		}
	}
	return b.String()
}
