package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire joins the nodes of a test: what one sends reaches the hubs of all, or
// of one, before Send returns.
type wire struct {
	mu   sync.Mutex
	hubs map[string]func([]byte)
	deaf map[string]bool // counted as reached, and hears nothing
	down error
	sent int
}

// ear is one node's end of the wire.
type ear struct {
	*wire
	id string
}

func (e ear) NodeID() string { return e.id }

func (e ear) Send(_ context.Context, node string, data []byte) (int, error) {
	e.mu.Lock()
	if e.down != nil {
		defer e.mu.Unlock()
		return 0, e.down
	}
	e.sent++
	reached := 0
	var to []func([]byte)
	for id, h := range e.hubs {
		if node != "" && node != id {
			continue
		}
		reached++
		if !e.deaf[id] {
			to = append(to, h)
		}
	}
	e.mu.Unlock()
	for _, h := range to {
		h(bytes.Clone(data))
	}
	return reached, nil
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// member is one node of a test's cluster.
type member struct {
	*node.Peers
	t    testing.TB
	node *node.Node
	hub  *hub.Hub
}

func cluster(t testing.TB, ids ...string) (*wire, []*member) {
	t.Helper()
	w := &wire{hubs: map[string]func([]byte){}, deaf: map[string]bool{}}
	var all []*member
	for _, id := range ids {
		n := stack.New(t, stack.Options{Bus: ear{w, id}, Name: "node " + id, Timeout: 2 * time.Second, Limits: node.Limits{Payload: 1 << 16, Outbox: 1 << 20, Subscriptions: 1 << 20}})
		w.hubs[id] = n.Peers.Signal
		all = append(all, &member{Peers: n.Peers, t: t, node: n.Node, hub: n.Hub})
	}
	return w, all
}

// client is a session whose door writes down what it is told.
type client struct {
	session.Session
	key  string
	hold chan struct{} // not nil: every order waits for it

	mu   sync.Mutex
	told []string
}

func (m *member) open(user string) *client {
	m.t.Helper()
	c := &client{}
	who := auth.Identity{Kind: auth.Guest}
	if user != "" {
		who = auth.Identity{Kind: auth.User, User: user}
	}
	if err := m.node.Open(&c.Session, c, who, nil); err != nil {
		m.t.Fatal(err)
	}
	c.key = "secret of " + c.ID()
	return c
}

func (c *client) tell(format string, args ...any) {
	if c.hold != nil {
		<-c.hold
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf(format, args...))
}

func (c *client) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

func (c *client) TryWrite(b []byte) (int, error) { return len(b), nil }
func (c *client) Write([][]byte) error           { return nil }
func (c *client) CloseLink(fault.Reason)         {}
func (c *client) SessionKey() string             { return c.key }

func (c *client) ServerSubscribe(name string, o session.ServerSubscription) {
	c.tell("subscribe %s %s %v", name, o.Info, o.Recoverable)
}
func (c *client) ServerUnsubscribe(name string, code uint32, reason string) {
	c.tell("unsubscribe %s %d %s", name, code, reason)
}
func (c *client) ServerDisconnect(code uint32, reason string) {
	c.tell("disconnect %d %s", code, reason)
	c.Close(fault.ReasonKicked)
}
func (c *client) ServerRefresh(at time.Time, expired bool) {
	if at.IsZero() {
		c.tell("refresh never %v", expired)
		return
	}
	c.tell("refresh %d %v", at.Unix(), expired)
}

// plain is a session whose door knows no orders.
type plain struct{ session.Session }

func (p *plain) TryWrite(b []byte) (int, error) { return len(b), nil }
func (p *plain) Write([][]byte) error           { return nil }
func (p *plain) CloseLink(fault.Reason)         {}

func (m *member) steer(o node.Order) {
	m.t.Helper()
	if err := m.Order(m.t.Context(), o); err != nil {
		m.t.Fatalf("%s: %v", o.Action, err)
	}
}

// An order that was answered has been applied, on every node.
func TestOrdersReachTheUsersSessionsOnAllNodes(t *testing.T) {
	_, n := cluster(t, "a", "b")
	mine, far, other, guest := n[0].open("42"), n[1].open("42"), n[1].open("43"), n[0].open("")
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	n[0].steer(node.Order{Action: node.Subscribe, User: "42", Channel: "news", Subscription: &session.ServerSubscription{Info: []byte(`{"a":1}`), Recoverable: true}})
	n[1].steer(node.Order{Action: node.Unsubscribe, User: "42", Channel: "news", Code: 2000, Reason: "gone"})
	n[0].steer(node.Order{Action: node.Refresh, User: "42", ExpireAt: at.Unix()})
	n[0].steer(node.Order{Action: node.Refresh, User: "42"})
	n[1].steer(node.Order{Action: node.Disconnect, User: "42", Code: 3503, Reason: "bye"})
	want := []string{
		`subscribe news {"a":1} true`, "unsubscribe news 2000 gone",
		fmt.Sprintf("refresh %d false", at.Unix()), "refresh never false", "disconnect 3503 bye",
	}
	for _, c := range []*client{mine, far} {
		if got := c.all(); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	if len(other.all())+len(guest.all()) > 0 {
		t.Errorf("others were told %q, %q", other.all(), guest.all())
	}
}

func TestAnOrderIsForThoseThatFitAllItNames(t *testing.T) {
	_, n := cluster(t, "a", "b")
	a, b, guest := n[0].open("42"), n[1].open("42"), n[1].open("")
	disconnect := func(o node.Order) {
		t.Helper()
		o.Action, o.Channel = node.Unsubscribe, "x"
		n[0].steer(o)
	}
	check := func(c *client, want int) {
		t.Helper()
		if got := len(c.all()); got != want {
			t.Errorf("told %d times, want %d", got, want)
		}
	}
	disconnect(node.Order{Client: b.ID()})
	check(b, 1)
	disconnect(node.Order{Session: b.key})
	check(b, 2)
	disconnect(node.Order{Client: b.ID(), User: "43"})
	disconnect(node.Order{Session: b.key, Client: a.ID()})
	disconnect(node.Order{User: "42", Session: guest.key})
	check(b, 2)
	disconnect(node.Order{User: "42", Except: []string{a.ID()}})
	check(b, 3)
	check(a, 0)
	disconnect(node.Order{Client: guest.ID()}) // a guest has no other name
	check(guest, 1)
}

// Everybody without a name would be meant.
func TestAnOrderToNobodyIsRefused(t *testing.T) {
	w, n := cluster(t, "a")
	n[0].open("")
	if err := n[0].Order(t.Context(), node.Order{Action: node.Disconnect}); !errors.Is(err, node.ErrTarget) {
		t.Errorf("answered %v", err)
	}
	if w.sent != 0 {
		t.Error("it went out")
	}
}

func TestADoorWithoutOrdersCanBeLeft(t *testing.T) {
	_, n := cluster(t, "a", "b")
	p := &plain{}
	if err := n[1].node.Open(&p.Session, p, auth.Identity{Kind: auth.User, User: "42"}, nil); err != nil {
		t.Fatal(err)
	}
	n[0].steer(node.Order{Action: node.Subscribe, User: "42", Channel: "news"})
	if p.Reason() != "" {
		t.Fatalf("ended: %s", p.Reason())
	}
	n[0].steer(node.Order{Action: node.Disconnect, User: "42"})
	if p.Reason() != fault.ReasonKicked {
		t.Errorf("reason %q", p.Reason())
	}
}

// A session hears orders in the order in which they came, however many are
// applied in one walk and whichever name they use.
func TestOrdersOfOneWalkKeepTheirOrder(t *testing.T) {
	_, n := cluster(t, "a")
	c := n[0].open("42")
	c.hold = make(chan struct{})
	var want []string
	for i := range 200 {
		name := `"user":"42"`
		if i%3 == 1 {
			name = `"client":"` + c.ID() + `"`
		}
		n[0].Signal(fmt.Appendf(nil, "{\"v\":1,\"k\":\"order\",\"from\":\"z\",\"ids\":[%d]}\n{\"action\":\"unsubscribe\",\"channel\":\"%d\",%s}", i, i, name))
		want = append(want, fmt.Sprintf("unsubscribe %d 0 ", i))
	}
	close(c.hold)
	eventually(t, "not all orders came", func() bool { return len(c.all()) == len(want) })
	if got := c.all(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

// One caller that waits for each answer sees its own order kept.
func TestOrdersOfOneCallerComeInOrder(t *testing.T) {
	_, n := cluster(t, "a", "b")
	c := n[1].open("42")
	var want []string
	for i := range 100 {
		o := node.Order{Action: node.Unsubscribe, Channel: fmt.Sprint(i), User: "42"}
		if i%3 == 1 {
			o.User, o.Client = "", c.ID()
		}
		n[0].steer(o)
		want = append(want, fmt.Sprintf("unsubscribe %d 0 ", i))
	}
	if got := c.all(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

func TestANodeThatIsSilentIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := cluster(t, "a", "b")
		near := n[0].open("42")
		w.set(func() { w.deaf["b"] = true })
		begin := time.Now()
		err := n[0].Order(t.Context(), node.Order{Action: node.Unsubscribe, User: "42", Channel: "x"})
		if !errors.Is(err, node.ErrPartial) || !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("answered %v", err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("after %s", took)
		}
		if len(near.all()) != 1 {
			t.Error("the node that heard did nothing")
		}
		list, missing, err := n[0].Info(t.Context())
		if err != nil || missing != 1 || len(list) != 1 || list[0].UID != "a" {
			t.Errorf("info: %v, %d missing, %v", list, missing, err)
		}
		_, missing, err = n[0].Channels(t.Context(), "")
		if err != nil || missing != 1 {
			t.Errorf("channels: %d missing, %v", missing, err)
		}
		if got := n[0].Metrics.Partial.Value(); got != 3 {
			t.Errorf("%d partial answers counted", got)
		}
	})
}

func TestABusThatIsDownIsToldAtOnce(t *testing.T) {
	w, n := cluster(t, "a")
	w.set(func() { w.down = fmt.Errorf("gone: %w", engine.ErrUnavailable) })
	if err := n[0].Order(t.Context(), node.Order{Action: node.Disconnect, User: "42"}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("steer: %v", err)
	}
	if _, _, err := n[0].Info(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("info: %v", err)
	}
	if _, err := n[0].Forward(t.Context(), "a", "mail", nil); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("forward: %v", err)
	}
}

// A node whose own subscriber connection is off is reached by nobody, itself
// included: that is no success.
func TestAnOrderThatNobodyTookFailed(t *testing.T) {
	w, n := cluster(t, "a")
	w.set(func() { clear(w.hubs) })
	if err := n[0].Order(t.Context(), node.Order{Action: node.Disconnect, User: "42"}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("answered %v", err)
	}
}

type silent struct{}

func (silent) Deliver(*message.Batch) {}
func (silent) Gap(message.Gap)        {}

func (m *member) join(name string) *hub.Subscription {
	m.t.Helper()
	joined, err := m.hub.Join(m.t.Context(), name, silent{}, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	joined.Subscription.Live()
	m.t.Cleanup(joined.Subscription.Leave)
	return joined.Subscription
}

func TestChannelsOfAllNodes(t *testing.T) {
	_, n := cluster(t, "a", "b", "c")
	n[0].join("chat")
	n[1].join("chat")
	n[1].join("chat")
	n[1].join("news:1")
	n[2].join("empty").Leave()
	for _, c := range []struct {
		pattern string
		want    map[string]int
	}{
		{"", map[string]int{"chat": 3, "news:1": 1}},
		{"news:*", map[string]int{"news:1": 1}},
		{"c?at", map[string]int{"chat": 3}},
		{"nothing", map[string]int{}},
	} {
		got, missing, err := n[2].Channels(t.Context(), c.pattern)
		if err != nil || missing != 0 || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("pattern %q: %v, %d missing, %v; want %v", c.pattern, got, missing, err, c.want)
		}
	}
}

// Answers of any length come in parts that Redis lets a subscriber have.
func TestManyChannelsComeInParts(t *testing.T) {
	w, n := cluster(t, "a", "b")
	const count = 6000
	for i := range count {
		n[1].join(fmt.Sprintf("%0100d", i))
	}
	w.set(func() { w.sent = 0 })
	got, missing, err := n[0].Channels(t.Context(), "")
	if err != nil || missing != 0 || len(got) != count {
		t.Fatalf("%d channels, %d missing, %v", len(got), missing, err)
	}
	if w.sent < 4 { // the question, one short answer, one in parts
		t.Errorf("%d signals", w.sent)
	}
}

func TestInfoOfAllNodes(t *testing.T) {
	_, n := cluster(t, "b", "a")
	n[0].open("42")
	n[0].open("42")
	n[0].open("")
	n[0].join("chat")
	n[0].join("chat")
	list, missing, err := n[1].Info(t.Context())
	if err != nil || missing != 0 || len(list) != 2 {
		t.Fatalf("%+v, %d missing, %v", list, missing, err)
	}
	if list[0].UID != "a" || list[0].Name != "node a" || list[0].NumClients != 0 || list[0].Version == "" {
		t.Errorf("first %+v", list[0])
	}
	if i := list[1]; i.UID != "b" || i.NumClients != 3 || i.NumUsers != 2 || i.NumChannels != 1 || i.NumSubs != 2 {
		t.Errorf("second %+v", i)
	}
}

func TestForward(t *testing.T) {
	_, n := cluster(t, "a", "b")
	var got [2][]string
	for i := range n {
		n[i].Handle("mail", func(data []byte) { got[i] = append(got[i], string(data)) })
	}
	forward := func(node, kind, data string, want int) {
		t.Helper()
		reached, err := n[0].Forward(t.Context(), node, kind, []byte(data))
		if err != nil || reached != want {
			t.Errorf("to %q: reached %d, %v", node, reached, err)
		}
	}
	forward("b", "mail", "1\n{", 1)
	forward("", "mail", "2", 2)
	forward("b", "mail", "3", 1)
	forward("c", "mail", "4", 0) // it is gone
	forward("a", "other", "5", 1)
	if !slices.Equal(got[0], []string{"2"}) || !slices.Equal(got[1], []string{"1\n{", "2", "3"}) {
		t.Errorf("came: %q", got)
	}
	if n[0].Metrics.Dropped.Value() != 1 {
		t.Error("a signal without a handler is not counted")
	}
}

// A door's kind cannot give orders, whatever it is called.
func TestKindsOfDoorsAreApart(t *testing.T) {
	_, n := cluster(t, "a")
	c := n[0].open("42")
	if _, err := n[0].Forward(t.Context(), "a", "order", []byte(`{"action":"disconnect","user":"42"}`)); err != nil {
		t.Fatal(err)
	}
	n[0].steer(node.Order{Action: node.Refresh, User: "42"}) // behind it in the queue
	if got := c.all(); len(got) != 1 {
		t.Errorf("told %q", got)
	}
}

// A session that holds orders up costs memory up to a bound, and who gives
// more is told.
func TestAFullQueueIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := cluster(t, "a")
		c := n[0].open("42")
		c.hold = make(chan struct{})
		var all sync.WaitGroup
		errs := make(chan error, 9001)
		give := func() { errs <- n[0].Order(t.Context(), node.Order{Action: node.Refresh, User: "42"}) }
		all.Go(give)
		synctest.Wait() // the worker has this one, and holds
		for range 9000 {
			all.Go(give)
		}
		all.Wait() // after the patience of all
		close(c.hold)
		synctest.Wait()
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, node.ErrPartial) {
				t.Fatalf("answered %v", err)
			}
		}
		if got := n[0].Metrics.Dropped.Value(); got != 9000-8192 {
			t.Errorf("%d dropped, want %d", got, 9000-8192)
		}
	})
}

func TestCloseEndsQuestions(t *testing.T) {
	w, n := cluster(t, "a", "b")
	w.set(func() { w.deaf["b"] = true })
	failed := make(chan error)
	go func() {
		_, _, err := n[0].Info(context.Background())
		failed <- err
	}()
	eventually(t, "the question was not asked", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.sent > 0
	})
	n[0].Close()
	if err := <-failed; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("answered %v", err)
	}
	if err := n[0].Order(t.Context(), node.Order{Action: node.Refresh, User: "42"}); err == nil {
		t.Error("a closed node gave an order")
	}
}

// What comes over the bus may be anything: other versions, other programs.
func FuzzSignal(f *testing.F) {
	f.Add([]byte("{\"v\":1,\"k\":\"order\",\"from\":\"z\",\"ids\":[1]}\n{\"action\":\"disconnect\",\"user\":\"42\"}"))
	f.Add([]byte("{\"v\":1,\"k\":\"answer\",\"from\":\"z\",\"ids\":[1],\"more\":true}\n{}"))
	f.Add([]byte("{\"v\":2,\"k\":\"order\"}\n{}"))
	f.Add([]byte("{\"v\":1,\"k\":\"channels\",\"from\":\"a\"}\n*"))
	f.Add([]byte("\n"))
	f.Add([]byte{})
	w := &wire{hubs: map[string]func([]byte){}}
	n := stack.New(f, stack.Options{Bus: ear{w, "a"}}).Peers
	w.hubs["a"] = n.Signal
	f.Fuzz(func(t *testing.T, data []byte) {
		n.Signal(data)
		if _, missing, err := n.Info(t.Context()); err != nil || missing != 0 {
			t.Errorf("the node does not answer any more: %d missing, %v", missing, err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		<-tick.C
	}
}
