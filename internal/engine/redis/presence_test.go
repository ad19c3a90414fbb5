package redis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/test/kit/redistest"
)

func (n *node) join(ch string, sessions ...string) {
	n.sink.Listen(ch)
	var list []engine.Member
	for _, s := range sessions {
		list = append(list, engine.Member{Session: s, User: "u-" + s})
	}
	n.sink.SetMembers(ch, list...)
	for _, m := range list {
		n.Join(ch, m)
	}
}

// waitMembers returns how long it took until these are the members.
func (n *node) waitMembers(ch string, want ...string) time.Duration {
	n.t.Helper()
	slices.Sort(want)
	return eventually(n.t, "members "+strings.Join(want, " "), func() bool {
		list, err := n.Members(n.t.Context(), ch)
		var got []string
		for _, m := range list {
			got = append(got, m.Session)
		}
		slices.Sort(got)
		return err == nil && slices.Equal(got, want)
	})
}

// Fault G4: Redis loses its data; presence is rebuilt from the nodes.
func TestP4PresenceIsRebuilt(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.join("chat", "s1")
	b.join("chat", "s2")
	a.waitMembers("chat", "s1", "s2")
	server.Do("FLUSHALL")
	t.Logf("after FLUSHALL: %s", a.waitMembers("chat", "s1", "s2").Round(time.Millisecond))
	server.Kill()
	server.Restart()
	a.back()
	t.Logf("after a restart: %s", b.waitMembers("chat", "s1", "s2").Round(time.Millisecond))
}

// Redis goes back to a time when somebody who left was there: no ghost.
func TestP4NoGhostsFromAnOlderSnapshot(t *testing.T) {
	server := redistest.Start(t)
	n, reader := startNode(t, server, nil), startNode(t, server, nil)
	n.join("chat", "left", "stays")
	n.join("empty", "left")
	reader.waitMembers("chat", "left", "stays")
	reader.waitMembers("empty", "left")
	server.Save()
	n.sink.SetMembers("chat", engine.Member{Session: "stays"})
	n.sink.SetMembers("empty")
	n.Leave("chat", "left")
	n.Leave("empty", "left")
	reader.waitMembers("chat", "stays")
	reader.waitMembers("empty")
	server.Kill()
	server.Restart()
	n.back()
	reader.back()
	reader.waitMembers("chat", "stays")
	reader.waitMembers("empty")
}

// P4: a node that closes takes its members with it at once, without waiting for
// its lease to run out.
func TestP4AClosedNodeIsGoneAtOnce(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.join("chat", "s1")
	b.waitMembers("chat", "s1")
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Members(t.Context(), "chat"); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
