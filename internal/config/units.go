package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// sizeUnits are written as people write them: 64KB is 65536 bytes, as it is
// in Redis. The longer suffixes come first because all of them end in B.
var sizeUnits = []struct {
	suffix string
	bytes  int
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30},
	{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1},
}

// parseSize reads a number of bytes: 65536, 64KB, 1MB. Case and a space
// before the unit do not matter.
func parseSize(s string) (int, error) {
	number, unit := strings.ToUpper(strings.TrimSpace(s)), 1
	for _, u := range sizeUnits {
		if head, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(head), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || strings.HasPrefix(number, "+") {
		return 0, fmt.Errorf("%q is not a size; write bytes or a number with KB, MB or GB, such as 64KB", s)
	}
	if n > uint64(math.MaxInt/unit) {
		return 0, fmt.Errorf("%q is more than any machine has", s)
	}
	return int(n) * unit, nil
}

func formatSize(n int) string {
	for _, u := range []struct {
		suffix string
		bytes  int
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.Itoa(n/u.bytes) + u.suffix
		}
	}
	return strconv.Itoa(n)
}

// ParseDuration reads a duration as settings are written: 25s, 5m, 1d12h. The
// error says how to write one.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// parseDuration reads 250ms, 25s, 5m, 24h, 7d or a chain such as 1d12h. A
// number without a unit is refused, because nobody remembers which it was.
func parseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	if text == "0" {
		return 0, nil
	}
	wrong := fmt.Errorf("%q is not a duration; write a number with ms, s, m, h or d, such as 25s or 5m", s)
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit; write %ss for seconds or %sms for milliseconds", s, text, text)
	}
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("%q is negative; write a duration such as 25s or 5m", s)
	}
	var days time.Duration
	if number, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || strings.HasPrefix(number, "+") {
			return 0, wrong
		}
		days, text = time.Duration(n)*24*time.Hour, rest
		if text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.HasPrefix(text, "+") || d > math.MaxInt64-days {
		return 0, wrong
	}
	return days + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it.
func FormatDuration(d time.Duration) string { return formatDuration(d) }

// formatDuration writes what parseDuration reads, without the zero parts that
// time.Duration.String leaves (5m0s).
func formatDuration(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 && d > 24*time.Hour {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "0s" {
		return "0"
	}
	return s
}
