package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What somebody reads first fits a screen; all settings are in one place.
func TestHelp(t *testing.T) {
	const many = "--idempotency-window"
	for what, want := range map[string]struct {
		has, lacks []string
	}{
		"":             {[]string{"  serve ", "  pub ", "-h, --help ", "--redis URL", "magpie serve --help lists them all"}, []string{many, "  help "}},
		"serve":        {[]string{many, "--open", "Only that user and servers may publish there", "default localhost:8080)"}, []string{"lists them all"}},
		"config check": {[]string{"--config file", "magpie serve --help lists them all"}, []string{many, "--addr"}},
		"config show":  {[]string{"lists them all"}, []string{many}},
		"doctor":       {[]string{"lists them all"}, []string{many}},
		"token new":    {[]string{"--ttl duration", "default 1h)", "--token-issuer"}, []string{many, "--addr"}},
		"token check":  {[]string{"--token-jwks URL"}, []string{many}},
		"config":       {[]string{"magpie config COMMAND", "  check "}, nil},
		"pub":          {[]string{"publish is the same", "--token token"}, []string{many}},
		"bench":        {[]string{"-n, --connections int", "default 100)"}, nil},
	} {
		r := magpie(t, nil, append(strings.Fields(what), "--help")...)
		if r.code != exitOK || r.errOut != "" {
			t.Errorf("%q: %+v", what, r)
		}
		unfolded := strings.Join(strings.Fields(r.out), " ")
		for _, part := range want.has {
			if !strings.Contains(r.out, part) && !strings.Contains(unfolded, part) {
				t.Errorf("%q does not say %q:\n%s", what, part, r.out)
			}
		}
		for _, part := range append(want.lacks, "[=", "help for") {
			if strings.Contains(r.out, part) {
				t.Errorf("%q says %q:\n%s", what, part, r.out)
			}
		}
		_, flags, _ := strings.Cut(r.out, "Flags:")
		for line := range strings.Lines(flags) {
			if utf8.RuneCountInString(line) > helpWidth+1 {
				t.Errorf("%q: a line of %d characters: %s", what, len(line), line)
			}
		}
	}
}

// A flag that the short help leaves out is a flag all the same.
func TestFlagsThatHelpLeavesOutWork(t *testing.T) {
	for _, args := range [][]string{{"config", "check"}, {"config", "show"}, {"doctor", "--addr", "127.0.0.1:0"}, {"token", "new", "--token-secret", testSecret}} {
		if r := magpie(t, nil, append(args, "--idempotency-window", "1m")...); r.code != exitOK {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
