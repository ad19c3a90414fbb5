package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/test/kit/redistest"
)

// other plays another node that appends plain PUBLISHes to a channel.
type other struct {
	n  *node // lends its client
	ch string
}

func (o other) append(token string, seq int, payload string) {
	o.n.t.Helper()
	of := o.n.env.Names.Of(o.ch)
	reply := o.n.env.Scripts.Plain.Eval(o.n.t.Context(), o.n.env.Redis.Client(), []string{of.Log(), of.Meta(), of.Lease()},
		of.Live(), "x", "1000", "3600000", "0", payload, "other", token, strconv.Itoa(seq), "60000")
	r := script.ReplyOf(reply, 3)
	if code := r.Number(); code != 1 {
		o.n.t.Fatalf("append: %d %v", code, r.Err())
	}
}

func (o other) take(token string) {
	o.n.t.Helper()
	of := o.n.env.Names.Of(o.ch)
	r := script.ReplyOf(o.n.env.Scripts.PlainTake.Eval(o.n.t.Context(), o.n.env.Redis.Client(), []string{of.Lease(), of.Meta()}, of.Live(), "other", token, "60000"), 2)
	if granted := r.Number(); granted != 1 {
		o.n.t.Fatalf("take: %d %v", granted, r.Err())
	}
}

func (o other) release() {
	of := o.n.env.Names.Of(o.ch)
	o.n.env.Scripts.PlainRelease.Eval(o.n.t.Context(), o.n.env.Redis.Client(), []string{of.Lease(), of.Meta()}, of.Live(), "other", "0")
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
	eventually(t, "it is refused", func() bool {
		return n.plain.State("chat").Refused
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
	eventually(t, "it is in the queue", func() bool { return n.plain.State("chat").Waiting == 1 })
	p.mute(true)
	o.append("t", 1, "0")
	o.release()
	eventually(t, "this node has the lease", func() bool { return n.plain.State("chat").Fencing })
	p.unmute(true)
	eventually(t, "the queue is empty", func() bool { return n.plain.State("chat").Waiting == 0 })
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
	eventually(t, "its answer is here", func() bool { return n.plain.State("chat").Waiting == 0 })
	p.mute(false)
	p.muteAt(" plain 0\n1") // the envelope of what comes now
	before := appends(server, "chat")
	server.Do("PUBLISH", "chat", "1")
	eventually(t, "Redis has it", func() bool { return appends(server, "chat") != before })
	p.cut(false)
	eventually(t, "the queue is empty", func() bool { return n.plain.State("chat").Waiting == 0 })
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
	eventually(t, "its answer is here", func() bool { return n.plain.State("chat").Waiting == 0 })
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
	eventually(t, "it is in the queue", func() bool { return n.plain.State("chat").Waiting == 1 })
	n.Unsubscribe("chat")
	eventually(t, "the plain name is gone", func() bool { return server.Do("PUBSUB", "NUMSUB", "chat") == "chat\n0" })
	server.Do("DEL", "magpie:{chat}:lease")
	wantExactly(t, n, "chat", 1)
	eventually(t, "the lease is given back", func() bool { return server.Do("EXISTS", "magpie:{chat}:lease") == "0" })
	eventually(t, "the live name is gone", func() bool { return len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))) == 3 })
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
	eventually(t, "Redis has it", func() bool { return appends(server, "chat") == "1" })
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
	eventually(t, "it holds the lease", func() bool { return n.holds("chat") })
	server.Do("PUBLISH", "magpie:{chat}:live", "f1 other t")
	eventually(t, "it is a follower", func() bool { return !n.holds("chat") })
	server.Do("PUBLISH", "chat", "1")
	wantExactly(t, n, "chat", 2)
}
