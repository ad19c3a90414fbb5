package bench

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what a process has used up to now.
type Usage struct {
	CPU time.Duration // user and system
	RSS int64         // bytes of resident memory
}

// UsageOf reads what the process used from /proc, which only Linux has.
// Without a pid it returns nothing.
func UsageOf(pid int) (Usage, error) {
	if pid == 0 {
		return Usage{}, nil
	}
	process, err := procfs.NewProc(pid)
	if err != nil {
		return Usage{}, fmt.Errorf("read the server's CPU time: %w", err)
	}
	stat, err := process.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("read the server's CPU time: %w", err)
	}
	return Usage{CPU: time.Duration(stat.CPUTime() * float64(time.Second)), RSS: int64(stat.ResidentMemory())}, nil
}
