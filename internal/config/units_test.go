package config

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for in, want := range map[string]int{
		"65536": 65536, "64KB": 65536, "64 kb": 65536, "64KiB": 65536, "64k": 65536, "1MB": 1 << 20, "2GB": 2 << 30, "7B": 7, "0": 0,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "KB", "-1", "+1", "1.5MB", "1TB", "0x10", "1e3", "9999999999999GB", "18446744073709551616"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"25s": 25 * time.Second, "250ms": 250 * time.Millisecond, "5m": 5 * time.Minute, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0": 0, "0s": 0, "1.5s": 1500 * time.Millisecond,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "25", "1.5", "-1s", "+1s", "d", "1d2d", "1dd", "soon", "5 m", "-1d", "1d-1h", "65535d2562047h", "NaN", "Inf"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q was read as %s", in, got)
		}
	}
}

// What the reference page and show print must be readable again.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"64KB", "1d12h", "0", "5m", "1.5s", "18446744073709551615", "3d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil {
			if again, err := parseSize(formatSize(n)); n < 0 || err != nil || again != n {
				t.Fatalf("size %q: %d, then %q: %d, %v", s, n, formatSize(n), again, err)
			}
		}
		if d, err := ParseDuration(s); err == nil {
			if again, err := ParseDuration(FormatDuration(d)); d < 0 || err != nil || again != d {
				t.Fatalf("duration %q: %d, then %q: %d, %v", s, d, FormatDuration(d), again, err)
			}
		}
	})
}
