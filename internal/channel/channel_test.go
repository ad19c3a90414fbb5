package channel_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNames(t *testing.T) {
	for _, good := range []string{"chat", "a", "user#42,43", "$private:x", "news.sport/2026", "聊天", "Привет", "é", "e\u0301", "हिन्दी",
		"-_:.,;=#$@/+~!", strings.Repeat("a", channel.MaxName)} {
		if err := channel.Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	// The attack catalogue's rows: patterns, control characters, hash tags,
	// white space, invisible twins.
	for _, bad := range []string{"", strings.Repeat("a", channel.MaxName+1), "a b", "a\n", "a\r\nb", "a\x00", "*", "a?", "[a]", "{a}", "a\\", "a\"", "a'", "a%20",
		"\u200b", "a\u202eb", "\xff", "\ud7ff\xed\xa0\x80", " a", "a ", "😀", "a|b", "<a>", "(a)", "a&b", "a^"} {
		if err := channel.Check(bad); fault.KindOf(err) != fault.BadChannel {
			t.Errorf("%q: %v, want ErrName", bad, err)
		} else if len(bad) > 3 && len(bad) < 100 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error echoes the input: %v", err)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"chat", "chat", true}, {"chat", "chat2", false}, {"*", "anything", true}, {"news:*", "news:a:b", true}, {"news:*", "news", false},
		{"*:log", "a:log", true}, {"*:log", "a:log:b", false}, {"a*b*c", "aXXbYYc", true}, {"a*b*c", "aXXbYY", false}, {"?", "聊", true},
		{"?", "", false}, {"a?c", "abc", true}, {"**", "x", true}, {"*a*a*a*a*b", strings.Repeat("a", 200), false},
	} {
		if got := channel.Match(c.pattern, c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
	for _, bad := range []string{"", "a b", "[a]", "a\\*", strings.Repeat("*", 256), "\xff"} {
		if channel.CheckGlob(bad) == nil {
			t.Errorf("pattern %q passed", bad)
		}
	}
}

// The standard library's matcher agrees wherever both speak the same language.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if channel.CheckGlob(pattern) != nil || channel.Check(name) != nil || strings.Contains(name+pattern, "/") {
			return
		}
		want, err := path.Match(pattern, name)
		if err != nil {
			return
		}
		if got := channel.Match(pattern, name); got != want {
			t.Errorf("Match(%q, %q) = %v, path.Match says %v", pattern, name, got, want)
		}
	})
}

func TestTheFirstRuleThatMatchesHolds(t *testing.T) {
	rule := func(match string, size int) channel.Rule {
		r := channel.Default(channel.Users)
		r.Match, r.Log = match, channel.Log{Size: size, Age: time.Hour}
		return r
	}
	rules, err := channel.NewRules([]channel.Rule{rule("news:sport", 1), rule("news:*", 2)}, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"news:sport": 1, "news:world": 2, "chat": 1000} {
		if got := rules.For(name).Log.Size; got != want {
			t.Errorf("%s: log of %d, want %d", name, got, want)
		}
	}
	if who := rules.For("chat").Publish; who != channel.Anyone {
		t.Errorf("fallback lets %s publish", who)
	}
}

func TestBrokenRules(t *testing.T) {
	for what, change := range map[string]func(*channel.Rule){
		"match":                         func(r *channel.Rule) { r.Match = "a b" },
		"empty match":                   func(r *channel.Rule) { r.Match = "" },
		"size":                          func(r *channel.Rule) { r.Log.Size = -1 },
		"huge size":                     func(r *channel.Rule) { r.Log.Size = channel.MaxLog + 1 },
		"bytes":                         func(r *channel.Rule) { r.Log.Bytes = -1 },
		"huge bytes":                    func(r *channel.Rule) { r.Log.Bytes = channel.MaxLogBytes + 1 },
		"age":                           func(r *channel.Rule) { r.Log.Age = time.Millisecond },
		"subscribe":                     func(r *channel.Rule) { r.Subscribe = "everybody" },
		"publish":                       func(r *channel.Rule) { r.Publish = "everybody" },
		"history":                       func(r *channel.Rule) { r.History = "" },
		"members":                       func(r *channel.Rule) { r.Members = "admin" },
		"a way in for those who are in": func(r *channel.Rule) { r.Subscribe = channel.Subscribers },
	} {
		r := channel.Default(channel.Anyone)
		change(&r)
		if _, err := channel.NewRules([]channel.Rule{channel.Default(channel.Anyone), r}, channel.Default(channel.Anyone)); err == nil {
			t.Errorf("%s: passed", what)
		} else if !strings.Contains(err.Error(), "rule 2") {
			t.Errorf("%s: the error does not name the rule: %v", what, err)
		}
	}
}

// Without a log there is nothing to recover, whatever the rule says.
func TestRecoverNeedsALog(t *testing.T) {
	r := channel.Default(channel.Anyone)
	r.Match, r.Log = "x", channel.Log{}
	rules, err := channel.NewRules([]channel.Rule{r}, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	if rules.For("x").Recover || !rules.For("y").Recover || !r.Recover {
		t.Errorf("x: %t, y: %t", rules.For("x").Recover, rules.For("y").Recover)
	}
}

// Covers promises: what it says yes to holds for every name.
func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, other string
		want           bool
	}{
		{"*", "room:*", true}, {"*", "*", true}, {"room:*", "room:a", true}, {"room:*", "room:a*", true}, {"a?c", "abc", true},
		{"a?c", "a?c", true}, {"a*c", "a?b*c", true}, {"a?", "a*", false}, {"room:*", "*", false}, {"room:a*", "room:*", false},
		{"abc", "a?c", false}, {"*a", "*", false}, {"a", "b", false}, {"?", "ü", true},
	} {
		if got := channel.Covers(c.pattern, c.other); got != c.want {
			t.Errorf("Covers(%q, %q) = %t", c.pattern, c.other, got)
		}
	}
}

func FuzzCovers(f *testing.F) {
	f.Add("a*", "a?*", "abc")
	f.Add("?*", "*", "")
	f.Fuzz(func(t *testing.T, pattern, other, name string) {
		if channel.CheckGlob(pattern) != nil || channel.CheckGlob(other) != nil || channel.Check(name) != nil {
			return
		}
		if channel.Covers(pattern, other) && channel.Match(other, name) && !channel.Match(pattern, name) {
			t.Fatalf("%q covers %q, and %q matches the second alone", pattern, other, name)
		}
	})
}

// Attack row T12: the server can say what is open to those who show nothing.
func TestForGuests(t *testing.T) {
	for i := range 4 {
		open := channel.Default(channel.Users)
		open.Match = "open"
		*[]*channel.Allowed{&open.Subscribe, &open.Publish, &open.History, &open.Members}[i] = channel.Anyone
		for _, c := range []struct {
			fallback channel.Allowed
			want     []string
		}{{channel.Users, []string{"open"}}, {channel.Anyone, []string{"open", "*"}}} {
			rules, err := channel.NewRules([]channel.Rule{open}, channel.Default(c.fallback))
			if err != nil {
				t.Fatal(err)
			}
			if got := rules.ForGuests(); !slices.Equal(got, c.want) {
				t.Errorf("key %d, else %s: %q, want %q", i, c.fallback, got, c.want)
			}
		}
	}
}
