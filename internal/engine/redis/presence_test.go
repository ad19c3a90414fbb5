package redis

import (
	"slices"
	"strconv"
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
	return eventually(n.t, "members "+strings.Join(want, " "), 10*time.Second, func() bool {
		list, err := n.Members(n.t.Context(), ch)
		var got []string
		for _, m := range list {
			got = append(got, m.Session)
		}
		slices.Sort(got)
		return err == nil && slices.Equal(got, want)
	})
}

// P4: members of a dead node are gone within the lease.
func TestP4PresenceAfterACrash(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.join("chat", "s1", "s2")
	b.join("chat", "s3")
	b.waitMembers("chat", "s1", "s2", "s3")
	a.crash()
	took := b.waitMembers("chat", "s3")
	if took > engine.LeaseTime+time.Second {
		t.Errorf("ghosts for %s", took)
	}
	t.Logf("gone after %s", took.Round(time.Millisecond))
	if got := server.Do("HLEN", "magpie:{chat}:presence"); got != "1" {
		t.Errorf("%s fields left", got)
	}
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
	n := startNode(t, server, nil)
	n.join("chat", "left", "stays")
	n.join("empty", "left")
	n.waitMembers("chat", "left", "stays")
	server.Save()
	n.sink.SetMembers("chat", engine.Member{Session: "stays"})
	n.sink.SetMembers("empty")
	n.Leave("chat", "left")
	n.Leave("empty", "left")
	n.waitMembers("chat", "stays")
	server.Kill()
	server.Restart()
	n.back()
	n.waitMembers("chat", "stays")
	n.waitMembers("empty")
}

// A node that was too slow to renew its lease is there again.
func TestP4LapsedLease(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.join("chat", "s1")
	b.waitMembers("chat", "s1")
	a.roster.beating.Lock() // no beat: as if the process was frozen
	t.Logf("gone after %s", b.waitMembers("chat").Round(time.Millisecond))
	a.roster.beating.Unlock()
	t.Logf("back after %s", b.waitMembers("chat", "s1").Round(time.Millisecond))
}

// Joins and leaves while Redis is away are not forgotten.
func TestP4ChangesDuringAnOutage(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.join("chat", "s1", "s2")
	n.waitMembers("chat", "s1", "s2")
	server.Freeze()
	eventually(t, "calls fail at once", 5*time.Second, func() bool { return n.gate("") != nil })
	n.sink.SetMembers("chat", engine.Member{Session: "s2"}, engine.Member{Session: "s3"})
	n.Join("chat", engine.Member{Session: "s3"})
	n.Leave("chat", "s1")
	eventually(t, "writing was tried", 5*time.Second, func() bool { return n.roster.failures.Load() > 0 })
	server.Thaw()
	n.back()
	n.waitMembers("chat", "s2", "s3")
}

// Many at once cost few round trips and all arrive.
func TestP4ManyMembers(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	var sessions []string
	for i := range 3000 {
		sessions = append(sessions, "s"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	n.join("chat", sessions...)
	t.Logf("3000 members after %s", n.waitMembers("chat", sessions...).Round(time.Millisecond))
	for _, s := range sessions {
		n.Leave("chat", s)
	}
	n.waitMembers("chat")
}

// P4: who comes and goes while Redis is away is kept up to a bound; past it
// presence is written anew and is right all the same.
func TestP4ChangesThatWaitAreBounded(t *testing.T) {
	server := redistest.Start(t)
	rewrites := make(chan struct{}, 10)
	a := startNode(t, server, func(c *Config) { c.Metrics.PresenceRewrites = func() { rewrites <- struct{}{} } })
	b := startNode(t, server, nil)
	a.join("chat", "s1", "gone")
	b.waitMembers("chat", "s1", "gone")
	server.Freeze()
	a.sink.SetMembers("chat", engine.Member{Session: "s1"}, engine.Member{Session: "s2"})
	a.Leave("chat", "gone")
	a.Join("chat", engine.Member{Session: "s2"})
	for i := range 2 * rosterMost {
		a.Leave("chat", strconv.Itoa(i))
	}
	a.roster.mu.Lock()
	waiting := 0
	for _, sessions := range a.roster.changes {
		waiting += len(sessions)
	}
	a.roster.mu.Unlock()
	server.Thaw()
	if waiting > rosterMost || len(rewrites) == 0 {
		t.Errorf("%d changes wait, presence was begun anew %d times", waiting, len(rewrites))
	}
	b.waitMembers("chat", "s1", "s2")
}
