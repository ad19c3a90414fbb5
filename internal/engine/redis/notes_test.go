package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/test/kit/redistest"
)

// note is a note that ends in an hour.
func note(text string) engine.Note {
	return engine.Note{Text: text, Ends: time.Now().Add(time.Hour).Unix()}
}

func (n *node) keep(texts ...string) error {
	var list []engine.Note
	for _, text := range texts {
		list = append(list, note(text))
	}
	return n.Keep(n.t.Context(), list)
}

func (n *node) waitNotes(what string, want ...string) {
	n.t.Helper()
	eventually(n.t, what, func() bool {
		var got []string
		for _, note := range n.sink.Notes() {
			got = append(got, note.Text)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// What one node was told all nodes know, also when Redis has lost its data, was
// away, or went on with older data; and so do nodes that start after that.
func TestNotesArePutBack(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	if err := a.keep("one"); err != nil {
		t.Fatal(err)
	}
	b.waitNotes("the other node knows", "one")
	for i, lose := range []func(){
		func() { server.Do("FLUSHALL") },
		func() { server.Kill(); server.Restart() },
		func() {
			// Older data with the clock far ahead: new places come before those that were read.
			server.Do("EVAL", "redis.call('FLUSHALL') redis.call('ZADD', KEYS[1], 9e9, 'old') redis.call('ZADD', KEYS[2], 1, 'old')", "2", "magpie:{}:notes", "magpie:{}:notes-order")
		},
	} {
		lose()
		eventually(t, fmt.Sprintf("loss %d: the note is back", i), func() bool {
			return server.Do("ZSCORE", "magpie:{}:notes", "one") != ""
		})
	}
	for _, n := range []*node{a, b, startNode(t, server, nil)} {
		n.waitNotes("all notes, also what Redis had", "old", "one")
	}
}

// Notes that ended make room, and there are only so many. Putting back what is
// there takes none.
func TestNotesAreBounded(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	ends := time.Now().Add(time.Hour).Unix()
	const part = 1000 // a script that is short everywhere
	for from := 1; from < engine.MaxNotes; from += part {
		server.Do("EVAL", "for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do redis.call('ZADD', KEYS[1], ARGV[1], 'n' .. i) redis.call('ZADD', KEYS[2], i, 'n' .. i) end",
			"2", "magpie:{}:notes", "magpie:{}:notes-order", fmt.Sprint(ends), fmt.Sprint(from), fmt.Sprint(min(from+part, engine.MaxNotes)-1))
	}
	if err := n.keep("last"); err != nil {
		t.Fatal(err)
	}
	if err := n.keep("one too many"); !errors.Is(err, engine.ErrManyNotes) {
		t.Errorf("one too many: %v", err)
	}
	if err := n.keep("last", "n1"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	server.Do("ZADD", "magpie:{}:notes", "1", "n1")
	if err := n.keep("in its place"); err != nil {
		t.Errorf("when one has ended: %v", err)
	}
	if got := server.Do("ZSCORE", "magpie:{}:notes-order", "n1"); got != "" {
		t.Errorf("what has ended is still there: %q", got)
	}
}

// The last end of one text holds, on all nodes; a node that puts back what it
// knows does not change it.
func TestTheLastEndHolds(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	n := note("one")
	for _, end := range []int64{n.Ends, n.Ends + 10, n.Ends - 10} {
		if err := a.Keep(t.Context(), []engine.Note{{Text: "one", Ends: end}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the last end", func() bool {
			all := b.sink.Notes()
			return len(all) == 1 && all[0].Ends == end
		})
	}
	if err := a.notes.keep(t.Context(), []engine.Note{n}, "add"); err != nil {
		t.Fatal(err)
	}
	if got := server.Do("ZSCORE", "magpie:{}:notes", "one"); got != fmt.Sprint(n.Ends-10) {
		t.Errorf("it ends at %s", got)
	}
}

// A node that was cut off puts back what is gone, and not what was ended
// meanwhile.
func TestWhatWasEndedIsNotPutBack(t *testing.T) {
	server := redistest.Start(t)
	stale := []engine.Note{note("one"), note("gone")}
	e := newEngine(t, server, nil)
	as := enginetest.NewRecorder().Node()
	as.Notes = func() []engine.Note { return stale }
	if err := e.Start(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	ended := time.Now().Add(-time.Minute).Unix()
	for _, n := range []engine.Note{{Text: "one", Ends: ended}, note("another")} {
		if err := e.Keep(t.Context(), []engine.Note{n}); err != nil {
			t.Fatal(err)
		}
	}
	e.notes.check()
	eventually(t, "what is gone is back", func() bool { return server.Do("ZSCORE", "magpie:{}:notes", "gone") != "" })
	if got := server.Do("ZSCORE", "magpie:{}:notes", "one"); got != fmt.Sprint(ended) {
		t.Errorf("what was ended ends at %q", got)
	}
}
