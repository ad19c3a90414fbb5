package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: 1/100 s for programs on every Linux.
const tick = 10 * time.Millisecond

// UsageOf reads what the process used from /proc. Without a pid it returns
// nothing.
func UsageOf(pid int) (Usage, error) {
	if pid == 0 {
		return Usage{}, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the server's CPU time: %w", err)
	}
	return parseStat(text)
}

// parseStat reads utime, stime (14, 15) and rss (24, in pages) of a stat
// line, see proc(5). The second field is a name in brackets that may hold
// anything, so fields count from its end.
func parseStat(text []byte) (Usage, error) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const first = 3 // the number of fields[0]
	if len(fields) <= 24-first {
		return Usage{}, fmt.Errorf("the server's stat line is cut off")
	}
	var n [3]int64
	for i, field := range []int{14, 15, 24} {
		v, err := strconv.ParseInt(fields[field-first], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("the server's stat line: %w", err)
		}
		n[i] = v
	}
	return Usage{CPU: time.Duration(n[0]+n[1]) * tick, RSS: n[2] * int64(os.Getpagesize())}, nil
}
