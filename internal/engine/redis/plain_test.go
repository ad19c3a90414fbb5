package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// plainLoad publishes numbers 0, 1, 2, … with plain PUBLISH until stop, and
// returns how many.
func plainLoad(t *testing.T, server *redistest.Server, ch string) (stop func() int) {
	t.Helper()
	done := make(chan struct{})
	var sent atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := server.Try("PUBLISH", ch, strconv.FormatInt(sent.Load(), 10)); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	return func() int {
		close(done)
		wg.Wait()
		return int(sent.Load())
	}
}

// wantExactly waits until the log holds 0 to total-1, each once, in order.
func wantExactly(t *testing.T, n *node, ch string, total int) {
	t.Helper()
	var got []string
	eventually(t, "all in the log", func() bool {
		got = n.log(ch)
		return len(got) >= total
	})
	if len(got) != total {
		t.Errorf("%d entries in the log for %d publishes", len(got), total)
	}
	for i, text := range got {
		if text != strconv.Itoa(i) {
			t.Fatalf("entry %d is %q: lost, doubled or out of order", i, text)
		}
	}
}

func (n *node) holds(ch string) bool { return n.plain.State(ch).Holds }

// P1, D5: a plain PUBLISH gets its place in the log and comes back from there.
func TestPlainPublishGetsAnOffset(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.subscribe("chat")
	b.subscribe("chat")
	payload := "{\"content\":\"h\xc3\xbc\r\n\x00\"}"
	if got := server.Do("PUBLISH", "chat", payload); got != "2" {
		t.Errorf("PUBLISH reached %s nodes", got)
	}
	for _, n := range []*node{a, b} {
		m := n.sink.Wait(t, "chat", 1)[0]
		if m.Offset != 1 || string(m.Payload) != payload || m.Via != message.ViaPlain {
			t.Errorf("got %v %q via %s", m.Position, m.Payload, m.Via)
		}
	}
	// An API publish takes its place in the same order.
	a.publish("chat", "next")
	server.Do("PUBLISH", "chat", "last")
	for i, m := range b.sink.Wait(t, "chat", 3) {
		if m.Offset != uint64(i+1) {
			t.Errorf("message %d at %v", i, m.Position)
		}
	}
}

func TestPlainPublishExactlyOnceOnThreeNodes(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*node{startNode(t, server, nil), startNode(t, server, nil), startNode(t, server, nil)}
	for _, n := range nodes {
		n.subscribe("long")
	}
	stop := plainLoad(t, server, "long")
	nodes[0].sink.Wait(t, "long", 300)
	total := stop()
	wantExactly(t, nodes[0], "long", total)
	for _, n := range nodes {
		for i, m := range n.sink.Wait(t, "long", total) {
			if m.Offset != uint64(i+1) || string(m.Payload) != strconv.Itoa(i) {
				t.Fatalf("message %d is %v %q", i, m.Position, m.Payload)
			}
		}
	}
}

// Equal payloads are different messages.
func TestPlainEqualPayloads(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.subscribe("chat")
	b.subscribe("chat")
	for range 200 {
		server.Do("PUBLISH", "chat", "same")
	}
	a.sink.Wait(t, "chat", 200)
	if got := len(a.log("chat")); got != 200 {
		t.Errorf("%d entries for 200 publishes", got)
	}
}

// The holder dies as kill -9 does, under load: what another node received too
// is neither lost nor doubled.
func TestPlainHolderCrash(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			server := redistest.Start(t)
			nodes := []*node{startNode(t, server, nil), startNode(t, server, nil)}
			for _, n := range nodes {
				n.subscribe("long")
			}
			stop := plainLoad(t, server, "long")
			nodes[0].sink.Wait(t, "long", 200)
			dead, alive := nodes[0], nodes[1]
			if nodes[1].holds("long") {
				dead, alive = alive, dead
			}
			dead.crash()
			got := len(alive.sink.Messages("long"))
			took := eventually(t, "another node appends", func() bool {
				return len(alive.sink.Messages("long")) > got+100
			})
			t.Logf("the other node took over within %s", took.Round(time.Millisecond))
			wantExactly(t, alive, "long", stop())
		})
	}
}

// Nodes come and go under load, one always listens: nothing lost, nothing
// doubled, and no wait for a lease to run out.
func TestPlainGracefulHandover(t *testing.T) {
	server := redistest.Start(t)
	current := startNode(t, server, nil)
	current.subscribe("long")
	stop := plainLoad(t, server, "long")
	for round := range 6 {
		next := startNode(t, server, nil)
		next.subscribe("long")
		next.sink.Wait(t, "long", 50)
		if round%2 == 0 {
			current.Unsubscribe("long")
		} else if err := current.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := len(next.sink.Messages("long"))
		took := eventually(t, "the next node appends", func() bool { return len(next.sink.Messages("long")) > got+50 })
		t.Logf("round %d: %s", round, took.Round(time.Millisecond))
		current = next
	}
	wantExactly(t, current, "long", stop())
}

// The only listener leaves: what it received is in the log, and the lease is
// free at once.
func TestPlainLastListenerLeaves(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	for i := range 100 {
		server.Do("PUBLISH", "chat", strconv.Itoa(i))
	}
	n.Unsubscribe("chat")
	wantExactly(t, n, "chat", 100)
	eventually(t, "the lease is given back", func() bool { return server.Do("EXISTS", "magpie:{chat}:lease") == "0" })
	eventually(t, "both names are gone", func() bool {
		return len(strings.Fields(server.Do("PUBSUB", "CHANNELS", "*chat*"))) == 0
	})
}

// A node that closes appends all that Redis handed to it: a publisher whose
// PUBLISH was answered with 1 need not publish again.
func TestPlainCloseTakesInWhatItReceived(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("long")
	taken := make(chan int)
	go func() {
		for i := 0; ; i++ {
			if receivers, err := server.Try("PUBLISH", "long", strconv.Itoa(i)); err != nil || receivers != "1" {
				taken <- i
				return
			}
		}
	}()
	n.sink.Wait(t, "long", 100)
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantExactly(t, startNode(t, server, nil), "long", <-taken)
}

// Every subscriber connection is cut, now and then, under load. What is
// published while nobody is subscribed is lost (docs/redis.md); nothing is
// doubled. Order holds but where all nodes were cut at once: which of them
// received more is decided by their clocks then (ADR 0005, 5).
func TestPlainUnderCutsDoublesNothing(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*node{startNode(t, server, nil), startNode(t, server, nil)}
	for _, n := range nodes {
		n.subscribe("long")
	}
	stop := plainLoad(t, server, "long")
	const cuts = 10
	for range cuts {
		got := len(nodes[0].log("long"))
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		eventually(t, "messages go on", func() bool { return len(nodes[0].log("long")) > got+50 })
		eventually(t, "both nodes have caught up", func() bool {
			a, b := nodes[0].plain.State("long"), nodes[1].plain.State("long")
			return a.Waiting < 20 && b.Waiting < 20 && a.Holds != b.Holds
		})
	}
	total := stop()
	nodes[0].back()
	nodes[1].back()
	server.Do("PUBLISH", "long", strconv.Itoa(total))
	var got []string
	eventually(t, "the last message", func() bool {
		got = nodes[0].log("long")
		return got[len(got)-1] == strconv.Itoa(total)
	})
	before, turns, seen := -1, 0, map[int]bool{}
	for _, text := range got {
		i, _ := strconv.Atoi(text)
		if seen[i] {
			t.Fatalf("%d is there twice", i)
		}
		if seen[i] = true; i < before {
			turns++
		}
		before = i
	}
	if turns > cuts {
		t.Errorf("%d times something older came after something younger, in %d cuts of all nodes", turns, cuts)
	}
	t.Logf("%d of %d are in the log, %d places out of order", len(got), total+1, turns)
}

// One node's subscriber is cut while another listens on: nothing is lost.
func TestPlainOneCutLosesNothing(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*node{startNode(t, server, nil), startNode(t, server, nil)}
	for _, n := range nodes {
		n.subscribe("long")
	}
	stop := plainLoad(t, server, "long")
	nodes[0].sink.Wait(t, "long", 100)
	for range 4 {
		holding := nodes[0]
		eventually(t, "somebody holds the lease", func() bool {
			for _, n := range nodes {
				if n.holds("long") {
					holding = n
					return true
				}
			}
			return false
		})
		rechecks := holding.sink.Rechecks()
		holding.cutSubscriber(server)
		eventually(t, "it is back", func() bool { return holding.sink.Rechecks() > rechecks })
		got := len(nodes[0].log("long"))
		eventually(t, "messages go on", func() bool { return len(nodes[0].log("long")) > got+50 })
	}
	wantExactly(t, nodes[0], "long", stop())
}

// The connection that appends is killed: answers are lost, messages are not.
func TestPlainLostAnswers(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("long")
	stop := plainLoad(t, server, "long")
	for range 10 {
		got := len(n.sink.Messages("long"))
		for client := range strings.Lines(server.Do("CLIENT", "LIST", "TYPE", "normal")) {
			if strings.Contains(client, " name=magpie:"+n.NodeID()+" ") {
				id, _, _ := strings.Cut(strings.TrimPrefix(client, "id="), " ")
				server.Try("CLIENT", "KILL", "ID", id)
			}
		}
		n.sink.Wait(t, "long", got+30)
	}
	wantExactly(t, n, "long", stop())
}

// A node that was frozen past its lease must not append what others did.
func TestPlainStalledHolder(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	a, b := startNode(t, server, p.use), startNode(t, server, nil)
	a.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	a.sink.Wait(t, "chat", 1)
	b.subscribe("chat")
	// a believes to hold the lease; Redis has given it to b.
	server.Do("DEL", "magpie:{chat}:lease")
	p.mute(true)
	server.Do("PUBLISH", "chat", "1")
	eventually(t, "b appends", func() bool { return len(b.sink.Messages("chat")) >= 1 })
	p.unmute(true)
	for i := 2; i < 50; i++ {
		server.Do("PUBLISH", "chat", strconv.Itoa(i))
	}
	wantExactly(t, a, "chat", 50)
}

// D9: without a log each node delivers what it hears, once.
func TestD9PlainPublishWithoutLog(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.subscribe("none")
	b.subscribe("none")
	server.Do("PUBLISH", "none", "x")
	a.publish("none", "y")
	for _, n := range []*node{a, b} {
		list := n.sink.Wait(t, "none", 2)
		if len(list) != 2 || list[0].Logged() || list[1].Logged() || string(list[0].Payload) != "x" {
			t.Errorf("got %d messages, first %q", len(list), list[0].Payload)
		}
	}
	if got := server.Do("EXISTS", "magpie:{none}:log", "magpie:{none}:meta", "magpie:{none}:lease"); got != "0" {
		t.Errorf("%s keys for a channel without a log", got)
	}
}

func TestPlainTooBigIsDroppedAndCounted(t *testing.T) {
	server := redistest.Start(t)
	dropped := make(chan string, 10)
	n := startNode(t, server, func(c *Config) {
		c.MaxPayload = 100
		c.Metrics.PlainDropped = func(reason string) { dropped <- reason }
	})
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", strings.Repeat("x", 101))
	if reason := <-dropped; reason != "too_big" {
		t.Errorf("reason %q", reason)
	}
	server.Do("PUBLISH", "chat", strings.Repeat("x", 100))
	if m := n.sink.Wait(t, "chat", 1)[0]; m.Offset != 1 {
		t.Errorf("at %v", m.Position)
	}
}

// ingest.channels: logged although nobody listens, once on two nodes, and
// delivered once where somebody does.
func TestIngestChannels(t *testing.T) {
	server := redistest.Start(t, "--notify-keyspace-events", "KEA")
	ingest := func(c *Config) { c.Ingest.Channels = []string{"in:*", "in:?", "*"} }
	a, b := startNode(t, server, ingest), startNode(t, server, ingest)
	for i := range 50 {
		server.Do("PUBLISH", "in:a", strconv.Itoa(i))
	}
	wantExactly(t, a, "in:a", 50)
	if len(a.sink.Messages("in:a")) != 0 {
		t.Error("delivered without a subscription")
	}
	b.subscribe("in:a")
	b.publish("in:a", "50")
	server.Do("PUBLISH", "in:a", "51")
	wantExactly(t, b, "in:a", 52)
	// Those before may have been appended and be still on their way to b.
	news := func() (n int) {
		for _, m := range b.sink.Messages("in:a") {
			if m.Offset > 50 {
				n++
			}
		}
		return n
	}
	eventually(t, "both are delivered", func() bool { return news() >= 2 })
	if got := server.Do("PUBSUB", "NUMSUB", "in:a"); got != "in:a\n0" {
		t.Errorf("subscribed by name although a pattern covers it: %q", got)
	}
	if n := news(); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	// Names that cannot be channels, Redis's own and ours are no channels.
	server.Do("PUBLISH", "in:{x}", "no")
	server.Do("PUBLISH", "in:a", "52")
	wantExactly(t, a, "in:a", 53)
	for _, key := range strings.Split(server.Do("KEYS", "*:log"), "\n") {
		if key != "magpie:{in:a}:log" {
			t.Errorf("unexpected log %q", key)
		}
	}
}

// A flood is faster than appending: what waits is appended in order all the
// same. (That it is bounded: plain/queue_test.go.)
func TestPlainFlood(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("long")
	const total = 8000
	server.Do("EVAL", fmt.Sprintf("for i = 0, %d do redis.call('PUBLISH', 'long', string.format('%%d', i)) end", total-1), "0")
	wantExactly(t, n, "long", total)
}

// The holder dies as kill -9 does and is back before its lease has run out, with
// a younger node beside it: what only the survivor received is appended, before
// what the others received later.
func TestPlainWhatOnlyTheSurvivorReceived(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, nil), startNode(t, server, nil)
	a.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	a.sink.Wait(t, "chat", 1)
	b.subscribe("chat")
	a.crash()
	for i := 1; i < 20; i++ {
		if got := server.Do("PUBLISH", "chat", strconv.Itoa(i)); got != "1" {
			t.Fatalf("PUBLISH reached %s nodes", got)
		}
	}
	for i := 20; i < 40; i += 10 {
		startNode(t, server, nil).subscribe("chat")
		for j := range 10 {
			server.Do("PUBLISH", "chat", strconv.Itoa(i+j))
		}
	}
	wantExactly(t, b, "chat", 40)
}

// What a node received and has not seen in the log when its subscription is cut
// waits for its return, and is appended then, once.
func TestPlainACutNodeAppendsWhatItReceived(t *testing.T) {
	server := redistest.Start(t)
	n, helper := startNode(t, server, nil), startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("PUBLISH", "chat", "0")
	n.sink.Wait(t, "chat", 1)
	eventually(t, "its answer is here", func() bool { return n.plain.State("chat").Waiting == 0 })
	server.Do("DEL", "magpie:{chat}:lease")
	o := other{helper, "chat"}
	o.take("t")
	server.Do("PUBLISH", "chat", "1")
	server.Do("PUBLISH", "chat", "2")
	eventually(t, "they are in its queue", func() bool { return n.plain.State("chat").Waiting == 2 })
	n.cutSubscriber(server)
	o.append("t", 1, "1") // while n does not hear it
	o.release()
	eventually(t, "the queue is empty", func() bool { return n.plain.State("chat").Waiting == 0 })
	server.Do("PUBLISH", "chat", "3")
	wantExactly(t, n, "chat", 4)
}

// Fault B21: the same for the right to append.
func TestB21ADeadHoldersLeaseDoesNotOutliveAClockSetBack(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat")
	server.Do("SET", "magpie:{chat}:lease", "dead t", "PX", "3601500")
	server.Do("PUBLISH", "chat", "0")
	wantExactly(t, n, "chat", 1)
}
