//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"magpie/internal/bench"
)

// machine is where and when the figures were measured.
type machine struct {
	Began      time.Time     `json:"began"`
	Took       time.Duration `json:"took"`
	CPU        string        `json:"cpu"`
	Cores      int           `json:"cores"`
	Kernel     string        `json:"kernel"`
	Go         string        `json:"go"`
	Redis      string        `json:"redis"`
	Magpie     string        `json:"magpie"`
	Rounds     int           `json:"rounds"`
	LoadBefore string        `json:"load_before"`
	LoadAfter  string        `json:"load_after"`
}

func thisMachine(o options) machine {
	return machine{
		Began: time.Now().UTC(), CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: said("uname", "-r"), Go: runtime.Version(),
		Redis: redisVersion(), Magpie: said(binary, "version"), Rounds: o.rounds, LoadBefore: loadAverage(),
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%d × %s, Linux %s, %s, Redis %s", m.Cores, m.CPU, m.Kernel, m.Go, m.Redis)
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// loadAverage tells what else the machine did: without anything else it is 0
// before, and about 2 on two cores after.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// processorTime is what all programs of the machine have used, without the
// kernel's own interrupts, which serve our packets too.
func processorTime() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	var user, nice, system int64
	fmt.Sscanf(string(text), "cpu %d %d %d", &user, &nice, &system)
	return time.Duration(user+nice+system) * 10 * time.Millisecond
}

// quiet tells what share of the machine other programs than the server and
// this client took since it was called.
func quiet(s *server) (others func() float64) {
	ours := func() time.Duration {
		client, _ := bench.UsageOf(os.Getpid())
		server, _ := bench.UsageOf(s.pid())
		return client.CPU + server.CPU
	}
	began, all, own := time.Now(), processorTime(), ours()
	return func() float64 {
		rest := processorTime() - all - (ours() - own)
		return max(rest.Seconds()/(time.Since(began).Seconds()*float64(runtime.NumCPU())), 0)
	}
}

func redisVersion() string {
	for word := range strings.FieldsSeq(said("redis-server", "--version")) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			return v
		}
	}
	return "none"
}

func said(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// kernelMemory is what the kernel holds for everybody: slab and TCP buffers.
func kernelMemory() int64 {
	var kb int64
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		var n int64
		if _, err := fmt.Sscanf(line, "Slab: %d kB", &n); err == nil {
			kb += n
		}
	}
	text, _ = os.ReadFile("/proc/net/sockstat")
	for line := range strings.Lines(string(text)) {
		if _, after, ok := strings.Cut(line, "mem "); ok && strings.HasPrefix(line, "TCP:") {
			var pages int64
			fmt.Sscan(after, &pages)
			kb += pages * int64(os.Getpagesize()) / 1024
		}
	}
	return kb * 1024
}
