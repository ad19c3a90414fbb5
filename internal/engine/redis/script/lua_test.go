package script

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/test/kit/redistest"
)

// inLua returns what the Redis Function thinks of a glob and a name: whether they
// match, and what is wrong with the name.
func inLua(t testing.TB) func(glob, name string) (matches bool, bad string, err error) {
	code, _, _ := strings.Cut(lua("function"), "redis.register_function")
	code = "local prefix, name, fixed, settings_key = '', '', nil, ''\n" + code +
		"\nreturn {matches(pieces_of(ARGV[1]), ARGV[2]) and 1 or 0, bad_name(ARGV[2]) or ''}"
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redistest.Start(t).Addr}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	script := rueidis.NewLuaScript(code)
	return func(glob, name string) (bool, string, error) {
		list, err := script.Exec(context.Background(), client, nil, []string{glob, name}).ToArray()
		if err != nil {
			return false, "", err
		}
		found, _ := list[0].AsInt64()
		bad, _ := list[1].ToString()
		return found == 1, bad, nil
	}
}

// N1, N2: the Redis Function and Go read names and globs alike. Beyond ASCII the
// function lets more characters pass: no channel in Go has such a name.
func FuzzNamesInLua(f *testing.F) {
	for _, x := range [][2]string{
		{"a*b?c", "axxbyc"}, {"*", ""}, {"**", "a"}, {"?", "é"}, {"??", "é"}, {"é*?", "éa"}, {"*:*:x", "a:b:x"}, {"*a*ab", "aaab"},
		{"news:*", "news:sport"}, {"-%", "-"}, {"*.", "a."}, {"$", "$"}, {"a", "a\xff"}, {"a", "\xed\xa0\x80"}, {"a", strings.Repeat("a", 256)}, {"a", "a b"}, {"*~", "~"},
	} {
		f.Add(x[0], x[1])
	}
	ask := inLua(f)
	f.Fuzz(func(t *testing.T, glob, name string) {
		if channel.CheckGlob(glob) != nil {
			glob = "*"
		}
		matches, bad, err := ask(glob, name)
		if err != nil {
			t.Fatal(err)
		}
		ascii := strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
		if good := channel.Check(name) == nil; good && bad != "" || ascii && good != (bad == "") {
			t.Errorf("%q: %q in Lua, %v in Go", name, bad, channel.Check(name))
		} else if good && matches != channel.Match(glob, name) {
			t.Errorf("%q of %q: %v in Lua", glob, name, matches)
		}
	})
}

// A name that was chosen for it does not stop Redis: with one pattern for the
// glob this took 255 over 8 steps, for which no client waits.
func TestStarsInLua(t *testing.T) {
	if matches, _, err := inLua(t)(strings.Repeat("*a", 8)+"*b", strings.Repeat("a", 255)); err != nil || matches {
		t.Errorf("%v, %v", matches, err)
	}
}
