package node

import (
	"fmt"
	"testing"

	"magpie/internal/engine"
)

// R1: an answer about who is there has a bound in number and in bytes; the next
// one goes on where it ends, and the counts are those of all.
func TestMembersComeInParts(t *testing.T) {
	for _, c := range []struct {
		what             string
		members, info    int
		users, most, ask int
	}{
		{what: "nobody", ask: 1},
		{what: "a few", members: 3, users: 2, most: 3, ask: 1},
		{what: "exactly a part", members: membersMost, users: 2, most: membersMost, ask: 1},
		{what: "many", members: 2*membersMost + 1, users: 2, most: membersMost, ask: 3},
		{what: "with much to tell", members: 40, info: pageBytes / 4, users: 2, most: 3, ask: 14},
		{what: "with more to tell than a part holds", members: 2, info: 2 * pageBytes, users: 2, most: 1, ask: 2},
	} {
		all := make([]engine.Member, c.members)
		for i := range all {
			all[len(all)-1-i] = engine.Member{Session: fmt.Sprintf("%06d", i), User: fmt.Sprint(i % 2), ConnInfo: make([]byte, c.info)}
		}
		seen, asked, after := 0, 0, ""
		for {
			p := present(all, after)
			asked++
			if p.Clients != c.members || p.Users != c.users || len(p.Members) > c.most {
				t.Fatalf("%s: %d of %d clients, %d users", c.what, len(p.Members), p.Clients, p.Users)
			}
			for _, m := range p.Members {
				if m.Session != fmt.Sprintf("%06d", seen) {
					t.Fatalf("%s: %s came as number %d", c.what, m.Session, seen)
				}
				seen++
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if seen != c.members || asked != c.ask {
			t.Errorf("%s: %d members in %d parts, want %d in %d", c.what, seen, asked, c.members, c.ask)
		}
	}
}
