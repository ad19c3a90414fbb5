package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/session"
)

// Action is what an order does to the sessions it finds.
type Action string

// The actions.
const (
	Subscribe   Action = "subscribe"
	Unsubscribe Action = "unsubscribe"
	Disconnect  Action = "disconnect"
	Refresh     Action = "refresh"
	Revoke      Action = "revoke" // ends no sessions but those that its notes mark
)

// Order controls all sessions that fit every one of User, Client and Session
// that is not empty. One of them must be given.
type Order struct {
	Action  Action `json:"action"`
	User    string `json:"user,omitempty"`
	Client  string `json:"client,omitempty"`  // Session.ID
	Session string `json:"session,omitempty"` // the secret name that a door gave its client; see Keyed
	// Except are clients that are left alone.
	Except []string `json:"except,omitempty"`

	Channel      string                      `json:"channel,omitempty"`      // Subscribe, Unsubscribe
	Subscription *session.ServerSubscription `json:"subscription,omitempty"` // Subscribe
	Code         uint32                      `json:"code,omitempty"`         // Unsubscribe, Disconnect
	Reason       string                      `json:"reason,omitempty"`
	Expired      bool                        `json:"expired,omitempty"`   // Refresh
	ExpireAt     int64                       `json:"expire_at,omitempty"` // Refresh: Unix seconds, 0: never

	// Notes are marks for all nodes to know first; see Revoke.
	Notes []engine.Note `json:"notes,omitempty"`
}

// Keyed is a session.Link whose client knows its session by a second, secret
// name.
type Keyed interface {
	SessionKey() string
}

// Faults of Order.
var (
	// ErrTarget: the order names nobody. Everybody without a name would be
	// meant, which is never what was wanted.
	ErrTarget = fault.New(fault.BadParameter, "name a user, a client or a session")
	// ErrPartial: some nodes did not confirm in time. Giving the same order
	// again is safe.
	ErrPartial = &fault.Fault{Kind: fault.Unavailable, Wait: time.Second,
		Message: "not all nodes confirmed in time; give the same order again"}
)

// Order gives an order to all nodes and returns when each has applied it to
// its sessions: when they were told, that is; what a session does about it
// may take longer. It finds out nothing about whether there were any.
func (n *Peers) Order(ctx context.Context, o Order) error {
	if o.nobody() && len(o.Notes) == 0 {
		return ErrTarget
	}
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Action, err)
	}
	a, err := n.ask(ctx, kindOrder, body)
	if err != nil {
		return err
	}
	if err := n.keep(ctx, o.Notes); err != nil {
		return err
	}
	if a.missing > 0 {
		return fmt.Errorf("%s: %w: %d of %d nodes are silent", o.Action, ErrPartial, a.missing, a.reached)
	}
	return nil
}

func (o *Order) nobody() bool { return o.User == "" && o.Client == "" && o.Session == "" }

// applyOrders applies orders in one walk over the sessions that may be meant, each
// session's in the order in which they came, and confirms them.
func (n *Peers) applyOrders(tasks []task) {
	var b orders
	var marks []auth.Mark
	confirm := map[string][]uint64{}
	for i, t := range tasks {
		var o Order
		if json.Unmarshal(t.body, &o) != nil {
			n.Metrics.Dropped.Add(1)
			continue
		}
		b.add(i, &o)
		marks = append(marks, marksOf(o.Notes)...)
		n.Metrics.Orders.Add(1)
		confirm[t.From] = append(confirm[t.From], t.IDs...)
	}
	n.Node.revoked.Add(marks...) // who opens a session from here on is refused
	b.each(n.Node, func(s *session.Session) bool {
		for _, e := range b.find(s) {
			apply(e.order, s)
		}
		return n.life.Err() == nil
	})
	n.Node.endMarked(marks)
	for to, ids := range confirm {
		n.answer(to, ids, nil, false)
	}
}

// orders finds the orders for a session without asking every order.
type orders struct {
	users, clients, keys map[string][]entry
}

type entry struct {
	at    int // its place among all orders
	order *Order
}

func (b *orders) add(at int, o *Order) {
	e := entry{at, o}
	switch {
	case o.Client != "":
		put(&b.clients, o.Client, e)
	case o.Session != "":
		put(&b.keys, o.Session, e)
	case o.User != "":
		put(&b.users, o.User, e)
	}
}

func put(m *map[string][]entry, key string, e entry) {
	if *m == nil {
		*m = map[string][]entry{}
	}
	(*m)[key] = append((*m)[key], e)
}

// each calls f once with every session that an order may be for: the users'
// own where all orders name a user alone, else all there are.
func (b *orders) each(node *Node, f func(*session.Session) bool) {
	if len(b.clients)+len(b.keys) > 0 {
		node.Each(f)
		return
	}
	for user := range b.users {
		node.EachOf(user, f)
	}
}

func (b *orders) find(s *session.Session) []entry {
	var list []entry
	if user := s.Who().User; user != "" {
		list = b.users[user]
	}
	if len(b.clients) > 0 {
		list = append(list[:len(list):len(list)], b.clients[s.ID()]...)
	}
	if len(b.keys) > 0 {
		list = append(list[:len(list):len(list)], b.keys[keyOf(s)]...)
	}
	list = slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return !e.order.fits(s) })
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	return list
}

func keyOf(s *session.Session) string {
	if k, ok := s.Link().(Keyed); ok {
		return k.SessionKey()
	}
	return s.ID()
}

// fits tells whether a session is meant.
func (o *Order) fits(s *session.Session) bool {
	switch {
	case o.User != "" && o.User != s.Who().User,
		o.Client != "" && o.Client != s.ID(),
		o.Session != "" && o.Session != keyOf(s),
		len(o.Except) > 0 && slices.Contains(o.Except, s.ID()):
		return false
	}
	return true
}

// apply carries the order out on one session. A door whose sessions cannot be
// controlled can at least be left.
func apply(o *Order, s *session.Session) {
	to, ok := s.Link().(session.Controllable)
	switch {
	case !ok && (o.Action == Disconnect || o.Action == Refresh && o.Expired):
		s.Close(fault.ReasonKicked)
	case !ok:
	case o.Action == Subscribe:
		var sub session.ServerSubscription
		if o.Subscription != nil {
			sub = *o.Subscription
		}
		to.ServerSubscribe(o.Channel, sub)
	case o.Action == Unsubscribe:
		to.ServerUnsubscribe(o.Channel, o.Code, o.Reason)
	case o.Action == Disconnect:
		to.ServerDisconnect(o.Code, o.Reason)
	case o.Action == Refresh:
		to.ServerRefresh(expiry(o.ExpireAt), o.Expired)
	}
}

func expiry(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}
