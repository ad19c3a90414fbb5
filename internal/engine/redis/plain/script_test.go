package plain

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"magpie/internal/engine/redis/parttest"
	"magpie/internal/engine/redis/script"
	"magpie/test/kit/redistest"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// other is a node that calls the scripts for channel chat.
type other struct {
	script.Env
	t *testing.T
}

func (o other) append(token string, seq int, payload string) string {
	of := o.Names.Of("chat")
	return o.result(o.Scripts.Plain.Eval(o.t.Context(), o.Redis.Client(), []string{of.Log(), of.Meta(), of.Lease()},
		of.Live(), "x", "1000", "3600000", "0", payload, "other-87654321", token, strconv.Itoa(seq), "60000"))
}

func (o other) take(token, words string) string {
	of := o.Names.Of("chat")
	return o.result(o.Scripts.PlainTake.Eval(o.t.Context(), o.Redis.Client(), []string{of.Lease(), of.Meta()}, of.Live(), "other-87654321", token, "60000", words))
}

func (o other) release(node, mark string) int64 {
	of := o.Names.Of("chat")
	n, err := o.Scripts.PlainRelease.Eval(o.t.Context(), o.Redis.Client(), []string{of.Lease(), of.Meta()}, of.Live(), node, mark).AsInt64()
	if err != nil {
		o.t.Fatal(err)
	}
	return n
}

// result is the first two of what a script answered.
func (o other) result(reply rueidis.RedisResult) string {
	list, err := reply.ToArray()
	if err != nil {
		o.t.Fatal(err)
	}
	code, _ := list[0].AsInt64()
	what, err := list[1].ToString()
	if err != nil {
		n, _ := list[1].AsInt64()
		what = strconv.FormatInt(n, 10)
	}
	return fmt.Sprint(code, " ", what)
}

// The script alone: only the holder appends, in its own order, each entry
// once, whatever comes late or again.
func TestPlainScript(t *testing.T) {
	server := redistest.Start(t)
	o := other{parttest.Connect(t, server.URL, "node"), t}
	step := func(got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	step(o.append("a", 1, "x"), "0 0") // no lease
	step(o.take("a", ""), "1 ")
	step(o.append("b", 1, "x"), "0 0") // another tenure
	step(o.append("a", 2, "x"), "3 0") // not its turn
	step(o.append("a", 1, "0"), "1 1")
	step(o.append("a", 1, "0"), "2 1") // again
	step(o.append("a", 3, "x"), "3 1")
	server.Do("PEXPIRE", "magpie:{chat}:lease", "5000")
	step(o.append("a", 1, "0"), "2 1") // what did nothing renews nothing
	if ms, _ := strconv.Atoi(server.Do("PTTL", "magpie:{chat}:lease")); ms > 5000 {
		t.Errorf("the lease ends in %d ms", ms)
	}
	server.Do("DEL", "magpie:{chat}:lease")
	step(o.append("a", 2, "1"), "1 2") // ran out, and nobody came
	if got := server.Do("GET", "magpie:{chat}:lease"); got != "other-87654321 a" {
		t.Errorf("an append does not renew the lease: %q", got)
	}
	step(o.take("b", ""), "1 a 2")
	step(o.append("a", 3, "x"), "0 0") // late, of an older tenure
	step(o.append("b", 1, "2"), "1 3")
	server.Do("DEL", "magpie:{chat}:lease")
	step(o.append("a", 3, "x"), "0 0")
	server.Do("SET", "magpie:{chat}:lease", "somebody t")
	step(o.append("b", 2, "x"), "0 0")
	step(o.take("c", ""), "0 somebody t")
	if got := server.Do("XLEN", "magpie:{chat}:log"); got != "3" {
		t.Errorf("%s entries in the log", got)
	}
}

// A lease is given back by the node that holds it, and by no other: neither one
// of another name, nor one whose name the holder's begins with.
func TestPlainLeaseIsReleasedByItsHolder(t *testing.T) {
	server := redistest.Start(t)
	o := other{parttest.Connect(t, server.URL, "node"), t}
	if o.take("a", "") != "1 " {
		t.Fatal("not taken")
	}
	for _, node := range []string{"somebody", "oth", "other-87654321 a", ""} {
		if o.release(node, "0") != 0 {
			t.Errorf("%q gave back what other holds", node)
		}
	}
	if got := server.Do("GET", "magpie:{chat}:lease"); got != "other-87654321 a" {
		t.Errorf("the lease is %q", got)
	}
	if o.release("other-87654321", "0") != 1 || server.Do("EXISTS", "magpie:{chat}:lease") != "0" || o.release("other-87654321", "0") != 0 {
		t.Error("its holder could not give it back, once")
	}
}

// A tenure that ended badly: a node that has just come lets the one with the
// oldest entry go first; one that has listened all the time waits for nobody.
func TestPlainLeaseGoesToWhoReceivedMost(t *testing.T) {
	server := redistest.Start(t)
	o := other{parttest.Connect(t, server.URL, "node"), t}
	ended := func() {
		t.Helper()
		server.Do("DEL", "magpie:{chat}:lease")
		o.take("a", "")
		if got := o.append("a", 1, "0"); got[0] != '1' {
			t.Fatal(got)
		}
		server.Do("DEL", "magpie:{chat}:lease")
	}
	ended()
	if got := o.take("b", "young"); !strings.HasPrefix(got, "0 - ") {
		t.Errorf("a node that has just come got %q", got)
	}
	if ms, _ := strconv.Atoi(server.Do("PTTL", "magpie:{chat}:lease")); ms <= 0 || ms > 700 {
		t.Errorf("it is chosen for %d ms", ms)
	}
	if got := o.append("a", 2, "late"); got != "0 0" {
		t.Errorf("a late call of the tenure that ended: %q", got)
	}
	if got := o.take("c", ""); got[0] != '1' {
		t.Errorf("a node that has listened all the time got %q", got)
	}
	ended()
	server.Do("SET", "magpie:{chat}:lease", "- 1 other-87654321", "PX", "250")
	if got := o.take("d", "young"); got[0] != '1' {
		t.Errorf("the node with the oldest entry got %q", got)
	}
	server.Do("SET", "magpie:{chat}:lease", "- 1 somebody", "PX", "250")
	if got := o.take("e", "young"); got[0] != '0' {
		t.Errorf("another than the one with the oldest entry got %q", got)
	}
	// Long ago: nobody can have more.
	ended()
	server.Do("HSET", "magpie:{chat}:meta", "l", "1")
	if got := o.take("f", "young"); got[0] != '1' {
		t.Errorf("long after the last tenure: %q", got)
	}
}
