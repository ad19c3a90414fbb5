package node

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/address"
	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/session"
)

func nobodyHere(string) bool { return false }

// count calls f until it refuses, and returns how often it did not.
func count(t *testing.T, setting string, f func(i int) error) int {
	t.Helper()
	for i := range 100_000 {
		if err := f(i); err != nil {
			if of := fault.Of(err); of.Kind != fault.TooMany || of.Setting != setting || of.Wait <= 0 {
				t.Fatalf("refused with %+v", of)
			}
			return i
		}
	}
	t.Fatal("never refused")
	return 0
}

// R4: a client begins so many channels at once and in a minute and no more; names
// that were used before, or that somebody here listens to, cost nothing. Others
// and servers are not held up by it, and guests together have a bound as well.
func TestNewNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrowth(Limits{NewChannels: 6, Subscriptions: 1})
		ann, guest := CallerActor(auth.Identity{Kind: auth.User, User: "ann"}), CallerActor(auth.Identity{Kind: auth.Guest})
		begin := func(a Actor, name string) error { return g.name(&a, name, nobodyHere) }
		const setting = "max_new_channels"
		if n := count(t, setting, func(i int) error { return begin(ann, fmt.Sprint("a", i)) }); n != 12 {
			t.Errorf("%d at once", n)
		}
		for i := range 12 {
			if err := begin(ann, fmt.Sprint("a", i)); err != nil {
				t.Fatalf("a name that was used: %v", err)
			}
		}
		if err := g.name(&ann, "heard", func(string) bool { return true }); err != nil {
			t.Errorf("a name that is listened to: %v", err)
		}
		for _, a := range []Actor{ServerActor, {kind: engineActor}} {
			for i := range 1000 {
				if err := begin(a, fmt.Sprint("server", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		err := begin(ann, "late")
		time.Sleep(fault.Of(err).Wait)
		if err := begin(ann, "late"); err != nil {
			t.Errorf("after the time that was told: %v", err)
		}
		time.Sleep(time.Hour)
		if n := count(t, setting, func(i int) error { return begin(guest, fmt.Sprint("g", i)) }); n != 12 {
			t.Errorf("a guest: %d", n)
		}
		minted := count(t, setting, func(i int) error {
			return begin(CallerActor(auth.Identity{Kind: auth.Guest, User: fmt.Sprint(i)}), fmt.Sprint("m", i))
		})
		if minted != 12*manyTimes-12 {
			t.Errorf("guests who are another each time: %d", minted)
		}
		if err := begin(CallerActor(auth.Identity{Kind: auth.User, User: "bob"}), "b"); err != nil {
			t.Errorf("a user: %v", err)
		}
	})
}

// L1, L5: who opens one session after the other has one budget for all: a user, and
// guests of one address. It is a tenth of that for a minute once a session took more
// than its own. Another user, another address and another session of nobody
// near have their own.
func TestSessionsShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrowth(Limits{Requests: 10}) // 50 at once, 1,000 together
		book := address.NewBook(nil, address.Limits{}, nil)
		from := func(peer string) *address.Client { return book.Client(&http.Request{RemoteAddr: peer}) }
		const own = 50
		// taken opens 100 sessions. Each asks so often, and no more once it is refused.
		taken := func(who auth.Identity, from *address.Client, each int) (n int) {
			for range 100 {
				s := new(session.Session)
				s.OwnerRequests.Store(g.ownerRequests(who, from))
				for range each {
					if g.ask(&request{actor: Actor{kind: clientActor, who: who, session: s}}, 1) > 0 {
						break
					}
					n++
				}
			}
			return n
		}
		ann, bob, guest, other := auth.Identity{Kind: auth.User, User: "ann"}, auth.Identity{Kind: auth.User, User: "bob"},
			auth.Identity{Kind: auth.Guest}, auth.Identity{Kind: auth.Guest, User: "other"}
		for _, x := range []struct {
			what string
			who  auth.Identity
			peer string
			want int
		}{
			{"a user", ann, "203.0.113.7:80", 1000}, {"the same", ann, "203.0.113.8:80", 0}, {"another", bob, "203.0.113.7:80", 1000},
			{"guests", guest, "203.0.113.7:80", 1000}, {"those with a token", other, "203.0.113.7:80", 0},
			{"another address", guest, "203.0.113.8:80", 1000}, {"this machine", guest, "127.0.0.1:80", 5000},
		} {
			if got := taken(x.who, from(x.peer), own); got != x.want {
				t.Errorf("%s: %d, want %d", x.what, got, x.want)
			}
		}
		for _, x := range []struct {
			what       string
			after      time.Duration
			each, want int
		}{
			{"a second later", time.Second, own, 200},
			{"a flood after a rest", time.Minute, own + 1, 50 + 95}, // what is left of 5 s, at 20 a second
			{"a second after it", time.Second, own, 20},
			{"a minute after it", time.Minute, own, 1000},
		} {
			time.Sleep(x.after)
			if got := taken(ann, nil, x.each); got != x.want {
				t.Errorf("%s: %d, want %d", x.what, got, x.want)
			}
		}
	})
}

// R5: of a client's idempotency keys no more than max_idempotency_keys are alive.
func TestKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrowth(Limits{IdempotencyKeys: 100, IdempotencyWindow: time.Minute})
		ann, server := CallerActor(auth.Identity{Kind: auth.User, User: "ann"}), ServerActor
		alive := 0
		for end := time.Now().Add(time.Minute - time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if g.key(&ann) == nil {
				alive++
			}
		}
		if alive != 99 { // 50 at once, and one every 1.2 seconds
			t.Errorf("%d keys in a window", alive)
		}
		if n := count(t, "max_idempotency_keys", func(int) error { return g.key(&ann) }); n > 1 {
			t.Errorf("and %d more", n)
		}
		for range 1000 {
			if err := g.key(&server); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Who is at rest is forgotten, and nobody else.
func TestOwnersAtRestGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrowth(Limits{NewChannels: 6, Subscriptions: 1})
		for i := range 10 * leastOwners {
			a := CallerActor(auth.Identity{Kind: auth.User, User: fmt.Sprint(i)})
			if err := g.name(&a, fmt.Sprint(i), nobodyHere); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			if i > 50 && g.owners[fmt.Sprint("user:", i-50)] == nil { // who is at rest after ten seconds
				t.Fatal("somebody is forgotten who is not at rest")
			}
		}
		if n := len(g.owners); n > leastOwners+1 {
			t.Errorf("%d are kept", n)
		}
	})
}

// A name that is known costs nothing.
func TestAKnownNameDoesNotAlloc(t *testing.T) {
	g := newGrowth(Limits{NewChannels: 6, Subscriptions: 1})
	a := CallerActor(auth.Identity{Kind: auth.User, User: "ann"})
	if n := testing.AllocsPerRun(100, func() { _ = g.name(&a, "chat", nobodyHere) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
