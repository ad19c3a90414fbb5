package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/test/kit/redistest"
)

// other plays another node that appends plain PUBLISHes to a channel.
type other struct {
	n  *node // lends its client
	ch string
}

func (o other) append(token string, seq int, payload string) string {
	k := o.n.keys
	reply := plainScript.eval(o.n.t.Context(), o.n.client, []string{k.log(o.ch), k.meta(o.ch), k.lease(o.ch)},
		k.live(o.ch), "x", "1000", "3600000", payload, "other", token, strconv.Itoa(seq), "60000")
	list, err := reply.ToArray()
	if err != nil {
		o.n.t.Fatal(err)
	}
	code, _ := list[0].AsInt64()
	last, _ := list[1].AsInt64()
	return fmt.Sprint(code, " ", last)
}

func (o other) take(token string) string {
	k := o.n.keys
	reply := takeScript.eval(o.n.t.Context(), o.n.client, []string{k.lease(o.ch), k.meta(o.ch)}, k.live(o.ch), "other", token, "60000")
	list, err := reply.ToArray()
	if err != nil {
		o.n.t.Fatal(err)
	}
	code, _ := list[0].AsInt64()
	text, _ := list[1].ToString()
	return fmt.Sprint(code, " ", text)
}

func (o other) release() {
	releaseScript.eval(o.n.t.Context(), o.n.client, []string{o.n.keys.lease(o.ch)}, o.n.keys.live(o.ch), "other")
}

func (n *node) queued(ch string) (entries int, role tenure) {
	n.plain.mu.Lock()
	defer n.plain.mu.Unlock()
	if h := n.plain.holds[ch]; h != nil {
		return len(h.queue), h.role
	}
	return 0, follower
}

// The script alone: only the holder appends, in its own order, each entry
// once, whatever comes late or again.
func TestPlainScript(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	o := other{n, "chat"}
	step := func(got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	step(o.append("a", 1, "x"), "0 0") // no lease
	step(o.take("a"), "1 ")
	step(o.append("b", 1, "x"), "0 0") // another tenure
	step(o.append("a", 2, "x"), "3 0") // not its turn
	step(o.append("a", 1, "0"), "1 1")
	step(o.append("a", 1, "0"), "2 1") // again
	step(o.append("a", 3, "x"), "3 1")
	server.Do("DEL", "magpie:{chat}:lease")
	step(o.append("a", 2, "1"), "1 2") // ran out, and nobody came
	step(o.take("b"), "1 a 2")
	step(o.append("a", 3, "x"), "0 0") // late, of an older tenure
	step(o.append("b", 1, "2"), "1 3")
	server.Do("DEL", "magpie:{chat}:lease")
	step(o.append("a", 3, "x"), "0 0")
	server.Do("SET", "magpie:{chat}:lease", "somebody t")
	step(o.append("b", 2, "x"), "0 0")
	step(o.take("c"), "0 somebody t")
	wantExactly(t, n, "chat", 3)
}

// While another node holds the lease, nothing is appended here.
func TestPlainFollowerWaits(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	n.sink.Wait(t, "chat", 1)
	server.Do("SET", "magpie:{chat}:lease", "other t")
	server.Do("PUBLISH", "chat", "1")
	eventually(t, "it is refused", 5*time.Second, func() bool {
		n.plain.mu.Lock()
		defer n.plain.mu.Unlock()
		return n.plain.holds["chat"].other
	})
	if got := n.log("chat"); len(got) != 1 {
		t.Errorf("appended without the lease: %q", got)
	}
	server.Do("DEL", "magpie:{chat}:lease")
	wantExactly(t, n, "chat", 2)
}

// The lease is free, but what its last holder appended has not come back yet:
// only the fence tells that it has.
func TestPlainTakeoverWaitsForItsFence(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n, helper := startNode(t, server, p.use), startNode(t, server, nil)
	n.subscribe("chat")
	o := other{helper, "chat"}
	o.take("t")
	server.Do("PUBLISH", "chat", "0")
	eventually(t, "it is in the queue", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 1 })
	p.mute(true)
	o.append("t", 1, "0")
	o.release()
	eventually(t, "this node has the lease", 5*time.Second, func() bool { _, role := n.queued("chat"); return role == fencing })
	p.unmute(true)
	eventually(t, "the queue is empty", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 0 })
	server.Do("PUBLISH", "chat", "1")
	wantExactly(t, n, "chat", 2)
}

// An entry is appended, the answer is lost, and its echo is late: the next
// tenure reads from the log's meta how far the last one got.
func TestPlainLostAnswerIsResolved(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n := startNode(t, server, p.use)
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	n.sink.Wait(t, "chat", 1)
	eventually(t, "its answer is here", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 0 })
	p.mute(false)
	p.muteAt(" plain 0\n1") // the envelope of what comes now
	before := appends(server)
	server.Do("PUBLISH", "chat", "1")
	eventually(t, "Redis has it", 5*time.Second, func() bool { return appends(server) != before })
	p.cut(false)
	eventually(t, "the queue is empty", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 0 })
	p.unmute(true)
	server.Do("PUBLISH", "chat", "2")
	wantExactly(t, n, "chat", 3)
}

// The same, but another node has appended since: meta says nothing about the
// lost answer any more, the echo does.
func TestPlainLostAnswerAfterAnotherTenure(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n, helper := startNode(t, server, p.use), startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	n.sink.Wait(t, "chat", 1)
	eventually(t, "its answer is here", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 0 })
	p.mute(false)
	server.Do("PUBLISH", "chat", "1")
	n.sink.Wait(t, "chat", 2) // the echo is here, the answer is not
	server.Do("DEL", "magpie:{chat}:lease")
	o := other{helper, "chat"}
	o.take("t")
	o.append("t", 1, "2")
	n.sink.Wait(t, "chat", 3)
	p.cut(false)
	o.release()
	server.Do("PUBLISH", "chat", "3")
	wantExactly(t, n, "chat", 4)
}

// The last listener leaves with something in its queue.
func TestPlainLeavingAppendsFirst(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("SET", "magpie:{chat}:lease", "other t")
	server.Do("PUBLISH", "chat", "0")
	eventually(t, "it is in the queue", 5*time.Second, func() bool { q, _ := n.queued("chat"); return q == 1 })
	n.Unsubscribe("chat")
	eventually(t, "the plain name is gone", 5*time.Second, func() bool { return server.Do("PUBSUB", "NUMSUB", "chat") == "chat\n0" })
	server.Do("DEL", "magpie:{chat}:lease")
	wantExactly(t, n, "chat", 1)
	eventually(t, "the lease is given back", time.Second, func() bool { return server.Do("EXISTS", "magpie:{chat}:lease") == "0" })
	eventually(t, "the live name is gone", 5*time.Second, func() bool { return len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))) == 3 })
}

// D7: Redis answers, and delivers nothing on the subscriber connection.
func TestD7SilentSubscriberConnection(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n := startNode(t, server, p.use)
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	p.mute(true)
	eventually(t, "not ready", 2*time.Second, func() bool { return n.Ready() != nil })
	if _, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("1")}); err != nil {
		t.Errorf("publishing works all the while: %v", err)
	}
	// The node gives the connection up by itself, before the client library's
	// own pings would; only new ones are let through.
	eventually(t, "the connection is given up", 3500*time.Millisecond, func() bool { whole, _ := n.only.subscriber.state(); return !whole })
	p.cut(true)
	eventually(t, "subscribed again", 5*time.Second, func() bool { return n.sink.Rechecks() > rechecks })
	n.back()
	n.publish("chat", "2")
	n.sink.Wait(t, "chat", 1)
}

// A name that Redis ends unasked (a cluster does) comes back, with a recheck.
func TestUnaskedUnsubscribeHeals(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	rechecks := n.sink.Rechecks()
	n.only.subscriber.confirmed(rueidis.PubSubSubscription{Kind: "unsubscribe", Channel: "magpie:{chat}:live"})
	eventually(t, "a recheck", 5*time.Second, func() bool { return n.sink.Rechecks() > rechecks })
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
}

// D4 (fault B23): the answer to a publish is lost; the retry with the same
// key gets the first result.
func TestD4RetryAfterALostAnswer(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n := startNode(t, server, p.use)
	n.publish("other", "x") // makes the script known: one round trip from now on
	p.mute(false)
	pub := engine.Publication{Channel: "chat", Payload: []byte("x"), IdempotencyKey: "k"}
	failed := make(chan error, 1)
	go func() {
		_, err := n.Publish(context.Background(), pub)
		failed <- err
	}()
	eventually(t, "Redis has it", 5*time.Second, func() bool { return appends(server) == "2" })
	p.cut(false)
	if err := <-failed; !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("lost answer: %v", err)
	}
	res, err := n.Publish(t.Context(), pub)
	if err != nil || !res.Duplicate || res.Position.Offset != 1 {
		t.Errorf("retry: %+v %v", res, err)
	}
}

// A fence of another node ends a tenure at once, before any answer says so:
// what follows it may be that node's.
func TestPlainFenceOfAnotherEndsTheTenure(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	eventually(t, "it holds the lease", 5*time.Second, func() bool { return n.holds("chat") })
	server.Do("PUBLISH", "magpie:{chat}:live", "f1 other t")
	eventually(t, "it is a follower", 5*time.Second, func() bool { _, role := n.queued("chat"); return role == follower })
	server.Do("PUBLISH", "chat", "1")
	wantExactly(t, n, "chat", 2)
}
