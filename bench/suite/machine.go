//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// machine is where and when the figures were measured.
type machine struct {
	occasion
	Took   time.Duration `json:"took"`
	CPU    string        `json:"cpu"`
	Cores  int           `json:"cores"`
	Kernel string        `json:"kernel"`
	Go     string        `json:"go"`
	Redis  string        `json:"redis"`
	Magpie string        `json:"magpie"`
	Rounds int           `json:"rounds"`
}

// occasion is when something was measured, and what else the machine did.
type occasion struct {
	Start      time.Time `json:"start"`
	LoadBefore string    `json:"load_before"`
	LoadAfter  string    `json:"load_after"`
}

func now() occasion { return occasion{Start: time.Now().UTC(), LoadBefore: loadAverage()} }

func thisMachine(o options) machine {
	_, redis, _ := strings.Cut(said("redis-server", "--version"), "v=")
	redis, _, _ = strings.Cut(redis, " ")
	cpu := runtime.GOARCH
	if all, err := proc.CPUInfo(); err == nil && len(all) > 0 && all[0].ModelName != "" {
		cpu = all[0].ModelName
	}
	return machine{
		occasion: now(), CPU: cpu, Cores: runtime.NumCPU(), Kernel: said("uname", "-r"), Go: runtime.Version(),
		Redis: redis, Magpie: said(binary, "version"), Rounds: o.rounds,
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%d × %s, Linux %s, %s, Redis %s", m.Cores, m.CPU, m.Kernel, m.Go, m.Redis)
}

// said is the first line of what a program says.
func said(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// proc is /proc, which every Linux has.
var proc, _ = procfs.NewDefaultFS()

// loadAverage tells what else the machine did: without anything else it is 0
// before, and about 2 on two cores after.
func loadAverage() string {
	load, err := proc.LoadAvg()
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.2f", load.Load1)
}

// processorSeconds is what all programs of the machine have used, without the
// kernel's own interrupts, which serve our packets too.
func processorSeconds() float64 {
	stat, _ := proc.Stat()
	return stat.CPUTotal.User + stat.CPUTotal.Nice + stat.CPUTotal.System
}

// kernelMemory is what the kernel holds for everybody: slab and TCP buffers.
func kernelMemory() (bytes float64) {
	if m, err := proc.Meminfo(); err == nil && m.SlabBytes != nil {
		bytes += float64(*m.SlabBytes)
	}
	stat, err := proc.NetSockstat()
	if err != nil {
		return bytes
	}
	for _, p := range stat.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			bytes += float64(*p.Mem * os.Getpagesize())
		}
	}
	return bytes
}
