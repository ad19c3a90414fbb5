package sse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie/internal/fault"
	"magpie/internal/session"
)

// D1, D2: messages come in order with an id, and who comes back with the last
// one gets what was missed, then what is live.
func TestAConversation(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		first := e.open("channel=chat&channel=bare:x", "")
		first.head()
		e.publish("chat", "one")
		id := first.expect("one")
		e.publish("bare:x", "unlogged")
		if again := first.expect("unlogged"); again != id {
			t.Errorf("a message without a place has the id %q, want that before it, %q", again, id)
		}
		first.body.Close()
		eventually(t, "the end of the session", func() bool { return e.sessions() == 0 })
		e.publish("chat", "two")
		again := e.open("channel=chat&channel=bare:x", id)
		if text, err := again.event(); err != nil || !strings.HasSuffix(text, "\ndata: two") {
			t.Fatalf("%q, %v", text, err)
		}
		if _, err := again.event(); err != nil { // the id that ends the head
			t.Fatal(err)
		}
		e.publish("chat", "three")
		if id := again.expect("three"); !strings.HasSuffix(id, ".3") {
			t.Errorf("id %q", id)
		}
	})
}

// A stream of one channel shares its events with all others; they are the same
// bytes as made for it alone.
func TestSharedEventsAreThose(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		alone, both := e.open("channel=chat", ""), e.open("channel=chat&channel=bare:x", "")
		alone.head()
		both.head()
		for _, payload := range []string{"one", "two", "three"} {
			e.publish("chat", payload)
			if a, b := alone.expect(payload), both.expect(payload); a != b || a == "" {
				t.Errorf("ids %q and %q", a, b)
			}
		}
		bare := e.open("channel=bare:x", "")
		if text, err := bare.event(); err != nil || !strings.HasSuffix(text, "\nid: ") {
			t.Fatalf("%q, %v", text, err)
		}
		e.publish("bare:x", "four")
		if id := bare.expect("four"); id != "" {
			t.Errorf("a channel without a log gives the id %q", id)
		}
	})
}

// D1: ids never go back, though channels are delivered side by side: an id that
// overtook another would make its client miss messages when it comes back.
func TestIDsNeverGoBack(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		const channels, messages = 5, 200
		var query []string
		for i := range channels {
			query = append(query, fmt.Sprintf("channel=c%d", i))
		}
		r := e.open(strings.Join(query, "&"), "")
		r.head()
		var all sync.WaitGroup
		for i := range channels {
			all.Go(func() {
				for k := range messages {
					e.publish(fmt.Sprintf("c%d", i), fmt.Sprintf("c%d %d", i, k+1))
				}
			})
		}
		defer all.Wait()
		at := map[string]uint64{}
		for range channels * messages {
			text, err := r.event()
			if err != nil {
				t.Fatal(err)
			}
			line, data, _ := strings.Cut(text, "\n")
			id, err := parsePositions(strings.TrimPrefix(line, "id: "))
			if err != nil || len(id) != channels {
				t.Fatalf("%q: %v", text, err)
			}
			var name string
			var offset uint64
			fmt.Sscanf(data, "data: %s %d", &name, &offset)
			if at[name]+1 != offset {
				t.Fatalf("%s: %d after %d", name, offset, at[name])
			}
			at[name] = offset
			for name, p := range id {
				if p.Offset != at[name] {
					t.Fatalf("after %q the id is %q: it should name what has come", data, line)
				}
			}
		}
	})
}

// The same, where two meet: an event that is made while another is being sent
// waits for it.
func TestAnEventWaitsForTheOneBefore(t *testing.T) {
	e := listen(t, false)
	r := e.open("channel=a&channel=b", "")
	r.head()
	var c *conn
	e.Node.Each(func(s *session.Session) bool { c = s.Link().(*conn); return true })
	c.mu.Lock()
	c.sending = true // somebody is about to send an event with an older id
	c.mu.Unlock()
	e.publish("a", "one")
	e.publish("b", "two")
	waiting := func() []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		var list []string
		for _, frame := range c.next {
			list = append(list, string(frame[bytes.Index(frame, []byte("data: ")):]))
		}
		return list
	}
	eventually(t, "two that wait", func() bool { return len(waiting()) == 2 })
	want := waiting()
	c.sendNext()
	for _, data := range want {
		if text, err := r.event(); err != nil || !strings.HasSuffix(text+"\n\n", data) {
			t.Errorf("got %q, %v; want %q", text, err, data)
		}
	}
	e.publish("a", "three")
	r.expect("three")
}

// Clients that hang up are seen within a second, without waiting for a
// heartbeat to fail; so their presence ends.
func TestAHangUpEndsPresence(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		r := e.open("channel=chat", "")
		r.head()
		there := func(want int) func() bool {
			return func() bool {
				members, err := e.Memory.Members(context.Background(), "chat")
				return err == nil && len(members) == want
			}
		}
		eventually(t, "presence", there(1))
		hungUp := time.Now()
		r.body.Close()
		eventually(t, "the end of presence", there(0))
		t.Logf("seen after %v", time.Since(hungUp))
	})
}

// Heartbeats go to idle streams, and end with them.
func TestHeartbeats(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		e.door.Heartbeat = 50 * time.Millisecond
		r := e.open("channel=chat", "")
		r.head()
		for range 2 {
			if text, err := r.in.ReadString('\n'); err != nil || text != ":\n" && text != "\n" {
				t.Fatalf("%q, %v", text, err)
			}
		}
		e.Node.Each(func(s *session.Session) bool {
			s.Close(fault.ReasonClient)
			if next := s.Link().(*conn).Tick(time.Now()); next != 0 {
				t.Errorf("after the end another heartbeat is due in %v", next)
			}
			return true
		})
	})
}

// D8: who takes nothing is cut off with the reason slow, and others are served.
func TestASlowClientIsCutOff(t *testing.T) {
	e := listen(t, false)
	slow := e.dial("GET /sse?channel=chat HTTP/1.1\r\nHost: " + e.addr + "\r\n\r\n")
	slow.(*net.TCPConn).SetReadBuffer(4 << 10)
	quick := e.open("channel=chat", "")
	quick.head()
	eventually(t, "both", func() bool { return e.sessions() == 2 })
	payload := strings.Repeat("x", 60<<10)
	for end := time.Now().Add(patience); e.Node.Metrics.Closed()[fault.ReasonSlow] == 0; {
		if time.Now().After(end) {
			t.Fatal("never cut off")
		}
		e.publish("chat", payload)
		quick.expect(payload)
	}
	e.publish("chat", "after")
	quick.expect("after")
}

// A node that drains ends its streams in order: the reason is told, the body is
// whole.
func TestADrainEndsStreams(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		r := e.open("channel=chat", "")
		r.head()
		e.publish("chat", "last")
		r.expect("last")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := e.Node.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r.in)
		if rest = bytes.ReplaceAll(rest, heartbeatFrame, nil); err != nil || !bytes.Equal(rest, closeEvent(fault.ReasonShutdown)) {
			t.Errorf("%q, %v", rest, err)
		}
		eventually(t, "the end", func() bool { return e.streams.Len() == 0 })
	})
}

// HEAD asks for the head of a stream and gets it, without a session.
func TestHead(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		res, err := e.client.Head(e.url("channel=chat"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || e.Node.Metrics.Opened.Value() != 0 {
			t.Errorf("%s %v, %d sessions opened", res.Status, res.Header, e.Node.Metrics.Opened.Value())
		}
	})
}

// A thousand clients that come at once, and hang up at once in the middle of
// deliveries, leave nothing behind. (TestMain looks for goroutines.)
func TestAStormLeavesNothing(t *testing.T) {
	e := listen(t, false)
	const count = 1000
	conns := make([]net.Conn, count)
	var all sync.WaitGroup
	for part := range 10 {
		all.Go(func() {
			for i := part; i < count; i += 10 {
				nc, err := net.Dial("tcp", e.addr)
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = nc
				fmt.Fprintf(nc, "GET /sse?channel=c%d HTTP/1.1\r\nHost: %s\r\n\r\n", i%3, e.addr)
			}
		})
	}
	all.Wait()
	eventually(t, "all sessions", func() bool { return e.sessions() == count })
	all.Go(func() {
		for i := range 300 {
			e.publish(fmt.Sprintf("c%d", i%3), "storm")
		}
	})
	for _, nc := range conns {
		if nc != nil {
			nc.Close()
		}
	}
	eventually(t, "the end of all", func() bool { return e.sessions() == 0 && e.streams.Len() == 0 })
	all.Wait()
}

// A browser comes back with the URL and the id together: a stream whose id could
// grow too long for that is refused at the beginning, not on return.
func TestAStreamComesBackWithAllItMayHave(t *testing.T) {
	var short, long []string
	for i := range 100 {
		short = append(short, fmt.Sprintf("channel=room:%d", i))
		long = append(long, fmt.Sprintf("channel=%s%d", strings.Repeat("%E8%81%8A", 20), i))
	}
	e := listenWith(t, false, 200)
	r := e.open(strings.Join(short, "&"), "")
	if id := r.head(); len(id) == 0 || len(id) > maxReturn {
		t.Errorf("%d bytes", len(id))
	}
	res, err := e.client.Get(e.url(strings.Join(long, "&")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 400 || !strings.Contains(string(body), "take several streams") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
