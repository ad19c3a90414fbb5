package centrifuge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/centrifugal/protocol"
	fdelta "github.com/shadowspore/fossil-delta"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/session"
)

// D2, D10: a client learns of a new timeline before it sees anything of it:
// it is made to come back, and is told then whether something is lost.
func TestANewTimelineMakesClientsComeBack(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		e.publish("short:t", "1")
		c := e.connected(w)
		c.say(`{"id":2,"subscribe":{"channel":"short:t"}}`, `{"id":3,"subscribe":{"channel":"bare:t"}}`)
		c.hears(`{"id":2,"subscribe":"*"}`, `{"id":3,"subscribe":{}}`)
		if err := e.Memory.Remove(context.Background(), "short:t"); err != nil {
			t.Fatal(err)
		}
		at := e.publish("short:t", "2")
		c.hears(push("short:t", `"unsubscribe":{"code":2500,"reason":"insufficient state"}`))
		c.say(`{"id":4,"subscribe":{"channel":"short:t","recover":true,"offset":1,"epoch":"before"}}`)
		c.hears(fmt.Sprintf(`{"id":4,"subscribe":{"recoverable":true,"positioned":true,"was_recovering":true,"epoch":%q,"offset":1}}`, at.Epoch))
		e.publish("bare:t", "3")
		c.hears(push("bare:t", `"pub":{"data":3}`))
	})
}

// What the server subscribed comes back with the whole connection.
func TestANewTimelineOfAServerSideSubscription(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0], `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "channels": []string{"short:t"}})+`"}}`)
	if err := e.Memory.Remove(context.Background(), "short:t"); err != nil {
		t.Fatal(err)
	}
	e.publish("short:t", "1")
	c.ends(3010)
}

// forked is an engine whose log goes on under another epoch, as after a
// harmless failover: nothing is missing, but the position has a new name.
type forked struct {
	engine.Engine
	mu    sync.Mutex
	epoch string
}

func (f *forked) rename(m *message.Message) *message.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" {
		return m
	}
	return &message.Message{Channel: m.Channel, Payload: m.Payload, Position: message.Position{Epoch: f.epoch, Offset: m.Offset}}
}

func (f *forked) Start(ctx context.Context, n engine.Node) error {
	n.Sink = renaming{n.Sink, f}
	return f.Engine.Start(ctx, n)
}

// renaming is the way of a forked engine's live messages.
type renaming struct {
	engine.Sink
	f *forked
}

func (r renaming) Receive(m *message.Message)       { r.Sink.Receive(r.f.rename(m)) }
func (r renaming) ReceiveInline(m *message.Message) { r.Sink.ReceiveInline(r.f.rename(m)) }

func (f *forked) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	f.mu.Lock()
	epoch := f.epoch
	f.mu.Unlock()
	if epoch != "" && q.Since != nil {
		top, err := f.Engine.Positions(ctx, []string{name})
		if err != nil {
			return engine.Page{}, err
		}
		q.Since = &message.Position{Epoch: top[0].Epoch, Offset: q.Since.Offset}
	}
	page, err := f.Engine.History(ctx, name, q)
	if epoch != "" {
		page.Top.Epoch = epoch
		for i, m := range page.Messages {
			page.Messages[i] = f.rename(m)
		}
	}
	return page, err
}

// Subscribe is what answers when the node had left the channel meanwhile.
func (f *forked) Subscribe(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	if _, err := f.Engine.Subscribe(ctx, name, engine.Query{}); err != nil {
		return engine.Page{}, err
	}
	return f.History(ctx, name, q)
}

func (f *forked) Positions(ctx context.Context, names []string) ([]message.Position, error) {
	tops, err := f.Engine.Positions(ctx, names)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch != "" {
		for i := range tops {
			tops[i].Epoch = f.epoch
		}
	}
	return tops, err
}

// D10: after a harmless failover nothing is lost and nothing comes twice.
func TestAHarmlessNewTimelineLosesNothing(t *testing.T) {
	f := new(forked)
	e := listenOver(t, func(inner engine.Engine) engine.Engine { f.Engine = inner; return f })
	first := e.publish("short:f", "1")
	c := e.connected(ways[0])
	c.say(`{"id":2,"subscribe":{"channel":"short:f"}}`)
	c.hears(`{"id":2,"subscribe":"*"}`)
	e.publish("short:f", "2")
	c.hears(push("short:f", `"pub":{"data":2,"offset":2}`))
	f.mu.Lock()
	f.epoch = "renamed"
	f.mu.Unlock()
	e.publish("short:f", "3")
	c.hears(push("short:f", `"unsubscribe":{"code":2500,"reason":"*"}`))
	c.say(fmt.Sprintf(`{"id":3,"subscribe":{"channel":"short:f","recover":true,"offset":2,"epoch":%q}}`, first.Epoch))
	r := c.reply().Subscribe
	if r == nil || !r.Recovered || r.Epoch != "renamed" || r.Offset != 2 || len(r.Publications) == 0 || r.Publications[0].Offset != 3 {
		t.Fatalf("%v", r)
	}
}

// D1, D3: under a publisher that never rests, clients that come and go get
// every message once and in order, and differences give what was sent.
func TestNothingIsLostBetweenRecoveryAndLive(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { churn(t, listen(t), w) })
	}
}

func churn(t *testing.T, e *endpoint, w way) {
	const messages, rounds = 600, 12
	name := "churn" // the log keeps 1,000
	payload := func(n uint64) string {
		return fmt.Sprintf(`{"n":%d,"pad":%q}`, n, strings.Repeat("鵲", int(n%7)*9+20))
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := uint64(1); n <= messages; n++ {
			e.publish(name, payload(n))
		}
	})
	defer wait.Wait()
	// The positions of the first subscription; afterwards what came moves it.
	at, epoch := uint64(0), ""
	next := func(c *client) *protocol.Reply {
		if w.protobuf {
			return c.raw() // a difference is no JSON
		}
		return c.reply()
	}
	for round := 0; round < rounds || at < messages; round++ {
		c := e.connected(w)
		c.say(fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q,"recover":true,"offset":%d,"epoch":%q,"delta":"fossil"}}`, name, at, epoch))
		var r *protocol.Reply
		if r = next(c); r.Subscribe == nil || !r.Subscribe.Recovered || r.Subscribe.Offset != at || !r.Subscribe.Delta {
			t.Fatalf("after %d: %v", at, r)
		}
		epoch = r.Subscribe.Epoch
		var last []byte
		take := func(p *protocol.Publication) {
			var err error
			if last, err = undelta(p, last, !w.protobuf); err != nil {
				t.Fatalf("offset %d: %v", p.Offset, err)
			}
			if p.Offset != at+1 || string(last) != payload(p.Offset) {
				t.Fatalf("offset %d after %d: %s", p.Offset, at, last)
			}
			at = p.Offset
		}
		for _, p := range r.Subscribe.Publications {
			take(p)
		}
		for n := rand.IntN(messages / rounds); n > 0 && at < messages; n-- {
			r := next(c)
			switch {
			case r.Push != nil && r.Push.Pub != nil:
				take(r.Push.Pub)
			case r.Push == nil && r.Id == 0: // a ping
			default:
				t.Fatalf("%v", r)
			}
		}
		if c.ws != nil {
			c.ws.CloseNow()
		}
	}
}

// undelta reads a publication as clients do that asked for differences.
func undelta(p *protocol.Publication, last []byte, asJSON bool) ([]byte, error) {
	data := []byte(p.Data)
	if asJSON {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return nil, fmt.Errorf("data is no string: %w", err)
		}
		data = []byte(text)
	}
	if !p.Delta {
		return bytes.Clone(data), nil
	}
	return fdelta.Apply(last, data)
}

// D8: a client that takes nothing is ended as slow; others go on.
func TestASlowClientIsEnded(t *testing.T) {
	for _, w := range []way{ways[0], ways[2]} {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t)
			slow, quick := e.connected(w), e.connected(ways[0])
			for _, c := range []*client{slow, quick} {
				c.say(`{"id":2,"subscribe":{"channel":"plain:s"}}`)
				c.hears(`{"id":2,"subscribe":{}}`)
			}
			big := `"` + strings.Repeat("x", maxPayload-2) + `"`
			slowEnded := func() bool { return e.Node.Metrics.Closed()["slow"] == 1 }
			for n := 1; !slowEnded(); n++ {
				if n > 20_000 {
					t.Fatal("a client that reads nothing is never slow")
				}
				e.publish("plain:s", big)
				if r := quick.reply(); r.Push == nil || r.Push.Pub.Offset != uint64(n) {
					t.Fatalf("%d: %v", n, r)
				}
			}
		})
	}
}

// filled is an endpoint with some logs of 4 MB, over an outbox of 1 MB: more
// than the kernel takes for a client that does not read.
func filled(t *testing.T, adjust func(*centrifuge.Config)) *endpoint {
	e := listen(t, adjust)
	big := `"` + strings.Repeat("x", maxPayload-2) + `"`
	for range backlog {
		for n := range 5 {
			e.publish(fmt.Sprint("big", n), big)
		}
	}
	return e
}

const backlog = 1000

// What a client missed does not make it slow, however much more it is than
// the outbox holds.
func TestABacklogIsNotSlowness(t *testing.T) {
	e := filled(t, func(*centrifuge.Config) {})
	c := e.connected(ways[0])
	for n := range 5 {
		c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"big%d","recover":true}}`, n+2, n))
	}
	eventually(t, "all are handled", func() bool { return e.door.Metrics.Commands.Value() == 6 })
	for range 5 {
		if r := c.reply(); r.Subscribe == nil || len(r.Subscribe.Publications) != backlog {
			t.Fatalf("%.100v", r)
		}
	}
}

// But it has to read what waits before it asks for more.
func TestABacklogIsBounded(t *testing.T) {
	e := filled(t, func(c *centrifuge.Config) { c.MaxBacklog = 1 << 20 })
	for kind, k := range map[string]struct {
		command string
		times   int
	}{
		"subscribe": {`{"id":%d,"subscribe":{"channel":"big%d","recover":true}}`, 5},
		"history":   {`{"id":%d,"history":{"channel":"big%d","limit":-1}}`, 30}, // a page is 1 MB
	} {
		c := e.connected(ways[0])
		before := e.door.Metrics.Commands.Value()
		for n := range k.times {
			c.say(fmt.Sprintf(k.command, n+2, n%5))
		}
		eventually(t, "all are handled", func() bool { return e.door.Metrics.Commands.Value() == before+uint64(k.times) })
		refused := 0
		for range k.times {
			if r := c.reply(); r.Error != nil && r.Error.Code == 111 && r.Error.Temporary {
				refused++
			} else if r.Error != nil {
				t.Fatalf("%v", r)
			}
		}
		if refused == 0 {
			t.Errorf("%s: 20 to 30 MB of logs were all queued", kind)
		}
		c.say(`{"id":99,"subscribe":{"channel":"small","recover":true}}`)
		c.hears(`{"id":99,"subscribe":"*"}`)
	}
}

// Commands over HTTP that come faster than they are handled are not kept
// without bound.
func TestEmulatedCommandsAreBounded(t *testing.T) {
	p := &patient{asked: make(chan struct{}), begin: make(chan struct{})}
	e := listenOver(t, func(inner engine.Engine) engine.Engine { p.Engine = inner; return p })
	c := e.connected(ways[2])
	c.say(`{"id":2,"history":{"channel":"short:q","limit":1}}`)
	<-p.asked
	for id := 3; id < 3+65; id++ {
		c.say(fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"x"}}`, id))
	}
	close(p.begin)
	c.ends(3013)
}

// patient is an engine whose logs are read only when the test says so. It
// tells of the first one that is asked for.
type patient struct {
	engine.Engine
	first        sync.Once
	asked, begin chan struct{}
}

func (p *patient) wait() {
	p.first.Do(func() { p.asked <- struct{}{} })
	<-p.begin
}

func (p *patient) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	p.wait()
	return p.Engine.History(ctx, name, q)
}

func (p *patient) Subscribe(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	p.wait()
	return p.Engine.Subscribe(ctx, name, q)
}

// A subscription that is left, or whose session ends, while it is being made
// leaves nothing behind.
func TestASubscriptionLeftWhileItIsMade(t *testing.T) {
	for name, leave := range map[string]func(*endpoint, *client){
		"unsubscribed": func(_ *endpoint, c *client) {
			c.say(`{"id":2,"unsubscribe":{"channel":"short:l"}}`)
			c.hears(`{"id":2,"unsubscribe":{}}`)
		},
		"gone": func(e *endpoint, c *client) {
			c.ws.CloseNow()
			eventually(t, "the session has ended", func() bool { return e.Node.Metrics.Sessions.Value() == 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &patient{asked: make(chan struct{}), begin: make(chan struct{})}
			e := listenOver(t, func(inner engine.Engine) engine.Engine { p.Engine = inner; return p })
			at := e.publish("short:l", "1")
			e.publish("short:l", "2")
			c := e.connected(ways[0])
			e.steer(c.id, func(s session.Controllable) {
				s.ServerSubscribe("short:l", session.ServerSubscription{Since: &message.Position{Epoch: at.Epoch, Offset: 1}})
			})
			<-p.asked
			leave(e, c)
			close(p.begin)
			eventually(t, "no subscription is left", func() bool { return e.Hub.Metrics.Subscriptions.Value() == 0 })
		})
	}
}

// An order to unsubscribe that comes while the subscription is being made is
// obeyed behind its answer: clients want that first.
func TestASubscriptionEndedWhileItIsMade(t *testing.T) {
	p := &patient{asked: make(chan struct{}), begin: make(chan struct{})}
	e := listenOver(t, func(inner engine.Engine) engine.Engine { p.Engine = inner; return p })
	e.publish("short:e", "1")
	c := e.connected(ways[0])
	c.say(`{"id":2,"subscribe":{"channel":"short:e","recover":true}}`)
	<-p.asked
	e.steer(c.id, func(s session.Controllable) { s.ServerUnsubscribe("short:e", 2100, "no") })
	close(p.begin)
	c.hears(`{"id":2,"subscribe":"*"}`, push("short:e", `"unsubscribe":{"code":2100,"reason":"no"}`))
	if n := e.Hub.Metrics.Subscriptions.Value(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// failing is an engine that is away.
type failing struct{ engine.Engine }

func (failing) Publish(context.Context, engine.Publication) (engine.Result, error) {
	return engine.Result{}, engine.ErrUnavailable
}

func (failing) Subscribe(context.Context, string, engine.Query) (engine.Page, error) {
	return engine.Page{}, engine.ErrUnavailable
}

func (failing) History(context.Context, string, engine.Query) (engine.Page, error) {
	return engine.Page{}, engine.ErrUnavailable
}

// While the engine is away every command is answered with an error upon which
// clients try again, and the connection stays.
func TestAnEngineThatIsAway(t *testing.T) {
	e := listenOver(t, func(inner engine.Engine) engine.Engine { return failing{inner} })
	c := e.connected(ways[0])
	for i, command := range []string{`"subscribe":{"channel":"c"}`, `"publish":{"channel":"c","data":1}`, `"history":{"channel":"c","limit":1}`} {
		c.say(fmt.Sprintf(`{"id":%d,%s}`, i+2, command))
		c.hears(fmt.Sprintf(`{"id":%d,"error":{"code":100,"message":"*","temporary":true}}`, i+2))
	}
	c = e.dial(ways[0])
	c.say(`{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "channels": []string{"c"}}) + `"}}`)
	c.hears(`{"id":1,"error":{"code":100,"message":"*","temporary":true}}`)
	if n := e.Hub.Metrics.Subscriptions.Value(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// broken is an engine with a fault.
type broken struct{ engine.Engine }

func (broken) History(context.Context, string, engine.Query) (engine.Page, error) { panic("a fault") }

// A fault of ours ends the session that met it, with a code upon which it
// comes back, and no other.
func TestAFaultEndsOneSession(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			e := listenOver(t, func(inner engine.Engine) engine.Engine { return broken{inner} })
			c, other := e.connected(w), e.connected(w)
			c.say(`{"id":2,"history":{"channel":"c"}}`)
			c.ends(3004)
			other.say(`{"id":2,"rpc":{}}`)
			other.hears(`{"id":2,"error":{"code":108,"message":"*"}}`)
		})
	}
}

// Strings that are not UTF-8 would make strict decoders give up.
func TestBrokenTextIsMended(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w)
		c.say(`{"id":2,"subscribe":{"channel":"bare:b"}}`)
		c.hears(`{"id":2,"subscribe":{}}`)
		if _, err := e.Memory.Publish(context.Background(), engine.Publication{Channel: "bare:b", Payload: []byte("1"),
			By: &message.Publisher{User: "a\xff"}, Tags: map[string]string{"k\xfe": "v\xfd"}}); err != nil {
			t.Fatal(err)
		}
		c.hears(push("bare:b", `"pub":{"data":1,"info":{"user":"a\ufffd","client":""},"tags":{"k\ufffd":"v\ufffd"}}`))
	})
}

// Commands of one session are handled in their order, though they come in
// requests of their own.
func TestEmulatedCommandsKeepTheirOrder(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[2])
	for id := 2; id < 60; id++ {
		c.say(fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"x"}}`, id))
	}
	for id := 2; id < 60; id++ {
		c.hears(fmt.Sprintf(`{"id":%d,"unsubscribe":{}}`, id))
	}
}

// carrier joins two doors as the nodes' bus does.
type carrier struct {
	id    string
	other *carrier
	take  func([]byte)
}

func (c *carrier) ID() string                           { return c.id }
func (c *carrier) Handle(_ string, f func(data []byte)) { c.take = f }
func (c *carrier) Forward(_ context.Context, node, _ string, data []byte) (int, error) {
	if c.other == nil || c.other.id != node {
		return 0, nil
	}
	c.other.take(data)
	return 1, nil
}

// Commands of a session may come to any node: there are no sticky sessions.
func TestEmulatedCommandsReachTheirNode(t *testing.T) {
	for _, w := range ways[2:] {
		t.Run(w.name, func(t *testing.T) {
			a, b := &carrier{id: "a"}, &carrier{id: "b"}
			a.other, b.other = b, a
			over := func(c *carrier) func(*centrifuge.Config) { return func(k *centrifuge.Config) { k.Peers = c } }
			owner, other := listen(t, over(a)), listen(t, over(b))
			c := owner.connected(w)
			if c.node != "a" {
				t.Fatalf("node %q", c.node)
			}
			if status := post(t, other.http, other.url, w.protobuf, c.session, c.node, c.encode([]string{`{"id":2,"subscribe":{"channel":"bare:x"}}`})); status != 204 {
				t.Fatalf("status %d", status)
			}
			c.hears(`{"id":2,"subscribe":{}}`)
			b.other = nil
			if status := post(t, other.http, other.url, w.protobuf, c.session, c.node, []byte("x")); status != 404 {
				t.Fatalf("a node that is gone: status %d", status)
			}
		})
	}
}

// An identity's rights are those of its token, in every door the same.
func TestUsersMayWhatGuestsMayNot(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0], `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
	c.say(`{"id":2,"subscribe":{"channel":"users:x"}}`, `{"id":3,"publish":{"channel":"users:x","data":1}}`)
	c.hears(`{"id":2,"subscribe":{}}`)
	if _, err := e.Gate.Publish(context.Background(), node.CallerActor(auth.Identity{Kind: auth.Guest}), engine.Publication{Channel: "users:x", Payload: []byte("2")}); err == nil {
		t.Error("a guest published")
	}
}
