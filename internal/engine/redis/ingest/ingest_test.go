package ingest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/parttest"
	"magpie/internal/engine/redis/script"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ordersOf is the stream orders of which payloads up to most bytes are admitted.
func ordersOf(most int) *stream {
	admit := func(p engine.Publication) error {
		if len(p.Payload) > most {
			return errors.New("too big")
		}
		return nil
	}
	return &stream{Config: &Config{Env: script.Env{MaxPayload: most}, Admit: admit}, name: "orders"}
}

func TestItemOf(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   item
	}{
		{[]string{"channel", "chat", "payload", "x", "idempotency_key", "k"}, item{channel: "chat", payload: "x", key: "k"}},
		{[]string{"b", "1", "a", "\"2\"", "channel", "chat"}, item{channel: "chat", payload: `{"b":"1","a":"\"2\""}`}},
		{[]string{"payload", ""}, item{channel: "orders"}},
		{nil, item{channel: "orders", payload: "{}"}},
	} {
		if got := ordersOf(100).itemOf(entry{"1-0", c.fields}); got != c.want {
			t.Errorf("%q: got %+v", c.fields, got)
		}
	}
	if it := ordersOf(100).itemOf(entry{"1-0", []string{"payload", strings.Repeat("x", 101)}}); it.refused == "" || len(it.payload) != 100 {
		t.Errorf("too big: %+v", it)
	}
	if it := ordersOf(100).itemOf(entry{"1-0", []string{"channel", "a{b}"}}); it.refused == "" {
		t.Errorf("bad name: %+v", it)
	}
}

func FuzzItemOf(f *testing.F) {
	f.Add("channel", "chat", "payload", "x")
	f.Add("a", "\xff", "\x00", "}")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		it := ordersOf(1000).itemOf(entry{"1-0", []string{a, b, c, d}})
		if len(it.payload) > 1000 {
			t.Fatalf("%d bytes", len(it.payload))
		}
		if a != "payload" && c != "payload" && it.refused == "" && !json.Valid([]byte(it.payload)) {
			t.Fatalf("payload %q is not JSON", it.payload)
		}
	})
}

// The script alone: the oldest entry only, and only once.
func TestIngestScript(t *testing.T) {
	server := redistest.Start(t)
	s := ordersOf(100)
	s.Env = parttest.Connect(t, server.URL, "node")
	var ids []string
	for i := range 3 {
		ids = append(ids, server.Do("XADD", "orders", "*", "payload", strconv.Itoa(i)))
	}
	server.Do("XGROUP", "CREATE", "orders", "magpie", "0")
	server.Do("XREADGROUP", "GROUP", "magpie", "c", "STREAMS", "orders", ">")
	run := func(i int) int64 {
		t.Helper()
		e := entry{ids[i], []string{"payload", strconv.Itoa(i)}}
		call := func() (int64, error) {
			return s.Redis.Client().Do(t.Context(), s.commands([]entry{e}, []item{s.itemOf(e)})[0]).AsInt64()
		}
		code, err := call()
		if script.Missing(err) {
			if err := s.Scripts.Load(t.Context(), s.Scripts.Ingest); err != nil {
				t.Fatal(err)
			}
			code, err = call()
		}
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	for _, step := range []struct {
		entry int
		want  int64
	}{{1, 3}, {0, 1}, {0, 0}, {2, 3}, {1, 1}, {2, 1}, {2, 0}, {1, 0}} {
		if got := run(step.entry); got != step.want {
			t.Errorf("entry %d: %d, want %d", step.entry, got, step.want)
		}
	}
	if got := server.Do("XLEN", "magpie:{orders}:log"); got != "3" {
		t.Errorf("%s entries in the log", got)
	}
}

// A lease is given back by who holds it, and by nobody else.
func TestIngestLease(t *testing.T) {
	server := redistest.Start(t)
	base := parttest.Connect(t, server.URL, "node")
	call := func(s *script.Script, args ...string) int64 {
		t.Helper()
		n, err := s.Eval(t.Context(), base.Redis.Client(), []string{base.Names.Ingest("orders")}, args...).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	take, release := base.Scripts.IngestTake, base.Scripts.IngestRelease
	for i, step := range []struct {
		script *script.Script
		node   string
		want   int64
	}{{take, "a", 2}, {take, "b", 0}, {take, "a", 1}, {release, "b", 0}, {take, "b", 0}, {release, "a", 1}, {release, "a", 0}, {take, "b", 2}} {
		args := []string{step.node}
		if step.script == take {
			args = append(args, "60000")
		}
		if got := call(step.script, args...); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}

// Joining makes the group once, from the stream's first entry on, and forgets
// consumers that are gone, but none under whose name something waits.
func TestIngestJoin(t *testing.T) {
	server := redistest.Start(t)
	env := parttest.Connect(t, server.URL, "node")
	join := func(idle string) {
		t.Helper()
		if _, err := env.Scripts.Eval(t.Context(), env.Scripts.IngestJoin, []string{"orders"}, "magpie", "node", idle); err != nil {
			t.Fatal(err)
		}
	}
	join("60000")
	if got := server.Do("EXISTS", "orders"); got != "1" {
		t.Error("no stream was made")
	}
	server.Do("XADD", "orders", "*", "payload", "x")
	server.Do("XREADGROUP", "GROUP", "magpie", "busy", "STREAMS", "orders", ">")
	for _, name := range []string{"gone", "node"} {
		server.Do("XGROUP", "CREATECONSUMER", "orders", "magpie", name)
	}
	consumers := func() (names string) {
		for line := range strings.Lines(server.Do("XINFO", "CONSUMERS", "orders", "magpie")) {
			if line = strings.TrimSpace(line); line == "busy" || line == "gone" || line == "node" {
				names += line + " "
			}
		}
		return names
	}
	join("60000")
	if got := consumers(); got != "busy gone node " {
		t.Errorf("too early: %q are left", got)
	}
	join("-1")
	if got := consumers(); got != "busy node " {
		t.Errorf("%q are left", got)
	}
}
