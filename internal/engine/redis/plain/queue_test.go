package plain

import (
	"context"
	"strings"
	"testing"
	"time"

	"magpie/internal/engine"
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
		a.Arrived("chat", string(letter), false)
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
		a.Arrived("chat", "x", false)
	}
	if q := a.queues["chat"]; len(q.entries) != mostEntries || dropped["overflow"] != 3 {
		t.Errorf("%d wait, dropped %v", len(q.entries), dropped)
	}
	big := strings.Repeat("x", mostBytes-mostEntries)
	a.Arrived("other", big, false)
	a.Arrived("third", "x", false)
	if len(a.queues["other"].entries) != 1 || len(a.queues["third"].entries) != 0 || dropped["overflow"] != 4 {
		t.Errorf("bytes: dropped %v", dropped)
	}
	a.Cut(func(string) bool { return true })
	if a.bytes != 0 || dropped["uncertain"] != mostEntries+1 {
		t.Errorf("%d bytes left, dropped %v", a.bytes, dropped)
	}
}

// A node that does not append drops what comes back from the log. What lay
// before it stays: the holder never got that, and is asked for the lease.
func TestAFollowerFollowsTheEchoes(t *testing.T) {
	a, dropped := alone()
	q := arrive(a, "abcd")
	echo(a, 1, "a")
	if got := q.letters(); got != "bcd" || len(dropped) != 0 {
		t.Errorf("%q waits, dropped %v", got, dropped)
	}
	echo(a, 2, "c")
	if got := q.letters(); got != "bd" || len(dropped) != 0 {
		t.Errorf("%q waits, dropped %v", got, dropped)
	}
	echo(a, 3, "somebody else's")
	if got := q.letters(); got != "bd" {
		t.Errorf("%q waits", got)
	}
	if got := q.words(q.entries[0].at.Add(time.Hour)); got != " want" {
		t.Errorf("it says %q when it asks for the lease", got)
	}
	echo(a, 4, "b")
	if got := q.words(q.entries[0].at.Add(time.Hour)); got != "" || q.letters() != "d" {
		t.Errorf("it says %q, %q waits", got, q.letters())
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

// An echo is of a plain PUBLISH, and not of one that this node has appended
// itself: an equal payload that came later still waits.
func TestAnEchoIsNotTakenForAnother(t *testing.T) {
	a, _ := alone()
	q := arrive(a, "aa")
	a.Seen("chat", wire.Envelope{Kind: wire.KindMessage, Message: &message.Message{
		Channel: "chat", Position: message.Position{Epoch: "e", Offset: 4}, Payload: []byte("a"), Via: message.ViaHTTP,
	}})
	q.own = message.Position{Epoch: "e", Offset: 5}
	echo(a, 5, "a")
	if got := q.letters(); got != "aa" {
		t.Errorf("%q waits", got)
	}
	echo(a, 6, "a")
	if got := q.letters(); got != "a" {
		t.Errorf("%q waits", got)
	}
}

// While another node holds the lease nobody asks for it, until an entry has
// waited long; a notice that it was given back is asked after at once.
func TestALeaseThatIsFreedIsTaken(t *testing.T) {
	a, _ := alone()
	q := arrive(a, "a")
	now := q.entries[0].at
	q.other, q.tried = true, now.Add(-leasePatience)
	if ops, wait := a.planLocked(q, now, nil); len(ops) != 0 || wait != leasePatience {
		t.Errorf("asked too early: %+v, %s", ops, wait)
	}
	a.Seen("chat", wire.Envelope{Kind: wire.KindRelease, Node: a.Node})
	if ops, _ := a.planLocked(q, now, nil); len(ops) != 0 {
		t.Errorf("its own notice: %+v", ops)
	}
	a.Seen("chat", wire.Envelope{Kind: wire.KindRelease, Node: "other"})
	if ops, _ := a.planLocked(q, now, nil); len(ops) != 1 || ops[0].kind != opTake || ops[0].token != q.token {
		t.Errorf("not asked for: %+v", ops)
	}
}

// A channel that was left waits for its entries to be appended, and not for ever.
func TestALeftChannelEnds(t *testing.T) {
	a, _ := alone()
	if a.Left("chat") {
		t.Error("there is nothing to wait for")
	}
	q := arrive(a, "a")
	if !a.Left("chat") {
		t.Error("its entry is not waited for")
	}
	q.tried = q.used
	if _, wait := a.planLocked(q, q.used.Add(leavePatience), nil); wait == 0 || len(q.entries) != 1 {
		t.Error("it has ended too early")
	}
	q.role = follower
	if _, wait := a.planLocked(q, q.used.Add(leavePatience+1), nil); wait == 0 && a.queues["chat"] != nil || len(q.entries) != 0 {
		t.Errorf("it goes on: %d entries, %s", len(q.entries), wait)
	}
	a.Left("chat")
	arrive(a, "b") // somebody listens again
	if q := a.queues["chat"]; q == nil || q.leaving {
		t.Error("a new entry does not keep the channel")
	}
}

// After a cut what was received and not seen in the log waits on, and the log
// tells what became of it meanwhile: nothing is lost, nothing appended again.
func TestACutQueueLearnsFromTheLog(t *testing.T) {
	a, dropped := alone()
	asked := message.Position{}
	a.Read = func(_ context.Context, ch string, q engine.Query) (engine.Page, error) {
		asked = *q.Since
		page := engine.Page{Top: message.Position{Epoch: "e", Offset: 3}}
		for i, payload := range []string{"b", "nobody's"} {
			page.Messages = append(page.Messages, &message.Message{
				Channel: ch, Position: message.Position{Epoch: "e", Offset: uint64(i + 2)}, Payload: []byte(payload), Via: message.ViaPlain,
			})
		}
		return page, nil
	}
	q := arrive(a, "abc")
	echo(a, 1, "a")
	a.Cut(func(string) bool { return true })
	echo(a, 4, "d") // live again, and beyond what is read next
	a.replay(t.Context(), q)
	if q.letters() != "c" || asked.Offset != 1 || !q.unsure || len(dropped) != 0 {
		t.Errorf("%q waits, read from %v, unsure %v, dropped %v", q.letters(), asked, q.unsure, dropped)
	}
	q.top.Offset = 3
	a.replay(t.Context(), q)
	if q.letters() != "c" || q.unsure {
		t.Errorf("%q waits, unsure %v", q.letters(), q.unsure)
	}
	echo(a, 4, "c")
	if q.letters() != "" || len(dropped) != 0 || a.bytes != 0 {
		t.Errorf("%q waits, dropped %v", q.letters(), dropped)
	}
}

// A holder that another node asks for the lease appends what it has and gives
// it back; others are not asked.
func TestAHolderGivesWhatIsWanted(t *testing.T) {
	a, _ := alone()
	q := arrive(a, "a")
	q.role, q.token = holder, "t"
	a.Seen("chat", wire.Envelope{Kind: wire.KindWant, Node: a.Node})
	if q.release {
		t.Fatal("it gives the lease back to itself")
	}
	a.Seen("chat", wire.Envelope{Kind: wire.KindWant, Node: "other"})
	if !q.release || q.last != q.entries[0] || q.missed {
		t.Errorf("release %v", q.release)
	}
}

// When a channel moves to another master nodes follow at different moments. What
// another node may have appended younger ones before is lost, never late.
func TestAMovedChannelKeepsOrder(t *testing.T) {
	everything := func(string) bool { return true }
	a, dropped := alone()
	q := arrive(a, "ab")
	echo(a, 1, "a")
	a.Moved(everything)
	if q.letters() != "" || dropped["uncertain"] != 1 {
		t.Errorf("a follower: %q waits, dropped %v", q.letters(), dropped)
	}
	for _, letter := range "cdef" {
		a.Arrived("chat", string(letter), letter < 'f')
	}
	echo(a, 2, "e")
	if q.letters() != "f" || a.uncertain != 2 || a.bytes != 1 {
		t.Errorf("what the holder passed over: %q waits, %d dropped", q.letters(), a.uncertain)
	}
	if dropped["uncertain"] != 1 {
		t.Errorf("reported under the lock: %v", dropped)
	}
	q.role, q.token = holder, "t"
	a.Moved(everything)
	a.Arrived("chat", "g", true)
	if q.letters() != "fg" || q.role != holder || !q.release || q.last != q.entries[0] {
		t.Errorf("a holder: %q waits, release %v", q.letters(), q.release)
	}
	fence(a, "other", "u")
	if q.letters() != "g" || a.uncertain != 3 {
		t.Errorf("a holder no more: %q waits, %d dropped", q.letters(), a.uncertain)
	}
}
