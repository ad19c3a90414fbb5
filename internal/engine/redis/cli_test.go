package redis

import "testing"

func TestCLIReachesTheSameDatabase(t *testing.T) {
	for url, want := range map[string]string{
		"redis://localhost":                        "redis-cli",
		"redis://127.0.0.1:6379/3":                 "redis-cli -n 3",
		"redis://:hunter2@localhost:6380":          "redis-cli -p 6380 --askpass",
		"rediss://app:hunter2@r.example/0":         "redis-cli -h r.example --tls --user app --askpass",
		"unix:///run/redis.sock":                   "redis-cli -s /run/redis.sock",
		"unix:///run/redis.sock?db=2":              "redis-cli -s /run/redis.sock -n 2",
		"redis://[::1]:7000":                       "redis-cli -h ::1 -p 7000",
		"redis+cluster://:hunter2@10.0.0.1:7000,h": "redis-cli -h 10.0.0.1 -p 7000 -c --askpass",
		"broken": "redis-cli",
	} {
		if got := CLI(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

// Where a page needs a token anyone can still read it: it names no host then.
func TestPageCLINamesTheHostInOpenModeOnly(t *testing.T) {
	const url = "redis://app:hunter2@redis:6380/3"
	if got := PageCLI(url, true); got != "redis-cli -h redis -p 6380 -n 3" {
		t.Error(got)
	}
	if got := PageCLI(url, false); got != "redis-cli -n 3" {
		t.Error(got)
	}
}
