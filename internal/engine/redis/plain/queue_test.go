package plain

import (
	"strings"
	"testing"

	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

// alone is an Appender that talks to no Redis: Run is not called.
func alone() (*Appender, map[string]int) {
	dropped := map[string]int{}
	return New(Config{Env: script.Env{Node: "node-12345678", Log: discard}, Dropped: func(reason string) { dropped[reason]++ }}), dropped
}

// arrive queues payloads that are one letter each.
func arrive(a *Appender, letters string) *queue {
	for _, letter := range letters {
		a.Arrived("chat", string(letter))
	}
	return a.queues["chat"]
}

func (q *queue) letters() string {
	var b strings.Builder
	for _, e := range q.entries {
		b.WriteString(e.payload)
	}
	return b.String()
}

func echo(a *Appender, offset uint64, payload string) {
	a.Seen("chat", wire.Envelope{Kind: wire.KindMessage, Message: &message.Message{
		Channel: "chat", Position: message.Position{Epoch: "e", Offset: offset}, Payload: []byte(payload), Via: message.ViaPlain,
	}})
}

func fence(a *Appender, node, token string) {
	a.Seen("chat", wire.Envelope{Kind: wire.KindFence, Node: node, Token: token})
}

// What waits is bounded by number and by bytes; what is over it is counted,
// and the count of bytes comes back to nothing.
func TestTheQueueIsBounded(t *testing.T) {
	a, dropped := alone()
	for range mostEntries + 3 {
		a.Arrived("chat", "x")
	}
	if q := a.queues["chat"]; len(q.entries) != mostEntries || dropped["overflow"] != 3 {
		t.Errorf("%d wait, dropped %v", len(q.entries), dropped)
	}
	big := strings.Repeat("x", mostBytes-mostEntries)
	a.Arrived("other", big)
	a.Arrived("third", "x")
	if len(a.queues["other"].entries) != 1 || len(a.queues["third"].entries) != 0 || dropped["overflow"] != 4 {
		t.Errorf("bytes: dropped %v", dropped)
	}
	a.Cut(func(string) bool { return true })
	if a.bytes != 0 || dropped["uncertain"] != mostEntries+1 {
		t.Errorf("%d bytes left, dropped %v", a.bytes, dropped)
	}
}

// A node that does not append drops what comes back from the log, and what lay
// before it: the holder never got that.
func TestAFollowerFollowsTheEchoes(t *testing.T) {
	a, dropped := alone()
	q := arrive(a, "abcd")
	echo(a, 1, "a")
	if got := q.letters(); got != "bcd" || len(dropped) != 0 {
		t.Errorf("%q waits, dropped %v", got, dropped)
	}
	echo(a, 2, "c")
	if got := q.letters(); got != "d" || dropped["passed_over"] != 1 {
		t.Errorf("%q waits, dropped %v", got, dropped)
	}
	echo(a, 3, "somebody else's")
	if got := q.letters(); got != "d" {
		t.Errorf("%q waits", got)
	}
}

// A fence of this node's own makes it append what waits; that of another node
// ends it, and what was seen in the log meanwhile is not appended again.
func TestFences(t *testing.T) {
	a, _ := alone()
	q := arrive(a, "abc")
	a.takeLocked(q, q.entries[0].at)
	token := q.token
	q.role = fencing
	fence(a, a.Node, "of before")
	if q.role != fencing {
		t.Fatal("the fence of an older tenure counts")
	}
	fence(a, a.Node, token)
	if q.role != holder {
		t.Fatal("its own fence does not count")
	}
	if ops := a.appendLocked(q, nil); len(ops) != 3 || ops[2].seq != 3 || ops[2].token != token {
		t.Fatalf("%+v", ops)
	}
	echo(a, 1, "a") // its answer is still on its way
	fence(a, "other", "t")
	if q.role != follower || !q.other || q.letters() != "bc" {
		t.Errorf("role %v, %q waits", q.role, q.letters())
	}
}

// The fence came back before the answer that the lease is granted.
func TestAFenceThatComesFirst(t *testing.T) {
	a, _ := alone()
	q := arrive(a, "a")
	a.takeLocked(q, q.entries[0].at)
	fence(a, a.Node, q.token)
	if q.role != taking || !q.fence {
		t.Errorf("role %v, fence %v", q.role, q.fence)
	}
	fence(a, "other", "t")
	if q.role != taking {
		t.Errorf("a fence of another ends the wait for an answer: role %v", q.role)
	}
}

// After a cut a holder appends what it has, up to then, and gives the lease
// back; it cannot know what others did meanwhile.
func TestAHolderThatIsCutGivesTheLeaseBack(t *testing.T) {
	a, dropped := alone()
	q := arrive(a, "ab")
	q.role, q.token = holder, "t"
	a.Cut(func(string) bool { return true })
	arrive(a, "c")
	ops, wait := a.planLocked(q, q.entries[0].at, nil)
	if len(ops) != 2 || ops[1].entry.payload != "b" || wait == 0 {
		t.Fatalf("%+v", ops)
	}
	a.removeLocked(q, ops[0].entry)
	a.removeLocked(q, ops[1].entry)
	ops, _ = a.planLocked(q, q.entries[0].at, nil)
	if len(ops) != 1 || ops[0].kind != opRelease || q.letters() != "c" || len(dropped) != 0 {
		t.Errorf("%+v, %q waits, dropped %v", ops, q.letters(), dropped)
	}
}
