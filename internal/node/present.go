package node

import (
	"cmp"
	"slices"
	"time"

	"magpie/internal/engine"
	"magpie/internal/fault"
)

// Present is who is in a channel.
type Present struct {
	// Members are a part of all, ordered by session. Next is empty when no more
	// follow, else what to ask for the next part with.
	Members []engine.Member
	Next    string
	// Clients and Users count all of them. Guests without a name are one user.
	Clients, Users int
}

// What one answer about a channel holds at most: messages and members in bytes,
// and members in number. An answer is built whole, so that this is what one
// request can make a node hold.
const (
	pageBytes   = 1 << 20
	membersMost = 1000
)

// errUnread refuses answers to a session that does not read those it has.
var errUnread = &fault.Fault{Kind: fault.TooMany, Setting: "outbox", Wait: time.Second,
	Message: "Answers that you asked for wait to be read; read them, then ask again (setting outbox)."}

// present is the part of all behind the session after. It keeps all and
// reorders it.
func present(all []engine.Member, after string) Present {
	users := map[string]struct{}{}
	for i := range all {
		users[all[i].User] = struct{}{}
	}
	p := Present{Clients: len(all), Users: len(users)}
	slices.SortFunc(all, func(a, b engine.Member) int { return cmp.Compare(a.Session, b.Session) })
	from, found := slices.BinarySearchFunc(all, after, func(m engine.Member, s string) int { return cmp.Compare(m.Session, s) })
	if found {
		from++
	}
	p.Members = all[from:]
	n, _ := firstOf(p.Members[:min(len(p.Members), membersMost)], memberSize)
	if n < len(p.Members) {
		p.Members = p.Members[:n]
		p.Next = p.Members[n-1].Session
	}
	return p
}

// memberSize is what a member takes in an answer, but for what JSON adds to
// unusual text.
func memberSize(m engine.Member) int {
	const around = 100 // names and the session, twice
	return around + len(m.User) + len(m.ConnInfo) + len(m.ChanInfo)
}
