package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	testSecret = "0123456789abcdef0123456789abcdef"
	testKey    = "a-key-for-servers"
)

func TestConfigCheckReportsEverythingAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte("adr: localhost:1\nprefix: [a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := magpie(t, []string{"MAGPIE_LOG_LEVL=debug", "MAGPIE_REDIS=localhost:6379"}, "config", "check", "--config", file, "--opne", "--outbox", "big", "-addr", "x")
	if r.code != exitUsage || r.out != "" {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{
		"m.yaml:", "this is not YAML",
		"MAGPIE_LOG_LEVL: there is no such setting; did you mean MAGPIE_LOG_LEVEL?",
		"MAGPIE_REDIS: the Redis URL", "write redis://[USER:PASSWORD@]HOST",
		"--opne: there is no such flag; did you mean --open?",
		"-addr: there is no such flag; did you mean --addr?",
		`--outbox: "big" is not a size`,
	} {
		if !strings.Contains(r.errOut, want) {
			t.Errorf("it does not say %q:\n%s", want, r.errOut)
		}
	}
}

// What config check refuses, serve refuses too, with the same words; what it
// takes is fine.
func TestConfigCheckAndServeAgree(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--addr", "0.0.0.0:8080"}, "--open"},
		{[]string{"--addr", ":8080", "--api-key", testKey}, "--token-secret"},
		{[]string{"--redis", "http://localhost"}, "begins with none of redis://"},
		{[]string{"--redis", "redis://a,b"}, "its URL begins with redis+cluster:"},
		{[]string{"--redis", "redis://h?foo=1"}, `unknown parameter "foo"`},
		{[]string{"--redis", "redis-sentinel://h/m"}, "Redis Sentinel is not supported yet"},
		{[]string{"--api-key", "short"}, "needs 16"},
		{[]string{"--token-secret", "short"}, "needs 32"},
		{[]string{"--config", "missing.yaml"}, "no such file"},
	} {
		check := magpie(t, nil, append([]string{"config", "check"}, test.args...)...)
		serve := magpie(t, nil, append([]string{"serve"}, test.args...)...)
		alone := magpie(t, nil, test.args...)
		if check.code != exitUsage || !strings.Contains(check.errOut, test.want) {
			t.Errorf("%q: %+v", test.args, check)
		}
		if serve != check || alone != check {
			t.Errorf("%q: check, serve and magpie alone differ:\n%+v\n%+v\n%+v", test.args, check, serve, alone)
		}
	}
	for _, args := range [][]string{
		nil, {"--addr", "0.0.0.0:8080", "--open"}, {"--addr", ":80", "--token-secret", testSecret}, {"--redis", "redis://localhost:1"},
	} {
		if r := magpie(t, nil, append([]string{"config", "check"}, args...)...); r.code != exitOK || r.errOut != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

func TestConfigShowHidesSecrets(t *testing.T) {
	env := []string{"MAGPIE_API_KEY=hunter2-and-some-more", "MAGPIE_REDIS=redis://:hunter2@localhost"}
	r := magpie(t, env, "config", "show", "--prefix", "mine")
	if r.code != exitOK || strings.Contains(r.out+r.errOut, "hunter2") {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"prefix: mine # --prefix", "# MAGPIE_API_KEY", `addr: "localhost:8080" # default`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("it does not show %q:\n%s", want, r.out)
		}
	}
}

// A rule that never holds is allowed, but not in silence.
func TestRuleThatNeverHolds(t *testing.T) {
	rules := []string{`MAGPIE_RULES=[{match: "*"}, {match: "room:*"}]`}
	const want = `rule 2 (match "room:*") never holds`
	if r := magpie(t, rules, "config", "check"); r.code != exitOK || !strings.Contains(r.errOut, "warning: MAGPIE_RULES: "+want) {
		t.Errorf("%+v", r)
	}
	if r := magpie(t, rules, "doctor", "--addr", "127.0.0.1:0"); r.code != exitOK || !strings.Contains(r.out, "note  settings: MAGPIE_RULES: "+want) {
		t.Errorf("%+v", r)
	}
	p := start(t, rules, "serve", "--addr", "127.0.0.1:0", "--log-format", "json")
	p.err.wait(t, p.done, "never holds")
}

// docs/configuration.md is made, not written.
func TestReferencePageIsUpToDate(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if r := magpie(t, nil, "config", "doc"); r.out != string(page) {
		t.Error("docs/configuration.md is not what config doc prints; run make docs")
	}
}

func TestUsageProblemsHaveTheirExitCode(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"sevre"}, "did you mean magpie serve?"},
		{[]string{"config"}, "config check, show or doc"},
		{[]string{"config", "chek"}, "did you mean magpie config check?"},
		{[]string{"serve", "stray"}, `takes no "stray"`},
		{[]string{"pub"}, "magpie pub CHANNEL"},
		{[]string{"pub", "a b", "x"}, "channel name not allowed"},
		{[]string{"pub", "chat", "x", "--api-kee", "k"}, "did you mean --api-key?"},
		{[]string{"pub", "chat", "x", "--url", "localhost:8080"}, "write http://host:port"},
		{[]string{"sub"}, "magpie sub CHANNEL"},
		{[]string{"revoke"}, "one of --user"},
		{[]string{"revoke", "--user", "a", "--jti", "b"}, "one of --user"},
		{[]string{"revoke", "--user", "a", "--ttl", "0s"}, "for 1s to 366d"},
		{[]string{"revoke", "a"}, `takes no "a"`},
		{[]string{"sub", "a", "b", "--since", "e.1"}, "name only that one"},
		{[]string{"sub", "a", "--since", "1"}, "write EPOCH.OFFSET"},
	} {
		r := magpie(t, nil, test.args...)
		if r.code != exitUsage || !strings.Contains(r.errOut, test.want) || strings.Count(r.errOut, "\n") != 1 {
			t.Errorf("%q: %+v, want one line with %q", test.args, r, test.want)
		}
	}
	for _, args := range [][]string{{"publish"}, {"subscribe"}} {
		if r := magpie(t, nil, args...); !strings.Contains(r.errOut, "say w") {
			t.Errorf("%q is no other name of pub or sub: %+v", args, r)
		}
	}
	for _, args := range [][]string{{"version"}, {"--version"}, {"--help"}, {"-h"}, {"serve", "--help"}, {"config", "check", "-h"}, {"serve", "--node", "-h", "-h"}} {
		if r := magpie(t, nil, args...); r.code != exitOK || r.out == "" || r.errOut != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
