package config

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sizeForm is a number with a unit or none.
var sizeForm = regexp.MustCompile(`^(\d+)\s*(?:([KMG])(?:I?B)?|B)?$`)

// parseSize reads a number of bytes: 65536, 64KB, 1MB. Units are powers of two,
// as they are in Redis. Case and a space before the unit do not matter.
func parseSize(s string) (int, error) {
	parts := sizeForm.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(s)))
	if parts == nil {
		parts = []string{"", "", ""} // which is no number
	}
	n, err := strconv.ParseUint(parts[1], 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size; write bytes or a number with KB, MB or GB, such as 64KB", s)
	}
	unit := 1 << (10 * strings.Index(" KMG", parts[2]))
	if n > uint64(math.MaxInt/unit) {
		return 0, fmt.Errorf("%q is more than any machine has", s)
	}
	return int(n) * unit, nil
}

func formatSize(n int) string {
	for _, suffix := range []string{"GB", "MB", "KB"} {
		if one, _ := parseSize("1" + suffix); n >= one && n%one == 0 {
			return strconv.Itoa(n/one) + suffix
		}
	}
	return strconv.Itoa(n)
}

// ParseDuration reads a duration as settings are written: 250ms, 25s, 5m, 24h,
// 7d or a chain such as 1d12h. A number without a unit is refused, because it
// could mean seconds or milliseconds. The error says how to write one.
func ParseDuration(s string) (time.Duration, error) {
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
		if err != nil {
			return 0, wrong
		}
		days, text = time.Duration(n)*24*time.Hour, cmp.Or(rest, "0")
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.HasPrefix(text, "+") || d > math.MaxInt64-days {
		return 0, wrong
	}
	return days + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it, without the zero
// parts that time.Duration.String leaves (5m0s).
func FormatDuration(d time.Duration) string {
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
