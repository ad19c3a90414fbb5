package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/node"
	"magpie/internal/session"
	"magpie/test/kit/stack"
)

// recordingLink is a Link that takes everything and remembers the reasons for
// which it was closed.
type recordingLink struct{ reasons []fault.Reason }

func (l *recordingLink) TryWrite(b []byte) (int, error) { return len(b), nil }
func (l *recordingLink) Write([][]byte) error           { return nil }
func (l *recordingLink) CloseLink(r fault.Reason)       { l.reasons = append(l.reasons, r) }

// Every refusal of a publication has its fault; nothing refused gets in.
func TestPublishIsChecked(t *testing.T) {
	closed := channel.Default(channel.Anyone)
	closed.Match, closed.Publish = "closed", channel.Nobody
	users := channel.Default(channel.Anyone)
	users.Match, users.Publish = "users", channel.Users
	servers := channel.Default(channel.Anyone)
	servers.Match, servers.Publish = "servers", channel.Server
	n := stack.New(t, stack.Options{Rules: []channel.Rule{closed, users, servers}, Limits: node.Limits{Payload: 50, Outbox: 100, Subscriptions: 2}})
	guest, user, server := auth.Identity{Kind: auth.Guest}, auth.Identity{Kind: auth.User, User: "42"}, auth.Identity{Kind: auth.Server}
	for _, c := range []struct {
		who     auth.Identity
		channel string
		size    int
		kind    fault.Kind
	}{
		{guest, "chat", 50, ""}, {guest, "chat", 51, fault.TooBig}, {guest, "a b", 1, fault.BadChannel}, {guest, "", 1, fault.BadChannel},
		{guest, "closed", 1, fault.Forbidden}, {server, "closed", 1, fault.Forbidden},
		{guest, "users", 1, fault.TokenNeeded}, {user, "users", 1, ""}, {server, "users", 1, ""},
		{guest, "servers", 1, fault.Forbidden}, {user, "servers", 1, fault.Forbidden}, {server, "servers", 1, ""},
	} {
		_, err := n.Gate.Publish(t.Context(), node.CallerActor(c.who), engine.Publication{Channel: c.channel, Payload: make([]byte, c.size)})
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s to %q, %d bytes: %v, want %q", c.who.Kind, c.channel, c.size, err, c.kind)
		}
	}
	page, err := n.Gate.History(t.Context(), node.ServerActor, "users", engine.Query{Limit: engine.All})
	if err != nil || len(page.Messages) != 2 {
		t.Errorf("%d messages got in, %v", len(page.Messages), err)
	}
}

// A drain closes everybody with a reason to come back, in batches over time,
// and lets nobody in.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := stack.New(t, stack.Options{})
		var links []*recordingLink
		for range 1000 {
			l, s := new(recordingLink), new(session.Session)
			links = append(links, l)
			if err := n.Node.Open(s, l, auth.Identity{}, nil); err != nil {
				t.Fatal(err)
			}
			s.Attach()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := n.Node.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 8*time.Second {
			t.Errorf("drained 1000 sessions in %s", took)
		}
		for _, l := range links {
			if !slices.Equal(l.reasons, []fault.Reason{fault.ReasonShutdown}) {
				t.Fatalf("reasons %v", l.reasons)
			}
		}
		if err := n.Node.Open(new(session.Session), new(recordingLink), auth.Identity{}, nil); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("open while draining: %v", err)
		}
	})
}

// R7, L2: a user has so many sessions on a node and no more; nobody in particular
// is not limited, and neither are others.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	n := stack.New(t, stack.Options{Limits: node.Limits{Payload: 1, Outbox: 1, Subscriptions: 1, UserSessions: 2}})
	open := func(user string) (*session.Session, error) {
		s := new(session.Session)
		return s, n.Node.Open(s, new(recordingLink), auth.Identity{User: user}, nil)
	}
	admitted := func(user string) *session.Session {
		t.Helper()
		s, err := open(user)
		if err != nil {
			t.Fatalf("%q is refused: %v", user, err)
		}
		return s
	}
	refused := func(err error) {
		t.Helper()
		f := fault.Of(err)
		if err == nil || f.Kind != fault.TooMany || f.Setting != "max_user_sessions" || f.Wait == 0 || !strings.Contains(f.Message, "2 connections") {
			t.Fatalf("not refused: %v", err)
		}
	}
	first := admitted("a")
	admitted("a")
	_, err := open("a")
	refused(err)
	admitted("b")
	var late *session.Session
	for range 5 {
		late = admitted("")
	}
	refused(n.Node.Identify(late, auth.Identity{User: "a"}))
	if user := late.Who().User; user != "" {
		t.Errorf("who was refused is %q", user)
	}
	first.Close(fault.ReasonClient)
	if err := n.Node.Identify(late, auth.Identity{User: "a"}); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if err := n.Node.Identify(late, auth.Identity{User: "a", Info: []byte("1")}); err != nil {
		t.Errorf("the same user again: %v", err)
	}
	_, err = open("a")
	refused(err)
	if got := n.Node.Metrics.Refused.Value(); got != 3 {
		t.Errorf("%d refusals are counted", got)
	}
}

// EachOf finds exactly the open sessions of a user, whoever came, went or
// became somebody else.
func TestEachOfAUser(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := stack.New(t, stack.Options{})
		users := rapid.SampledFrom([]string{"", "a", "b"})
		all := map[*session.Session]string{}
		var list []*session.Session
		rt.Repeat(map[string]func(*rapid.T){
			"open": func(rt *rapid.T) {
				s, user := new(session.Session), users.Draw(rt, "user")
				if err := n.Node.Open(s, new(recordingLink), auth.Identity{User: user}, nil); err != nil {
					rt.Fatal(err)
				}
				all[s], list = user, append(list, s)
			},
			"identify": func(rt *rapid.T) {
				if len(list) > 0 {
					s, user := rapid.SampledFrom(list).Draw(rt, "session"), users.Draw(rt, "user")
					n.Node.Identify(s, auth.Identity{User: user})
					if _, open := all[s]; open {
						all[s] = user
					}
				}
			},
			"close": func(rt *rapid.T) {
				if len(list) > 0 {
					s := rapid.SampledFrom(list).Draw(rt, "session")
					s.Close(fault.ReasonClient)
					delete(all, s)
				}
			},
			"": func(rt *rapid.T) {
				for _, user := range []string{"a", "b", "c"} {
					got := map[*session.Session]bool{}
					n.Node.EachOf(user, func(s *session.Session) bool {
						if got[s] || all[s] != user {
							rt.Fatalf("%q: a session twice, or of %q", user, all[s])
						}
						got[s] = true
						return true
					})
					for s, u := range all {
						if u == user && !got[s] {
							rt.Fatalf("%q: a session is missing", user)
						}
					}
				}
				n.Node.EachOf("", func(*session.Session) bool { rt.Fatal("a session of nobody"); return false })
			},
		})
	})
}

// R4: what a token names is the server's word and no new name of the client's; what
// is refused is counted, and nothing of it reaches the engine. Presence leaves
// nothing there.
func TestNamesOfATokenAreNotCounted(t *testing.T) {
	n := stack.New(t, stack.Options{Limits: node.Limits{Payload: 1, Outbox: 1, Subscriptions: 1, NewChannels: 1, IdempotencyKeys: 4, IdempotencyWindow: time.Hour}})
	who := auth.Identity{Kind: auth.User, User: "ann", Channels: []string{"t1", "t2", "t3", "t4", "t5", "t6"}}
	a := node.CallerActor(who)
	for _, name := range who.Channels {
		if err := n.Gate.MaySubscribe(a, name, false); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9 {
		if err := n.Gate.MaySubscribe(a, fmt.Sprint("granted", i), true); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Gate.Presence(t.Context(), a, fmt.Sprint("presence", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(name, key string) error {
		_, err := n.Gate.Publish(t.Context(), a, engine.Publication{Channel: name, IdempotencyKey: key})
		return err
	}
	for i := range 4 { // of a bound of one: two at once, or four times the subscriptions
		if err := publish(fmt.Sprint("new", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish("another", ""); fault.Of(err).Setting != "max_new_channels" || n.Gate.Metrics.Unknown.Value() != 1 {
		t.Errorf("not refused or not counted: %v", err)
	}
	for range 2 {
		if err := publish("new1", "k"); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish("new1", "k"); fault.Of(err).Setting != "max_idempotency_keys" || n.Gate.Metrics.Keys.Value() != 1 {
		t.Errorf("not refused or not counted: %v", err)
	}
}
