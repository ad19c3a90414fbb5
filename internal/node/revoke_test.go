package node_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/node"
	"magpie/internal/session"
)

// holder is who shows a token that was issued at a time and has this jti.
func holder(user string, issued int64, id string) auth.Identity {
	sum := [16]byte{}
	copy(sum[:], user+id)
	return auth.Identity{Kind: auth.User, User: user, Proof: &auth.Proof{Issued: issued, ID: id, Sum: sum}}
}

func (m *member) openAs(who auth.Identity) (*client, error) {
	c := &client{}
	err := m.node.Open(&c.Session, c, who, nil)
	c.key = "secret of " + c.ID()
	return c, err
}

// Y6: a token that is revoked is good on no node when the call returns: its
// sessions are closed, it opens none, and no session becomes its.
func TestRevokedTokensAreGoodNowhere(t *testing.T) {
	now := time.Now().Unix()
	one, two, newer, other := holder("42", now-10, "one"), holder("42", now-10, "two"), holder("42", now+10, "new"), holder("43", now-10, "three")
	for what, c := range map[string]struct {
		how       func(sessions map[string]*client) node.Revocation
		gone, not []auth.Identity
	}{
		"user":    {func(map[string]*client) node.Revocation { return node.Revocation{User: "42"} }, []auth.Identity{one, two}, []auth.Identity{newer, other}},
		"jti":     {func(map[string]*client) node.Revocation { return node.Revocation{ID: "one"} }, []auth.Identity{one}, []auth.Identity{two, newer, other}},
		"client":  {func(s map[string]*client) node.Revocation { return node.Revocation{Client: s["one"].ID()} }, []auth.Identity{one}, []auth.Identity{two, newer, other}},
		"session": {func(s map[string]*client) node.Revocation { return node.Revocation{Session: s["one"].key} }, []auth.Identity{one}, []auth.Identity{two, newer, other}},
	} {
		t.Run(what, func(t *testing.T) {
			_, n := cluster(t, "a", "b")
			sessions := map[string]*client{}
			for i, who := range []auth.Identity{one, two, newer, other} {
				var err error
				if sessions[who.Proof.ID], err = n[i%2].openAs(who); err != nil {
					t.Fatal(err)
				}
			}
			if err := n[1].Revoke(t.Context(), c.how(sessions), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			check := func(all []auth.Identity, reason fault.Reason, kind fault.Kind) {
				t.Helper()
				for _, who := range all {
					if r := sessions[who.Proof.ID].Reason(); r != reason {
						t.Errorf("%s: its session ended with %q", who.Proof.ID, r)
					}
					for _, m := range n {
						if _, err := m.openAs(who); fault.KindOf(err) != kind {
							t.Errorf("%s opens a session: %v", who.Proof.ID, err)
						}
						late := m.open("")
						if err := m.node.Identify(&late.Session, who); fault.KindOf(err) != kind {
							t.Errorf("%s: a session becomes its: %v", who.Proof.ID, err)
						}
					}
				}
			}
			check(c.gone, fault.ReasonRevoked, fault.Revoked)
			check(c.not, "", "")
		})
	}
}

// Y6: who is disconnected and kept away gets in nowhere, whatever the token, and
// is told what the server says. With a session's name it is that session's token.
func TestWhoIsKeptAwayGetsInNowhere(t *testing.T) {
	_, n := cluster(t, "a", "b")
	one, two := holder("42", 1, "one"), holder("42", 1, "two")
	a, _ := n[0].openAs(one)
	b, _ := n[1].openAs(two)
	order := node.Order{Action: node.Disconnect, Code: 4321, Reason: "go"}
	order.Client = b.ID()
	if err := n[0].KeepAway(t.Context(), order, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.all(), ","); got != "disconnect 4321 go" || a.Reason() != "" {
		t.Errorf("the client was told %q, the user's other session ended with %q", got, a.Reason())
	}
	if _, err := n[0].openAs(two); fault.KindOf(err) != fault.Revoked {
		t.Errorf("the client's token: %v", err)
	}
	order.Client, order.User = "", "42"
	if err := n[1].KeepAway(t.Context(), order, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(a.all(), ","); got != "disconnect 4321 go" {
		t.Errorf("the user was told %q", got)
	}
	for _, m := range n {
		if _, err := m.openAs(holder("42", time.Now().Unix()+10, "new")); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("the user gets in: %v", err)
		}
		if _, err := m.openAs(holder("43", 1, "three")); err != nil {
			t.Errorf("another user: %v", err)
		}
	}
}

// A session without a token has nothing that could be revoked.
func TestWhatCannotBeNamedIsSaid(t *testing.T) {
	_, n := cluster(t, "a", "b")
	guest := n[1].open("")
	for _, r := range []node.Revocation{{Client: guest.ID()}, {Client: "nobody"}, {Session: "nothing"}, {}} {
		if err := n[0].Revoke(t.Context(), r, time.Now().Add(time.Hour)); fault.KindOf(err) != fault.BadParameter {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if guest.Reason() != "" {
		t.Error("the guest's session ended")
	}
}

// A node that did not hear of it is told, and follows when it has the engine's
// note, also with sessions that it let in meanwhile.
func TestANodeThatDidNotHearFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := cluster(t, "a", "b")
		w.set(func() { w.deaf["b"] = true })
		s, err := n[1].openAs(holder("42", 1, "one"))
		if err != nil {
			t.Fatal(err)
		}
		if err := n[0].Revoke(t.Context(), node.Revocation{ID: "one"}, time.Now().Add(time.Hour)); !errors.Is(err, node.ErrPartial) {
			t.Errorf("answered %v", err)
		}
		if err := n[0].Revoke(t.Context(), node.Revocation{Client: s.ID()}, time.Now().Add(time.Hour)); !errors.Is(err, node.ErrPartial) {
			t.Errorf("a client of a silent node: %v", err)
		}
		n[1].node.Note(append(n[0].node.Notes(), engine.Note{Text: "of a newer version", Ends: 1 << 40}))
		if s.Reason() != fault.ReasonRevoked {
			t.Errorf("the session's reason is %q", s.Reason())
		}
		n[1].node.Note([]engine.Note{{Text: "away 0 43", Ends: time.Now().Unix() + 60}})
		if _, err := n[1].openAs(holder("43", 1, "two")); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("a user who is kept away: %v", err)
		}
	})
}

// No session slips in between the look at the list and the walk over the sessions.
func TestNoSessionSlipsPastARevocation(t *testing.T) {
	for round := range 50 {
		_, n := cluster(t, "a")
		who := holder("42", 1, "one")
		var opening sync.WaitGroup
		begin := make(chan struct{})
		all := make([]*client, 8)
		for i := range all {
			opening.Go(func() {
				<-begin
				if i%2 == 0 {
					all[i], _ = n[0].openAs(who)
					return
				}
				all[i] = n[0].open("")
				n[0].node.Identify(&all[i].Session, who)
			})
		}
		close(begin)
		if err := n[0].Revoke(context.Background(), node.Revocation{User: "42"}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		opening.Wait()
		n[0].node.EachOf("42", func(s *session.Session) bool {
			t.Errorf("round %d: a session is open", round)
			return true
		})
	}
}
