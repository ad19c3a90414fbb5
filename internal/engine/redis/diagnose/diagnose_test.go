package diagnose

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"magpie/test/kit/redistest"
)

func diagnose(t *testing.T, url string) []Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return Look(ctx, Subject{URL: url, Prefix: "magpie", Streams: true})
}

func expectFinding(t *testing.T, all []Finding, l Level, part string) {
	t.Helper()
	for _, f := range all {
		if f.Level == l && strings.Contains(f.Text, part) {
			return
		}
	}
	t.Errorf("no finding of level %d with %q in %v", l, part, all)
}

func worst(all []Finding) Level {
	w := Fine
	for _, f := range all {
		w = max(w, f.Level)
	}
	return w
}

func TestDiagnoseAHealthyRedis(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes")
	all := diagnose(t, s.URL)
	if worst(all) == Wrong {
		t.Errorf("%v", all)
	}
	expectFinding(t, all, Fine, "version 7.")
	expectFinding(t, all, Fine, "noeviction")
	expectFinding(t, all, Fine, "append-only")
	expectFinding(t, all, Fine, "FCALL")
	if keys := s.Do("DBSIZE"); keys != "0" {
		t.Errorf("the diagnosis left %s keys", keys)
	}
}

func TestDiagnoseWhatIsWrong(t *testing.T) {
	main := redistest.Start(t)
	host, port, _ := strings.Cut(main.Addr, ":")
	for _, test := range []struct {
		args  []string
		level Level
		want  string
	}{
		{[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, Wrong, "CONFIG SET maxmemory-policy noeviction"},
		{[]string{"--maxmemory-policy", "volatile-lru"}, Notable, "before you set a maxmemory"},
		{[]string{"--requirepass", "hunter2"}, Wrong, "wants another user or password"},
		{[]string{"--replicaof", host, port}, Wrong, "name its primary (" + main.Addr + ")"},
		{[]string{"--save", ""}, Notable, "CONFIG SET appendonly yes"},
		{[]string{"--save", "3600 1"}, Notable, "only writes snapshots"},
		{[]string{"--rename-command", "FUNCTION", ""}, Notable, "FCALL cannot publish"},
		{[]string{"--rename-command", "CONFIG", ""}, Notable, "whether it saves snapshots cannot be seen"},
	} {
		s := redistest.Start(t, test.args...)
		expectFinding(t, diagnose(t, s.URL), test.level, test.want)
	}
	expectFinding(t, diagnose(t, main.URL+"/99"), Wrong, "it has no database 99")
}

func TestDiagnoseNobodyThere(t *testing.T) {
	for url, want := range map[string]string{
		"redis://:hunter2@127.0.0.1:1":    "127.0.0.1:1 cannot be reached",
		"unix:///nowhere/redis.sock":      "/nowhere/redis.sock cannot be reached",
		"redis://u:hunter2@h/?cluster=1":  "redis+cluster://",
		"http://hunter2@127.0.0.1":        "redis://",
		"redis://:hunter2@no.invalid:123": "no.invalid:123 cannot be reached",
	} {
		all := diagnose(t, url)
		expectFinding(t, all, Wrong, want)
		for _, f := range all {
			if strings.Contains(f.Text, "hunter2") {
				t.Errorf("%s: the password is in %q", url, f.Text)
			}
		}
	}
}

// R4, R6: how many keys there are, of which kind, and which logs are large; those of
// other programs, and of other Magpies, are not counted.
func TestDiagnoseCountsKeys(t *testing.T) {
	s := redistest.Start(t)
	for i := range 5 {
		s.Do("XADD", fmt.Sprintf("magpie:{room%d}:log", i), "1-0", "d", strings.Repeat("x", 10_000*(i+1)))
	}
	for _, key := range []string{"magpie:{room1}:meta", "magpie:{room1}:presence", "magpie:{room1}:idem:log", "magpie:{room1}:idem-of:6:user:a:k", "magpie:{}:life",
		"magpie:rejected", "magpie:mine", "magpies", "other:{room1}:log", "magpie2:{room1}:log"} {
		s.Do("SET", key, "1")
	}
	all := diagnose(t, s.URL)
	expectFinding(t, all, Fine, "11 keys of it are Magpie's: 5 logs, 1 of presence, 2 idempotency keys, 3 others; the largest logs: room4 (")
	expectFinding(t, all, Fine, " KB), room3 (")
}
