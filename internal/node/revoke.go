package node

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/session"
)

// Tokens are revoked, and users kept away, by marks: all nodes add them to
// their lists first, so that nobody new gets in, and then end the sessions that
// are marked. The engine keeps the marks, for nodes that did not hear it.

// errNoToken: there is nothing to mark.
var errNoToken = fault.New(fault.BadParameter, "no session of this name is there that shows a token; name its user, or the token's jti")

// Revocation says which tokens are refused from now on: one of its fields does.
type Revocation struct {
	User    string // all tokens of this user that were issued before
	ID      string // those with this jti
	Client  string // that of this session
	Session string // that of the session which the client knows by this secret name
}

// Revoke refuses tokens on all nodes until ends, and closes their sessions with
// fault.ReasonRevoked. When it returns nil no node takes them any more.
// ErrPartial: some nodes did not confirm; they know it a second after they hear
// from the engine again.
func (n *Peers) Revoke(ctx context.Context, r Revocation, ends time.Time) error {
	now := time.Now().Unix()
	var marks []auth.Mark
	switch {
	case r.User != "":
		marks = []auth.Mark{{Kind: auth.MarkUser, Name: r.User, Issued: now}}
	case r.ID != "":
		marks = []auth.Mark{{Kind: auth.MarkID, Name: r.ID}}
	default:
		var err error
		if marks, err = n.tokensOf(ctx, Order{Client: r.Client, Session: r.Session}); err != nil {
			return err
		}
	}
	return n.Order(ctx, Order{Action: Revoke, Notes: notesOf(marks, ends)})
}

// KeepAway is Order for a Disconnect after which its user is refused until
// ends, whatever the token. Where the order names a session it is that session's
// token that is refused.
func (n *Peers) KeepAway(ctx context.Context, o Order, ends time.Time) error {
	marks := []auth.Mark{{Kind: auth.MarkAway, Name: o.User}}
	if o.Client != "" || o.Session != "" {
		var err error
		if marks, err = n.tokensOf(ctx, o); err != nil {
			return err
		}
	}
	o.Notes = notesOf(marks, ends)
	return n.Order(ctx, o)
}

// keep has the engine keep an order's notes.
func (n *Peers) keep(ctx context.Context, notes []engine.Note) error {
	if len(notes) == 0 {
		return nil
	}
	return n.Notes.Keep(ctx, notes)
}

// tokensOf asks all nodes for the tokens of the sessions that an order is for.
func (n *Peers) tokensOf(ctx context.Context, o Order) (marks []auth.Mark, err error) {
	body, _ := json.Marshal(o) // strings: cannot fail
	a, err := n.ask(ctx, kindTokens, body)
	if err != nil {
		return nil, err
	}
	for _, part := range a.parts {
		var notes []engine.Note
		if json.Unmarshal(part, &notes) == nil {
			marks = append(marks, marksOf(notes)...)
		}
	}
	switch {
	case len(marks) == 0 && a.missing > 0:
		return nil, ErrPartial
	case len(marks) == 0:
		return nil, errNoToken
	}
	return marks, nil
}

func (n *Peers) answerTokens(t task) {
	var b orders
	var o Order
	var marks []auth.Mark
	if json.Unmarshal(t.body, &o) == nil {
		b.add(0, &o)
		b.each(n.Node, func(s *session.Session) bool {
			if p := s.Who().Proof; p != nil && len(b.find(s)) > 0 {
				marks = append(marks, auth.TokenMark(p))
			}
			return true
		})
	}
	body, _ := json.Marshal(notesOf(marks, time.Time{})) // strings and numbers: cannot fail
	n.answer(t.From, t.IDs, body, false)
}

// Note takes marks that the engine keeps, for engine.Node. Those that an order
// brought before cost no walk over the sessions.
func (n *Node) Note(notes []engine.Note) { n.endMarked(n.revoked.Add(marksOf(notes)...)) }

// Notes returns all marks, for engine.Node.
func (n *Node) Notes() (list []engine.Note) {
	for _, m := range n.revoked.All() {
		list = append(list, engine.Note{Text: m.Text(), Ends: m.Ends})
	}
	return list
}

// Marks is how many marks this node knows.
func (n *Node) Marks() int { return len(n.revoked.All()) }

func notesOf(marks []auth.Mark, ends time.Time) (list []engine.Note) {
	for _, m := range marks {
		list = append(list, engine.Note{Text: m.Text(), Ends: ends.Unix()})
	}
	return list
}

// marksOf leaves out what a newer version may have written.
func marksOf(notes []engine.Note) (list []auth.Mark) {
	for _, note := range notes {
		if m, ok := auth.ParseMark(note.Text, note.Ends); ok {
			list = append(list, m)
		}
	}
	return list
}

// endMarked closes the sessions that are marked, and ends their subscriptions that are. The marks are in the list
// already; these say where to look.
func (n *Node) endMarked(marks []auth.Mark) {
	byUser := func(m auth.Mark) bool { return m.Kind == auth.MarkUser || m.Kind == auth.MarkAway }
	if slices.ContainsFunc(marks, func(m auth.Mark) bool { return !byUser(m) }) {
		n.Each(n.endIfMarked)
		return
	}
	for _, m := range marks {
		n.EachOf(m.Name, n.endIfMarked)
	}
}

// Granted is a session.Link whose client has subscriptions by tokens of their own.
type Granted interface {
	// EndRevoked ends those whose token is refused. It does not block.
	EndRevoked(refused func(*auth.Proof) bool)
}

// Revoked tells whether a token of a user is refused: whoever keeps what it gave
// asks again when it is registered, as a mark may have come meanwhile.
func (n *Node) Revoked(user string, p *auth.Proof) bool { return n.revoked.Check(user, p) != nil }

func (n *Node) endIfMarked(s *session.Session) bool {
	who := s.Who()
	switch err := n.revoked.Check(who.User, who.Proof); {
	case errors.Is(err, &fault.Fault{Kind: fault.Revoked}):
		s.Close(fault.ReasonRevoked)
	case err != nil:
		s.Close(fault.ReasonKicked)
	default:
		if l, ok := s.Link().(Granted); ok {
			l.EndRevoked(func(p *auth.Proof) bool { return n.Revoked(who.User, p) })
		}
	}
	return true
}
