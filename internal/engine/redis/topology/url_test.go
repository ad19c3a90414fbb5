package topology

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://example.org":                     "example.org:6379",
		"redis://u:p%23w@example.org:7000/3":      "example.org:7000",
		"rediss://example.org/":                   "example.org:6379",
		"redis://[::1]:6380":                      "[::1]:6380",
		"unix:///run/redis/redis.sock?db=2":       "/run/redis/redis.sock",
		"redis://:only-a-password@localhost?db=1": "localhost:6379",
	} {
		target, err := ParseURL(url)
		if err != nil || target.Name != want {
			t.Errorf("%s: %q %v", url, target.Name, err)
		}
		if tls := strings.HasPrefix(url, "rediss"); tls != (target.Option.TLSConfig != nil) {
			t.Errorf("%s: TLS %v", url, !tls)
		}
	}
	target, _ := ParseURL("redis://u:p%23w@example.org:7000/3")
	opt := target.Option
	if opt.Username != "u" || opt.Password != "p#w" || opt.SelectDB != 3 {
		t.Errorf("got %q %q %d", opt.Username, opt.Password, opt.SelectDB)
	}
}

// URLs as people have them: what to write instead is said.
func TestURLsThatPeopleHave(t *testing.T) {
	for url, want := range map[string]string{
		"redis://geheim@h":            "a password alone is written redis://:PASSWORD@HOST",
		"rediss://geheim@h:7000/1":    "a password alone is written redis://:PASSWORD@HOST",
		"redis+cluster://geheim@h,i":  "a password alone is written redis://:PASSWORD@HOST",
		"redis://:ge#heim@h":          "# as %23",
		"redis://:ge/heim@h":          "/ as %2F",
		"redis://:ge?heim@h":          "? as %3F",
		"redis://:ge%heim@h":          "% as %25",
		"redis://:ge[heim@h":          "[ as %5B",
		`redis://:ge\heim@h`:          `\ as %5C`,
		"redis://:ge heim@h":          "a space as %20",
		"redis://:ge^heim@h":          "percent form",
		"redis://:gé-heim@h":          "percent form",
		"redis+cluster://:g@e,heim@h": "@ as %40",
		"unix://:ge#heim@/tmp/x":      "# as %23",
		"unix://tmp/x":                "a slash is missing",
		"unix://:geheim@tmp/x":        "a slash is missing",
		"unix://redis.sock":           "a slash is missing",
	} {
		if _, err := ParseURL(url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "heim") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, password := range map[string]string{
		"redis://:a@b:c+d&e=f$g@h": "a@b:c+d&e=f$g", "redis://:p%40%23%2F%3F%25%5B%5C%20@h": `p@#/?%[\ `, "redis://app:@h": "",
		"unix://:secret@/tmp/a@b.sock": "secret", "unix:///tmp/a@b.sock": "", "unix:///tmp/a@/b.sock": "", "redis+cluster://:a%40b@h,i": "a@b",
	} {
		if target, err := ParseURL(url); err != nil || target.Option.Password != password {
			t.Errorf("%s: password %q, %v", url, target.Option.Password, err)
		}
	}
}

// An error goes to a log or a screen: the password must not.
func TestURLErrorsSayWhatToWriteAndKeepThePassword(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://u:geheim@h", "redis://u:geheim@h:port", "redis://u:geheim@h/x", "redis://", "redis://u:geheim@",
		"redis://u:geheim@a:1,b:2", "redis+sentinel://u:geheim@h/mymaster", "redis-sentinel://u:geheim@h", "redis://u:geheim@h?master_set=m",
		"redis+cluster://u:geheim@h/1", "redis+cluster://", "redis+cluster://u:geheim@h,", "redis+cluster://u:geheim@h,u:geheim@i", "redis-cluster://u:geheim@h",
		"redis+cluster://u:geheim@h,i:x", "redis+cluster://u:geheim@h?cluster=1", "redis://u:geheim@h?addr=b", "redis://u:geheim@h?dial_timeout=1s", "redis://u:ge#heim@h", "unix://", "redis://u:geheim@h/-1",
		"redis://u:%zzgeheim@h", "redis://u:geheim @h",
	} {
		_, err := ParseURL(url)
		if err == nil {
			t.Errorf("%q was taken", url)
			continue
		}
		if !strings.Contains(err.Error(), "redis://[USER:PASSWORD@]HOST") || strings.Contains(err.Error(), "heim") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
