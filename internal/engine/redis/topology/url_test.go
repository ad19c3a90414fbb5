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
