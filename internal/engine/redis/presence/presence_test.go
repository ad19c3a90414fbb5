package presence

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/parttest"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var eventually = parttest.Eventually

// node is one node's presence alone.
type node struct {
	*Presence
	sink  *enginetest.Recorder
	t     testing.TB
	crash func() // ends it as a dead process ends
}

func startNode(t *testing.T, server *redistest.Server, name string, change func(*Config)) *node {
	t.Helper()
	sink := enginetest.NewRecorder()
	c := Config{Env: parttest.Connect(t, server.URL, name), Sink: sink, Rewritten: func() {}}
	if change != nil {
		change(&c)
	}
	n := &node{Presence: New(c), sink: sink, t: t}
	n.run()
	t.Cleanup(func() { n.crash() })
	return n
}

// run is what a process does until it crashes.
func (n *node) run() {
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	running.Go(func() { n.Renew(ctx) })
	n.crash = func() { end(); running.Wait() }
}

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

// P4: members of a dead node are gone with its lease, which lasts LeaseTime at most.
func TestP4PresenceAfterACrash(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, "a", nil), startNode(t, server, "b", nil)
	a.join("chat", "s1", "s2")
	b.join("chat", "s3")
	b.waitMembers("chat", "s1", "s2", "s3")
	a.crash()
	lease := a.Names.Node(a.idLocked())
	if left, _ := strconv.Atoi(server.Do("PTTL", lease)); int64(left) > engine.LeaseTime.Milliseconds() {
		t.Errorf("its lease lasts %d ms", left)
	}
	eventually(t, "the lease ends", func() bool { return server.Do("EXISTS", lease) == "0" })
	if list, err := b.Members(t.Context(), "chat"); err != nil || len(list) != 1 || list[0].Session != "s3" {
		t.Errorf("then there are %v, %v", list, err)
	}
	if got := server.Do("HLEN", "magpie:{chat}:presence"); got != "1" {
		t.Errorf("%s fields left", got)
	}
}

// A node that was too slow to renew its lease is there again.
func TestP4LapsedLease(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, "a", nil), startNode(t, server, "b", nil)
	a.join("chat", "s1")
	b.waitMembers("chat", "s1")
	a.crash() // as if the process was frozen
	t.Logf("gone after %s", b.waitMembers("chat").Round(time.Millisecond))
	a.run()
	t.Logf("back after %s", b.waitMembers("chat", "s1").Round(time.Millisecond))
}

// Joins and leaves while Redis is away are not forgotten.
func TestP4ChangesDuringAnOutage(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, "n", nil)
	reader := startNode(t, server, "reader", nil)
	n.join("chat", "s1", "s2")
	reader.waitMembers("chat", "s1", "s2")
	server.Freeze()
	eventually(t, "calls fail at once", func() bool { return n.Redis.Silence("") != nil })
	n.sink.SetMembers("chat", engine.Member{Session: "s2"}, engine.Member{Session: "s3"})
	n.Join("chat", engine.Member{Session: "s3"})
	n.Leave("chat", "s1")
	if err := n.flush(t.Context()); err == nil {
		t.Error("written to a frozen Redis")
	}
	server.Thaw()
	reader.waitMembers("chat", "s2", "s3")
}

// Many at once cost few round trips and all arrive.
func TestP4ManyMembers(t *testing.T) {
	server := redistest.Start(t)
	n, reader := startNode(t, server, "n", nil), startNode(t, server, "reader", nil)
	var sessions []string
	for i := range 3000 {
		sessions = append(sessions, "s"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	n.join("chat", sessions...)
	t.Logf("3000 members after %s", reader.waitMembers("chat", sessions...).Round(time.Millisecond))
	n.sink.SetMembers("chat")
	for _, s := range sessions {
		n.Leave("chat", s)
	}
	reader.waitMembers("chat")
}

// P4: who comes and goes while Redis is away is kept up to a bound; past it
// presence is written anew and is right all the same.
func TestP4ChangesThatWaitAreBounded(t *testing.T) {
	server := redistest.Start(t)
	var rewrites atomic.Int64
	a := startNode(t, server, "a", func(c *Config) { c.Rewritten = func() { rewrites.Add(1) } })
	b := startNode(t, server, "b", nil)
	a.join("chat", "s1", "gone")
	b.waitMembers("chat", "s1", "gone")
	server.Freeze()
	a.sink.SetMembers("chat", engine.Member{Session: "s1"}, engine.Member{Session: "s2"})
	a.Leave("chat", "gone")
	a.Join("chat", engine.Member{Session: "s2"})
	for i := range 2 * mostChanges {
		a.Leave("chat", strconv.Itoa(i))
	}
	a.mu.Lock()
	waiting := 0
	for _, sessions := range a.changes {
		waiting += len(sessions)
	}
	a.mu.Unlock()
	server.Thaw()
	if waiting > mostChanges || rewrites.Load() == 0 {
		t.Errorf("%d changes wait, presence was begun anew %d times", waiting, rewrites.Load())
	}
	b.waitMembers("chat", "s1", "s2")
}

// A node that ends is gone at once, and no renewal that was on its way brings
// it back.
func TestP4NoRenewalAfterTheEnd(t *testing.T) {
	server := redistest.Start(t)
	for range 20 {
		p := still(t, server)
		started := make(chan struct{})
		var renewing sync.WaitGroup
		renewing.Go(func() {
			for n := 0; ; n++ {
				if _, _, err := p.renew(t.Context()); err != nil {
					return
				}
				if n == 0 {
					close(started)
				}
			}
		})
		<-started
		p.End(t.Context())
		if got := server.Do("EXISTS", "magpie:{}:node:still.0"); got != "0" {
			t.Fatal("the lease is there after the end")
		}
		renewing.Wait()
		if _, _, err := p.renew(t.Context()); err == nil {
			t.Error("renewed after the end")
		}
		if got := server.Do("EXISTS", "magpie:{}:node:still.0"); got != "0" {
			t.Fatal("the lease is back")
		}
	}
}

// still is a presence that writes only when the test calls flush.
func still(t *testing.T, server *redistest.Server) *Presence {
	return New(Config{Env: parttest.Connect(t, server.URL, "still"), Sink: enginetest.NewRecorder(), Rewritten: func() {}})
}

// What could not be written is written later, unless something newer has come.
func TestP4WhatCouldNotBeWrittenIsKept(t *testing.T) {
	server := redistest.Start(t)
	p := still(t, server)
	p.Join("chat", engine.Member{Session: "stays"})
	p.Join("chat", engine.Member{Session: "leaves"})
	p.Rewrite()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.flush(over); err == nil {
		t.Fatal("written without time")
	}
	old := changes{"chat": {"leaves": &engine.Member{Session: "leaves"}}}
	p.Leave("chat", "leaves")
	p.takeBackLocked(false, nil, old)
	if p.changes["chat"]["leaves"] != nil || p.changes["chat"]["stays"] == nil || !p.all || len(p.old) != 1 {
		t.Errorf("%v, all %v, old %v", p.changes["chat"], p.all, p.old)
	}
	if err := p.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := server.Do("HKEYS", "magpie:{chat}:presence"); got != "still.1/stays" {
		t.Errorf("fields %q", got)
	}
}

// When all is written anew the new lease is there as early as the fields, else
// readers would remove them; and the old lease is gone, so that what was
// written under it counts no more.
func TestP4RewritingChangesTheLease(t *testing.T) {
	server := redistest.Start(t)
	p := still(t, server)
	if _, _, err := p.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Rewrite()
	if err := p.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.Do("EXISTS", "magpie:{}:node:still.0") != "0" || server.Do("EXISTS", "magpie:{}:node:still.1") != "1" {
		t.Errorf("leases: %q", server.Do("KEYS", "magpie:{}:node:*"))
	}
}

// A lease that is there is not written anew: only who lost it must.
func TestP4RenewingRewritesNothing(t *testing.T) {
	server := redistest.Start(t)
	var rewrites atomic.Int64
	n := startNode(t, server, "n", func(c *Config) { c.Rewritten = func() { rewrites.Add(1) } })
	n.join("chat", "s1")
	eventually(t, "the lease is there", func() bool { return server.Do("EXISTS", "magpie:{}:node:n.0") == "1" })
	if rewrites.Load() != 0 {
		t.Errorf("%d rewrites", rewrites.Load())
	}
	server.Do("DEL", "magpie:{}:node:n.0")
	eventually(t, "the loss is noticed", func() bool { return rewrites.Load() == 1 })
	eventually(t, "the next lease is there", func() bool { return server.Do("EXISTS", "magpie:{}:node:n.1") == "1" })
	ttl := func() int {
		ms, _ := strconv.Atoi(server.Do("PTTL", "magpie:{}:node:n.1"))
		return ms
	}
	server.Do("PEXPIRE", "magpie:{}:node:n.1", "3000")
	eventually(t, "the next lease is renewed", func() bool { return ttl() > 3000 })
	if rewrites.Load() != 1 {
		t.Errorf("%d rewrites for one loss", rewrites.Load())
	}
}

// End waits for the renewal that is on its way: else that could bring the
// lease back.
func TestP4TheEndWaitsForARenewal(t *testing.T) {
	server := redistest.Start(t)
	p := still(t, server)
	if _, _, err := p.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	renewal := make(chan struct{})
	p.mu.Lock()
	p.renewal = renewal
	p.mu.Unlock()
	var ending sync.WaitGroup
	ending.Go(func() { p.End(t.Context()) })
	eventually(t, "the end has begun", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.ended
	})
	for range 20 {
		if server.Do("EXISTS", "magpie:{}:node:still.0") != "1" {
			t.Fatal("the lease was ended during a renewal")
		}
	}
	close(renewal)
	ending.Wait()
	if server.Do("EXISTS", "magpie:{}:node:still.0") != "0" {
		t.Error("the lease is there after the end")
	}
}

// A presence hash that somebody deleted is written anew, by every node that had
// members there, also when another has written before it.
func TestPresenceThatWasDeletedComesBack(t *testing.T) {
	server := redistest.Start(t)
	a, b, reader := startNode(t, server, "a", nil), startNode(t, server, "b", nil), startNode(t, server, "reader", nil)
	a.join("chat", "s1", "s2")
	b.join("chat", "s3")
	reader.waitMembers("chat", "s1", "s2", "s3")
	server.Do("DEL", "magpie:{chat}:presence")
	b.join("chat", "s3")
	took := reader.waitMembers("chat", "s1", "s2", "s3")
	t.Logf("back after %s", took.Round(time.Millisecond))
	if ttl := server.Do("PTTL", "magpie:{chat}:presence"); ttl == "-1" {
		t.Error("it has no end")
	}
}

// Whoever waits to be told waits for what could not be written yet, and for no
// longer than asked.
func TestD13ToldWaitsForTheWrite(t *testing.T) {
	server := redistest.Start(t)
	p := still(t, server)
	p.Join("chat", engine.Member{Session: "s1"})
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Told(short, slices.Values([]string{"chat"})); err == nil {
		t.Fatal("told before it was written")
	}
	if err := p.Told(t.Context(), slices.Values([]string{"other"})); err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	told := make(chan error, 1)
	go func() { told <- p.Told(t.Context(), slices.Values([]string{"chat"})) }()
	if err := p.flush(over); err == nil {
		t.Fatal("written without time")
	}
	select {
	case <-told:
		t.Fatal("told although the write failed")
	default:
	}
	if err := p.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
}

// Fault B21: Redis's clock is set by an hour, and leases end at once or an hour
// later. Nobody vanishes, and a node that dies then is gone as soon as ever.
func TestB21AClockThatIsSet(t *testing.T) {
	for way, ahead := range map[string][2]time.Duration{"forward": {0, time.Hour}, "back": {time.Hour, 0}} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			server := redistest.StartClocked(t)
			server.SetClock(ahead[0])
			a, b := startNode(t, server, "a", nil), startNode(t, server, "b", nil)
			a.join("chat", "s1")
			b.join("chat", "s2")
			b.waitMembers("chat", "s1", "s2")
			server.SetClock(ahead[1])
			answers := 0
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); answers++ {
				list, err := b.Members(t.Context(), "chat")
				if err != nil || len(list) != 2 {
					t.Fatalf("answer %d: %v %v", answers, list, err)
				}
			}
			if answers < 100 {
				t.Errorf("only %d answers", answers)
			}
			a.crash()
			if took := b.waitMembers("chat", "s2"); took > engine.LeaseTime+time.Second {
				t.Errorf("ghosts for %s", took)
			}
		})
	}
}

// B21: a clock that was set is told from an answer that was long on its way.
func TestAClockThatWasSet(t *testing.T) {
	const second = time.Second
	for name, x := range map[string]struct {
		told, asked, answered time.Duration // of the second look, after one at 10 s that told 1000 s at once
		set                   bool
	}{
		"as before":             {1005 * second, 15 * second, 15 * second, false},
		"a slow answer":         {1005 * second, 15 * second, 35 * second, false},
		"a slow question":       {1034 * second, 15 * second, 45 * second, false},
		"a little ahead":        {1005*second + step/2, 15 * second, 15 * second, false},
		"set forward":           {1105 * second, 15 * second, 15 * second, true},
		"set back":              {905 * second, 15 * second, 15 * second, true},
		"set forward, slow":     {1105 * second, 15 * second, 35 * second, true},
		"slow, set back by 2 s": {1003*second - 1, 15 * second, 15 * second, true},
	} {
		var k masterClock
		if k.look(1000*second, start.Add(10*second), start.Add(10*second)) {
			t.Errorf("%s: the first look finds a step", name)
		}
		if got := k.look(x.told, start.Add(x.asked), start.Add(x.answered)); got != x.set {
			t.Errorf("%s: set is %v", name, got)
		}
		at := x.answered + grace + second
		if k.look(x.told+at-x.answered, start.Add(at), start.Add(at)) {
			t.Errorf("%s: it is still said after %s", name, grace)
		}
	}
}
