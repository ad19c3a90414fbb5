package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"magpie/test/kit"
)

// watch measures the node's memory until the function that it returns is
// called, which answers by how many MB it grew at most.
func watch(t *testing.T, n *kit.Node) (grown func() int) {
	t.Helper()
	before, most := resident(t, n), 0
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, resident(t, n))
			}
		}
	}()
	return func() int { close(stop); <-done; return (most - before) >> 20 }
}

// R1, L7: a client that asks again and again and reads almost nothing of it is
// told to read first: no more waits for it than its outbox holds.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	n := kit.Start(t, "--api-key", key)
	for range 100 {
		n.Centrifuge("").Send(`{"id":2,"subscribe":{"channel":"room"}}`)
	}
	for range 10 {
		n.Publish("room", strings.Repeat("x", 1000))
	}
	kit.Eventually(t, "all are there", func() bool {
		_, body := n.Post("/api/presence_stats", `{"channel":"room"}`, "X-API-Key: "+key, "Content-Type: application/json")
		return strings.Contains(body, `"num_clients":100`)
	})
	witness := n.Dial("channel=witness")
	asked := int(measure(t, n, "magpie_centrifuge_commands_total"))
	for _, question := range []string{`{"id":%d,"presence":{"channel":"room"}}`, `{"id":%d,"history":{"channel":"room","limit":-1}}`} {
		greedy := n.Connect()
		_ = greedy.SetReadBuffer(64 << 10)
		io.WriteString(greedy, n.Handshake("/connection/websocket"))
		frame := func(text string) {
			text += strings.Repeat(" ", 200)
			b := []byte{0x81, 0xfe, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
			if _, err := greedy.Write(append(b, text...)); err != nil {
				t.Fatal(err)
			}
		}
		frame(`{"id":1,"connect":{}}`)
		const questions = 900 // of 8 to 10 KB; a connection may be refused a thousand
		for id := 2; id < questions+2; id += 100 {
			var b strings.Builder
			for k := range 100 {
				fmt.Fprintf(&b, question+"\n", id+k)
			}
			frame(strings.TrimSpace(b.String()))
		}
		for i := range 5 {
			n.Publish("witness", fmt.Sprint(i))
		}
		asked += questions + 1
		kit.Eventually(t, "all are handled", func() bool { return int(measure(t, n, "magpie_centrifuge_commands_total")) == asked })
		var answers strings.Builder
		last := fmt.Sprintf(`{"id":%d,`, questions+1)
		for part := make([]byte, 64<<10); !strings.Contains(answers.String()[max(0, answers.Len()-100_000):], last); {
			k, err := greedy.Read(part)
			if err != nil {
				t.Fatal(err)
			}
			answers.Write(part[:k])
		}
		refused := strings.Count(answers.String(), `"error":{"code":111,"message":"too many requests","temporary":true}`)
		if refused == 0 || refused > questions-100 { // its outbox is 1 MB
			t.Errorf("%s: %d of %d were refused", question, refused, questions)
		}
	}
	witness.Wait(10)
}

// R2: pages of a log whose payloads JSON writes as six times as many bytes have
// a bound in the bytes that are sent; the next page begins where one ends.
func TestPagesHaveABoundInBytes(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--rules", `[{"match":"big","log":{"bytes":"64MB"}}]`)
	const messages = 300
	payload := strings.Repeat("\x01", 60<<10)
	for range messages {
		n.Publish("big", payload)
	}
	grown := watch(t, n)
	var idle []net.Conn // ask for all, and read nothing
	for range 30 {
		c := n.Connect()
		_ = c.SetReadBuffer(4 << 10)
		io.WriteString(c, "GET /history/big?limit=1000 HTTP/1.1\r\nHost: "+n.Addr+"\r\n\r\n")
		idle = append(idle, c)
	}
	seen, since := 0, "start"
	for since != "" {
		query := "?limit=1000"
		if since != "start" {
			query += "&since=" + since
		}
		status, body := n.Get("/history/big" + query)
		if status != http.StatusOK || len(body) > 2<<20 {
			t.Fatalf("a page: %d, %d bytes", status, len(body))
		}
		seen += strings.Count(body, `"offset":`) - 1
		_, next, _ := strings.Cut(body, `"next":"`)
		since, _, _ = strings.Cut(next, `"`)
	}
	if seen != messages {
		t.Errorf("%d messages on all pages", seen)
	}
	if mb := grown(); mb > 400 {
		t.Errorf("grown by %d MB", mb)
	}
	for _, c := range idle {
		c.Close()
	}
}

// R3, D8: clients that come back for long logs and read them drop by drop are in
// nobody's way: others come back, and read pages, at once.
func TestBacklogsReadByDrops(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	payload := strings.Repeat("\x01", 60<<10)
	for range 60 {
		n.Publish("big", payload)
	}
	for range 4 {
		n.Publish("small", strings.Repeat("x", 50_000))
	}
	epoch := func(channel string) string {
		_, page := n.Get("/history/" + channel + "?limit=0")
		_, rest, _ := strings.Cut(page, `"epoch":"`)
		epoch, _, _ := strings.Cut(rest, `"`)
		return epoch
	}
	taken := 0
	for range 8 { // 22 MB each, as they are sent
		c := n.Connect()
		_ = c.SetReadBuffer(4 << 10)
		io.WriteString(c, n.Handshake("/websocket?format=envelope&channel=big&since="+epoch("big")+".0"))
		switch status(bufio.NewReaderSize(c, 16)) {
		case http.StatusSwitchingProtocols:
			taken++
		case http.StatusServiceUnavailable:
		default:
			t.Fatal("a strange answer")
		}
	}
	if taken < 4 || taken > 6 {
		t.Errorf("%d long logs were taken in; 128 MB hold five", taken)
	}
	at, began := epoch("small"), time.Now()
	for range 5 {
		s := n.Dial("channel=small&since=" + at + ".0")
		s.Wait(4)
		s.Close()
		if status, body := n.Get("/history/big?limit=4"); status != http.StatusOK {
			t.Fatalf("history: %d %.200s", status, body)
		}
	}
	if took := time.Since(began); took > kit.Patience {
		t.Errorf("five came back in %s", took)
	}
}
