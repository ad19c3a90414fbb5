package script_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/parttest"
	"magpie/internal/engine/redis/script"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFcallRefusals(t *testing.T) {
	server := redistest.Start(t)
	env := parttest.Connect(t, server.URL, "node")
	env.MaxPayload = 10
	script.NewLibrary(env).Load(t.Context(), false)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"0", "chat", "x"}, "write FCALL"},
		{[]string{"1", "chat"}, "write FCALL"},
		{[]string{"1", "chat", "a", "b", "c"}, "write FCALL"},
		{[]string{"1", "", "x"}, "empty"},
		{[]string{"1", "a b", "x"}, "byte 2"},
		{[]string{"1", "a{b}", "x"}, "byte 2"},
		{[]string{"1", "a*", "x"}, "byte 2"},
		{[]string{"1", strings.Repeat("x", 256), "x"}, "255"},
		{[]string{"1", "a\xff", "x"}, "UTF-8"},
		{[]string{"1", "a\xc3", "x"}, "UTF-8"},
		{[]string{"1", "chat", strings.Repeat("x", 11)}, "11 bytes"},
	} {
		_, err := server.Try(append([]string{"FCALL", "magpie_publish"}, c.args...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
	for _, name := range []string{"chat", "a:b", "größe", "日本語", "-_:.,;=#$@/+~!", strings.Repeat("x", 255)} {
		if channel.Check(name) != nil {
			t.Fatalf("%q is no channel", name)
		}
		server.Do("FCALL", "magpie_publish", "1", name, "x")
	}
}

// The function follows the same rules, first match first, as the nodes do.
func TestFcallFollowsTheRules(t *testing.T) {
	server := redistest.Start(t)
	globs := []string{"a.b:?", "a%*-x", "ü?z", "n+*", "*[end", "?"}
	var list []channel.Rule
	for i, g := range globs {
		if channel.CheckGlob(g) != nil {
			continue
		}
		r := channel.Default(channel.Anyone)
		r.Match, r.Log = g, channel.Log{Size: i + 1, Age: time.Hour}
		list = append(list, r)
	}
	rules, err := channel.NewRules(list, channel.Default(channel.Anyone))
	if err != nil {
		t.Fatal(err)
	}
	env := parttest.Connect(t, server.URL, "node")
	env.Rules = rules
	script.NewLibrary(env).Load(t.Context(), false)
	for _, ch := range []string{"a.b:c", "a.b:ü", "aXb:c", "a.b:cc", "üöz", "üoz", "üz", "n+", "n+1", "nn", "x", "日", "xy", "a.b:"} {
		for range 12 {
			server.Do("FCALL", "magpie_publish", "1", ch, "x")
		}
		if got, want := server.Do("XLEN", env.Names.Of(ch).Log()), strconv.Itoa(min(12, rules.For(ch).Log.Size)); got != want {
			t.Errorf("%q: FCALL kept %s messages, the rule says %s", ch, got, want)
		}
	}
}

// A reply that has not the form that was read for is told, whatever was read
// of it.
func TestReplyOfAnotherForm(t *testing.T) {
	server := redistest.Start(t)
	env := parttest.Connect(t, server.URL, "node")
	reply := func(lua string, n int) script.Reply {
		c := env.Redis.Client()
		return script.ReplyOf(c.Do(t.Context(), c.B().Eval().Script(lua).Numkeys(0).Build()), n)
	}
	r := reply("return {'a', 1, {'x', 'y'}, '2'}", 4)
	if text, n, list, digits := r.Text(), r.Number(), r.List(), r.Number(); text != "a" || n != 1 || len(list) != 2 || digits != 2 || r.Err() != nil {
		t.Errorf("%q %d %v %d, %v", text, n, list, digits, r.Err())
	}
	for lua, read := range map[string]func(r *script.Reply){
		"return {'a'}":    func(r *script.Reply) { r.Number() },
		"return {-1}":     func(r *script.Reply) { r.Number() },
		"return {1}":      func(r *script.Reply) { r.List() },
		"return {'1'}":    func(r *script.Reply) { r.Number(); r.Number() },
		"return {{}}":     func(r *script.Reply) { r.Text() },
		"return {1, 2}":   func(r *script.Reply) {},
		"return 'a word'": func(r *script.Reply) {},
	} {
		r := reply(lua, 1)
		if read(&r); !errors.Is(r.Err(), script.ErrReply) || !errors.Is(r.Err(), engine.ErrUnavailable) {
			t.Errorf("%s: %v", lua, r.Err())
		}
	}
	if r := reply("return redis.error_reply('OOM no')", 1); r.Number() != 0 || r.Err() == nil || errors.Is(r.Err(), script.ErrReply) {
		t.Errorf("an error of Redis's own: %v", r.Err())
	}
}
