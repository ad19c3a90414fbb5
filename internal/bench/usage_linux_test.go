package bench

import (
	"testing"
	"time"
)

func TestStatLineOfAProcessWithAnyName(t *testing.T) {
	line := "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 100 1000000 300 18446744073709551615"
	u, err := parseStat([]byte(line))
	if err != nil || u.CPU != 2*time.Second || u.RSS%300 != 0 || u.RSS == 0 {
		t.Errorf("%+v %v", u, err)
	}
	for _, bad := range []string{"", "42 (a) S", line[:60]} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
