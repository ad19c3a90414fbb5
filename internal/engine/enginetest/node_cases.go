package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

func presence(f *fixture) {
	n := f.node()
	ann := engine.Member{Session: "s1", User: "ann", ConnInfo: []byte(`{"n":1}`)}
	bo := engine.Member{Session: "s2", User: "bo"}
	n.join("chat", ann)
	n.join("chat", ann, bo)
	n.waitMembers("chat", "s1", "s2")
	n.leave("chat", "s1", bo)
	n.waitMembers("chat", "s2")
	n.waitMembers("other")
}

func twoNodes(f *fixture) {
	a, b := f.node(), f.node()
	a.subscribe("chat")
	b.subscribe("chat")
	var wg sync.WaitGroup
	for _, n := range []*Node{a, b} {
		wg.Go(func() {
			for i := range 100 {
				if _, err := n.Publish(f.Context(), engine.Publication{Channel: "chat", Payload: fmt.Append(nil, i)}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	atA := a.Sink.Wait(f.T, "chat", 200)
	atB := b.Sink.Wait(f.T, "chat", 200)
	checkTimeline(f.T, atA, 200)
	checkTimeline(f.T, atB, 200)
	if !slices.Equal(texts(atA), texts(atB)) {
		f.Error("the two nodes saw different messages")
	}
}

func idempotencyAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	p := engine.Publication{Channel: "chat", Payload: []byte("once"), IdempotencyKey: "k"}
	first, second := a.publishAs(p), b.publishAs(p)
	if !second.Duplicate || first.Position != second.Position {
		f.Errorf("first %+v, second %+v", first, second)
	}
}

func presenceAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1", User: "ann"})
	b.join("chat", engine.Member{Session: "s2", User: "bo"})
	a.waitMembers("chat", "s1", "s2")
	b.waitMembers("chat", "s1", "s2")
	a.leave("chat", "s1")
	b.waitMembers("chat", "s2")
}

func presenceOfClosedNode(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1"})
	b.waitMembers("chat", "s1")
	if err := a.Close(f.Context()); err != nil {
		f.Fatal(err)
	}
	b.waitMembers("chat")
}

// join adds the last of all, with all as the node's own members from now on.
func (n *Node) join(name string, all ...engine.Member) {
	n.Sink.SetMembers(name, all...)
	n.Join(name, all[len(all)-1])
}

func (n *Node) leave(name, session string, left ...engine.Member) {
	n.Sink.SetMembers(name, left...)
	n.Leave(name, session)
}

func (n *Node) waitMembers(name string, sessions ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		members, err := n.Members(n.t.Context(), name)
		if err != nil {
			n.t.Fatal(err)
		}
		var got []string
		for _, m := range members {
			got = append(got, m.Session)
		}
		slices.Sort(got)
		return slices.Equal(got, sessions)
	})
}

func joinsAndLeaves(f *fixture) {
	n := f.node()
	n.subscribe("chat")
	ann := &message.Publisher{User: "ann", Session: "s1", ConnInfo: []byte(`{"n":1}`)}
	for _, kind := range []message.Kind{message.Join, message.Leave} {
		res := n.publishAs(engine.Publication{Channel: "chat", Kind: kind, By: ann})
		if res.Position != (message.Position{}) {
			f.Errorf("kind %d got the position %v", kind, res.Position)
		}
	}
	got := n.Sink.Wait(f.T, "chat", 2)
	if got[0].Kind != message.Join || got[1].Kind != message.Leave || got[0].Logged() || got[0].By == nil ||
		got[0].By.User != "ann" || got[0].By.Session != "s1" || string(got[0].By.ConnInfo) != `{"n":1}` {
		f.Errorf("got %+v and %+v", got[0], got[1])
	}
	if page := n.history("chat", engine.Query{Limit: engine.All}); len(page.Messages) != 0 || page.Top.Offset != 0 {
		f.Errorf("they are in the log: %+v", page)
	}
}

func joinsAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	b.subscribe("chat")
	a.publishAs(engine.Publication{Channel: "chat", Kind: message.Join, By: &message.Publisher{User: "ann"}})
	if got := b.Sink.Wait(f.T, "chat", 1)[0]; got.Kind != message.Join || got.By.User != "ann" {
		f.Errorf("got %+v", got)
	}
}

func batch(f *fixture) {
	n := f.node()
	n.publishAs(engine.Publication{Channel: "c7", Payload: []byte("other"), IdempotencyKey: "k"})
	var all []engine.Publication
	for i := range 500 {
		all = append(all, engine.Publication{Channel: fmt.Sprint("c", i), Payload: []byte("x"), IdempotencyKey: "k"})
	}
	outcomes := n.PublishAll(f.Context(), all)
	if len(outcomes) != len(all) {
		f.Fatalf("%d outcomes", len(outcomes))
	}
	for i, o := range outcomes {
		if i == 7 {
			if !errors.Is(o.Err, engine.ErrConflict) {
				f.Errorf("c7: %v, want ErrConflict", o.Err)
			}
		} else if o.Err != nil || o.Position.Offset != 1 {
			f.Errorf("c%d: %+v", i, o)
		}
	}
	if got := n.PublishAll(f.Context(), nil); len(got) != 0 {
		f.Errorf("outcomes of nothing: %v", got)
	}
}

func signalSelf(f *fixture) {
	n := f.node()
	bus := n
	if bus.NodeID() == "" {
		f.Fatal("the node has no name")
	}
	n.send("", "to all\x00\xff")
	n.send(bus.NodeID(), "to me")
	n.waitSignals("to all\x00\xff", "to me")
	if reached, err := bus.Send(f.Context(), "nobody", []byte("x")); err != nil || reached != 0 {
		f.Errorf("a node that is not there: reached %d, %v", reached, err)
	}
}

func signals(f *fixture) {
	a, b := f.node(), f.node()
	name := b.NodeID()
	if name == a.NodeID() {
		f.Fatalf("both nodes are called %q", name)
	}
	if got := a.send("", "1"); got != 2 {
		f.Errorf("a signal to all reached %d nodes", got)
	}
	if got := a.send(name, "2"); got != 1 {
		f.Errorf("a signal to one reached %d nodes", got)
	}
	a.send("", "3")
	b.waitSignals("1", "2", "3")
	a.waitSignals("1", "3")
}

func (n *Node) send(node, data string) int {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	reached, err := n.Send(ctx, node, []byte(data))
	if err != nil {
		n.t.Fatalf("send: %v", err)
	}
	return reached
}

func (n *Node) waitSignals(want ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		var got []string
		for _, b := range n.Sink.Signals() {
			got = append(got, string(b))
		}
		return slices.Equal(got, want)
	})
}

func vault(f *fixture) {
	n := f.node()
	first, second := n.keep("key", "a\x00b"), n.keep("key", "other")
	if first != "a\x00b" || second != first || n.keep("else", "x") != "x" {
		f.Errorf("kept %q, then %q", first, second)
	}
}

func vaultAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	var wg sync.WaitGroup
	kept := make([]string, 20)
	for i := range kept {
		wg.Go(func() { kept[i] = []*Node{a, b}[i%2].keep("key", fmt.Sprint("fresh", i)) })
	}
	wg.Wait()
	for _, k := range kept {
		if k != kept[0] {
			f.Fatalf("nodes keep %q and %q", kept[0], k)
		}
	}
}

func (n *Node) keep(name, fresh string) string {
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	b, err := n.Secret(ctx, name, []byte(fresh))
	if err != nil {
		n.t.Errorf("keep: %v", err)
	}
	return string(b)
}
