package enginetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

func twoNodes(f *fixture) {
	nodes := []*Node{f.node(), f.node()}
	for _, n := range nodes {
		n.subscribe("chat")
	}
	together(2, func(i int) { nodes[i].publish("chat", 100) })
	atA, atB := nodes[0].Sink.Wait(f.T, "chat", 200), nodes[1].Sink.Wait(f.T, "chat", 200)
	checkTimeline(f.T, atA, 200)
	checkTimeline(f.T, atB, 200)
	if !slices.Equal(texts(atA), texts(atB)) {
		f.Error("the two nodes saw different messages")
	}
}

func idempotencyAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	first, second := a.publishAs(once), b.publishAs(once)
	if !second.Duplicate || first.Position != second.Position {
		f.Errorf("first %+v, second %+v", first, second)
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

func presence(f *fixture) {
	n := f.node()
	ann := engine.Member{Session: "s1", User: "ann", ConnInfo: []byte(`{"n":1}`)}
	bo := engine.Member{Session: "s2", User: "bo"}
	n.join("chat", ann)
	n.join("chat", ann, bo)
	n.waitMembers("chat", "s1 ann {\"n\":1}", "s2 bo ")
	n.leave("chat", "s1", bo)
	n.waitMembers("chat", "s2 bo ")
	n.waitMembers("other")
}

func presenceAcrossNodes(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1", User: "ann"})
	b.join("chat", engine.Member{Session: "s2", User: "bo"})
	a.waitMembers("chat", "s1 ann ", "s2 bo ")
	b.waitMembers("chat", "s1 ann ", "s2 bo ")
	a.leave("chat", "s1")
	b.waitMembers("chat", "s2 bo ")
}

func presenceOfClosedNode(f *fixture) {
	a, b := f.node(), f.node()
	a.join("chat", engine.Member{Session: "s1"})
	b.waitMembers("chat", "s1  ")
	if err := a.Close(f.Context()); err != nil {
		f.Fatal(err)
	}
	b.waitMembers("chat")
}

// presenceTold: a node finds its own members at once, and others do once Told has
// returned.
func presenceTold(f *fixture) {
	a, b := f.node(), f.node()
	has := func(n *Node, session string) bool {
		list, err := n.Members(f.Context(), "chat")
		if err != nil {
			f.Fatal(err)
		}
		return slices.ContainsFunc(list, func(m engine.Member) bool { return m.Session == session })
	}
	told := func(n *Node) {
		if err := n.Told(f.Context(), slices.Values([]string{"other", "chat"})); err != nil {
			f.Fatal(err)
		}
	}
	told(a) // nothing to wait for
	a.join("chat", engine.Member{Session: "s1"})
	if !has(a, "s1") {
		f.Error("a node does not find its own member")
	}
	told(a)
	if !has(b, "s1") {
		f.Error("another node does not find a member that it may be told of")
	}
	a.leave("chat", "s1")
	if has(a, "s1") {
		f.Error("a node finds who has left it")
	}
	told(a)
	if has(b, "s1") {
		f.Error("another node finds who has left")
	}
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

func (n *Node) waitMembers(name string, want ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool {
		var got []string
		for _, m := range ask(n, "members", func(ctx context.Context) ([]engine.Member, error) { return n.Members(ctx, name) }) {
			got = append(got, fmt.Sprintf("%s %s %s", m.Session, m.User, m.ConnInfo))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

func signalSelf(f *fixture) {
	n := f.node()
	if n.NodeID() == "" {
		f.Fatal("the node has no name")
	}
	n.send("", "to all\x00\xff")
	n.send(n.NodeID(), "to me")
	n.waitSignals("to all\x00\xff", "to me")
	if reached := n.send("nobody", "x"); reached != 0 {
		f.Errorf("a node that is not there: reached %d", reached)
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
	return ask(n, "send", func(ctx context.Context) (int, error) { return n.Send(ctx, node, []byte(data)) })
}

func (n *Node) waitSignals(want ...string) {
	n.t.Helper()
	n.Sink.WaitFor(n.t, func() bool { return slices.Equal(n.Sink.Signals(), want) })
}

func noteSelf(f *fixture) {
	n := f.node()
	n.keep("a b", time.Hour)
	n.waitNotes("a b")
}

func notes(f *fixture) {
	a, b := f.node(), f.node()
	a.keep("one", time.Hour)
	b.keep("two", time.Hour)
	b.keep("over", -2*time.Hour)
	a.waitNotes("one", "two", "over")
	b.waitNotes("one", "two", "over")
	a.keep("three", time.Hour) // what has ended is taken out
	late := f.node()
	if got := late.notes(); !slices.Equal(got, []string{"one", "three", "two"}) {
		f.Errorf("a node that starts later knows %q", got)
	}
}

func (n *Node) keep(text string, left time.Duration) {
	n.t.Helper()
	ask(n, "keep", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, n.Keep(ctx, []engine.Note{{Text: text, Ends: time.Now().Add(left).Unix()}})
	})
}

func (n *Node) notes() (texts []string) {
	for _, note := range n.Sink.Notes() {
		texts = append(texts, note.Text)
	}
	slices.Sort(texts)
	return texts
}

func (n *Node) waitNotes(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	n.Sink.WaitFor(n.t, func() bool { return slices.Equal(n.notes(), want) })
}

func secret(f *fixture) {
	n := f.node()
	first, second := n.secret("key", "a\x00b"), n.secret("key", "other")
	if first != "a\x00b" || second != first || n.secret("else", "x") != "x" {
		f.Errorf("kept %q, then %q", first, second)
	}
}

func secretAcrossNodes(f *fixture) {
	nodes := []*Node{f.node(), f.node()}
	kept := make([]string, 20)
	together(len(kept), func(i int) { kept[i] = nodes[i%2].secret("key", fmt.Sprint("fresh", i)) })
	for _, k := range kept {
		if k != kept[0] {
			f.Fatalf("nodes keep %q and %q", kept[0], k)
		}
	}
}

func (n *Node) secret(name, fresh string) string {
	n.t.Helper()
	return string(ask(n, "secret", func(ctx context.Context) ([]byte, error) { return n.Secret(ctx, name, []byte(fresh), func([]byte) {}) }))
}
