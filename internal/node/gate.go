package node

import (
	"context"
	"time"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/metrics"
	"magpie/internal/session"
)

// Gate is the one place through which whatever anybody wants of a channel
// goes. Each method that somebody may be refused admits the request first: its
// steps are in admit. All
// methods are safe for concurrent use; there are many because no request has
// another way.
type Gate struct {
	engine engine.Engine
	hub    *hub.Hub
	auth   *auth.Authorizer
	rules  *channel.Rules
	limits Limits
	growth *growth
	budget *session.Budget
	// reading has a place for each log that is read for a client.
	reading chan struct{}

	Metrics GateMetrics
}

// GateMetrics counts publications and requests.
type GateMetrics struct {
	Published metrics.Counter // taken in by this node and acknowledged by the engine
	Refused   metrics.Counter // that were not
	Hurried   metrics.Counter // requests of clients over Limits.Requests
	Unknown   metrics.Counter // requests over Limits.NewChannels
	Keys      metrics.Counter // publications over Limits.IdempotencyKeys
}

// GateConfig is what NewGate needs.
type GateConfig struct {
	Engine engine.Engine
	Hub    *hub.Hub
	Auth   *auth.Authorizer
	Rules  *channel.Rules
	Limits Limits
	Node   *Node
}

// NewGate returns the gate of a node.
func NewGate(c GateConfig) *Gate {
	return &Gate{engine: c.Engine, hub: c.Hub, auth: c.Auth, rules: c.Rules, limits: c.Limits, growth: c.Node.growth,
		budget: &c.Node.shared.Budget, reading: make(chan struct{}, readersMost)}
}

// request is what an actor wants.
type request struct {
	actor   Actor
	do      auth.Action
	channel string
	size    int  // bytes of a payload
	granted bool // a subscription token lets the actor in
	keyed   bool // the payload comes with an idempotency key
}

// admit decides. Its steps, in order: the limits, then the rights, then what the
// request would make grow.
func (g *Gate) admit(r *request) error {
	if wait := g.growth.ask(r, 1+r.size/requestSize); wait > 0 {
		g.Metrics.Hurried.Add(1)
		return g.limits.tooOften(wait)
	}
	if err := g.limits.check(r); err != nil {
		return err
	}
	if err := g.mayDo(r); err != nil {
		return err
	}
	return g.mayGrow(r)
}

// mayGrow counts what the request leaves in the engine's store. Asking for presence
// leaves nothing, and a subscription that a token names is the server's word.
func (g *Gate) mayGrow(r *request) error {
	named := r.granted || r.do == auth.Subscribe && r.actor.who.SubscribedByToken(r.channel)
	if r.do != auth.Presence && !named {
		if err := g.growth.name(&r.actor, r.channel, g.hub.Listens); err != nil {
			g.Metrics.Unknown.Add(1)
			return err
		}
	}
	if r.keyed {
		if err := g.growth.key(&r.actor); err != nil {
			g.Metrics.Keys.Add(1)
			return err
		}
	}
	return nil
}

// mayDo asks for the rights. Whether a session is subscribed is looked up only
// where it matters: it may be in very many channels.
func (g *Gate) mayDo(r *request) error {
	if r.actor.kind == engineActor {
		return nil // who may use the engine's store may publish
	}
	ask := auth.Request{Identity: r.actor.who, Action: r.do, Channel: r.channel, Granted: r.granted}
	err := g.auth.Authorize(ask)
	if err != nil && r.actor.session != nil && r.do != auth.Subscribe && r.actor.session.In(r.channel) {
		ask.Subscribed = true
		err = g.auth.Authorize(ask)
	}
	return err
}

// Publish publishes for the actor. It blocks as long as the engine takes (D4).
func (g *Gate) Publish(ctx context.Context, a Actor, p engine.Publication) (engine.Result, error) {
	err := g.admit(&request{actor: a, do: auth.Publish, channel: p.Channel, size: len(p.Payload), keyed: p.IdempotencyKey != ""})
	var res engine.Result
	if err == nil {
		p.By, p.KeyOwner = a.publisher(p.By), a.keyOwner()
		res, err = g.engine.Publish(ctx, p)
	}
	g.countPublished(err)
	return res, err
}

func (g *Gate) countPublished(err error) {
	if err != nil {
		g.Metrics.Refused.Add(1)
	} else {
		g.Metrics.Published.Add(1)
	}
}

// PublishAll publishes to many channels in few round trips, each admitted as
// Publish does. Outcomes are in the order of the publications.
func (g *Gate) PublishAll(ctx context.Context, a Actor, all []engine.Publication) []engine.Outcome {
	outcomes := make([]engine.Outcome, len(all))
	admitted, at := make([]engine.Publication, 0, len(all)), make([]int, 0, len(all))
	for i, p := range all {
		outcomes[i].Err = g.admit(&request{actor: a, do: auth.Publish, channel: p.Channel, size: len(p.Payload), keyed: p.IdempotencyKey != ""})
		if outcomes[i].Err == nil {
			p.By, p.KeyOwner = a.publisher(p.By), a.keyOwner()
			admitted, at = append(admitted, p), append(at, i)
		}
	}
	for k, o := range g.engine.PublishAll(ctx, admitted) {
		outcomes[at[k]] = o
	}
	for _, o := range outcomes {
		g.countPublished(o.Err)
	}
	return outcomes
}

// tellTimeout bounds how long a join waits for presence to have it.
const tellTimeout = 2 * time.Second

// Announce publishes joins and leaves of sessions that were let in, when
// presence can be read accordingly on every node (D13): who comes to listen
// meanwhile finds them there. Outcomes are in the order of the publications.
func (g *Gate) Announce(ctx context.Context, all []engine.Publication) []engine.Outcome {
	told, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	// Presence that is late is no reason to say nothing.
	_ = g.engine.Told(told, func(yield func(string) bool) {
		for _, p := range all {
			if !yield(p.Channel) {
				return
			}
		}
	})
	return g.engine.PublishAll(ctx, all)
}

// Admit decides whether a message that was published in the engine's own store
// is taken in, for engine.Node.
func (g *Gate) Admit(p engine.Publication) error {
	return g.admit(&request{actor: Actor{kind: engineActor}, do: auth.Publish, channel: p.Channel, size: len(p.Payload)})
}

// MaySubscribe tells whether the actor may subscribe to a channel, before
// anything is set up for it. granted says that a subscription token for this
// identity and channel lets it in.
func (g *Gate) MaySubscribe(a Actor, name string, granted bool) error {
	return g.admit(&request{actor: a, do: auth.Subscribe, channel: name, granted: granted})
}

// Subscribe is MaySubscribe and Session.Join.
func (g *Gate) Subscribe(ctx context.Context, s *session.Session, name string, to hub.Subscriber, since *message.Position) (session.Joined, error) {
	if err := g.MaySubscribe(ClientActor(s), name, false); err != nil {
		return session.Joined{}, err
	}
	return s.Join(ctx, name, to, since)
}

// History reads a part of a channel's log: a page of pageBytes at most, as
// clients get it, or of one message. The next page follows its last message.
// What it returns may wait for the client to read it: the caller counts the
// answer's bytes with Hold.
func (g *Gate) History(ctx context.Context, a Actor, name string, q engine.Query) (engine.Page, error) {
	done, err := g.read(ctx, &request{actor: a, do: auth.History, channel: name})
	if err != nil {
		return engine.Page{}, err
	}
	defer done()
	q.Bytes = pageBytes
	page, err := g.engine.History(ctx, name, q)
	if err != nil {
		return page, err
	}
	n, size := firstOf(page.Messages, (*message.Message).WireSize)
	page.Messages, page.More = page.Messages[:n], page.More || n < len(page.Messages)
	return page, g.budget.Admit(size)
}

// read admits a request whose answer may be long, and waits until it may read;
// the caller calls done when it has. Who has long answers to read already gets
// no more before.
func (g *Gate) read(ctx context.Context, r *request) (done func(), err error) {
	if err := g.admit(r); err != nil {
		return nil, err
	}
	if r.actor.session != nil && r.actor.session.Waiting() > g.limits.Outbox {
		return nil, errUnread
	}
	g.budget.Wait(ctx)
	select {
	case g.reading <- struct{}{}:
		return func() { <-g.reading }, nil
	case <-ctx.Done():
		return nil, engine.Unavailable("%w", ctx.Err())
	}
}

// firstOf returns how many of a list's first entries make a page of pageBytes,
// at least one, and their size.
func firstOf[T any](list []T, sizeOf func(T) int) (n, size int) {
	for i, v := range list {
		more := sizeOf(v)
		if i > 0 && size+more > pageBytes {
			return i, size
		}
		size += more
	}
	return len(list), size
}

// Hold counts bytes of an answer that a client has yet to read; the caller
// calls done when it has.
func (g *Gate) Hold(bytes int) (done func()) { return g.budget.Take(bytes) }

// Presence answers who is in a channel, on all nodes: a part of them of pageBytes
// and membersMost at most, in the order of their sessions, of those behind after.
// It fails with hub.ErrNoPresence where the channel's rule keeps none.
func (g *Gate) Presence(ctx context.Context, a Actor, name, after string) (Present, error) {
	done, err := g.read(ctx, &request{actor: a, do: auth.Presence, channel: name})
	if err != nil {
		return Present{}, err
	}
	defer done()
	all, err := g.hub.Presence(ctx, name)
	if err != nil {
		return Present{}, err
	}
	p := present(all, after)
	_, size := firstOf(p.Members, memberSize)
	return p, g.budget.Admit(size)
}

// Remove deletes a channel's log. It asks for no rights: only who has shown an
// API key gets here.
func (g *Gate) Remove(ctx context.Context, name string) error {
	if err := g.limits.check(&request{channel: name}); err != nil {
		return err
	}
	return g.engine.Remove(ctx, name)
}

// Rule returns the rule of a channel.
func (g *Gate) Rule(name string) *channel.Rule { return g.rules.For(name) }

// Intern returns a name of its own or the one that all share; see hub.Intern.
func (g *Gate) Intern(name string) string { return g.hub.Intern(name) }

// Limits are what clients are held to.
func (g *Gate) Limits() Limits { return g.limits }

// Immediate tells whether publishing takes no waiting here.
func (g *Gate) Immediate() bool { return g.engine.Immediate() }

// Timeout bounds a publication. Where none waits it costs no timer.
func (g *Gate) Timeout(d time.Duration) (context.Context, context.CancelFunc) {
	if g.engine.Immediate() {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), d)
}
