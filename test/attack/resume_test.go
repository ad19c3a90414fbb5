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

// L6, L7, S3: clients that come back for all of a long log and read nothing
// of it fill no memory: the node takes a few of them and refuses the others for
// the moment. Who missed little comes back all the same.
func TestResumesThatReadNothing(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--rules", `[{"match":"big","log":{"bytes":"64MB"}}]`)
	payload := strings.Repeat("x", 60<<10)
	for range 600 {
		n.Publish("big", payload)
	}
	_, page := n.Get("/history/big?limit=0")
	_, rest, _ := strings.Cut(page, `"epoch":"`)
	epoch, _, _ := strings.Cut(rest, `"`)
	ask := func(since int) (net.Conn, int) {
		c := n.Connect()
		_ = c.SetReadBuffer(4 << 10)
		io.WriteString(c, n.Handshake(fmt.Sprintf("/websocket?channel=big&since=%s.%d", epoch, since)))
		res, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return c, res.StatusCode
	}
	var greedy []net.Conn
	refused := 0
	for range 8 {
		c, status := ask(0)
		greedy = append(greedy, c)
		if status == 503 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("all logs were taken in")
	}
	if _, status := ask(599); status != 101 {
		t.Errorf("one message was missed: %d", status)
	}
	if status, body := n.Get("/history/big?limit=1000"); status != 200 || len(body) > 2<<20 {
		t.Errorf("a page of history: %d, %d bytes", status, len(body))
	}
	for _, c := range greedy {
		c.Close()
	}
	kit.Eventually(t, "there is room again", func() bool { _, status := ask(0); return status == 101 })
}

// L3, D8: clients that read nothing are cut, and nobody else waits for them;
// what was kept for them goes.
func TestManySlowReaders(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--outbox", "256KB", "--write-timeout", "2m")
	before := resident(t, n)
	const slow = 60
	for range slow {
		c := n.Connect()
		_ = c.SetReadBuffer(4 << 10)
		io.WriteString(c, n.Handshake("/websocket?channel=big"))
	}
	kit.Eventually(t, "all are there", func() bool { return measure(t, n, "magpie_sessions") == slow })
	fast := n.Dial("channel=big")
	payload := strings.Repeat("x", 50<<10)
	var worst time.Duration
	for i := range 300 {
		began := time.Now()
		n.Publish("big", fmt.Sprint(i, payload))
		worst = max(worst, time.Since(began))
		kit.Eventually(t, "the fast one keeps up", func() bool { return len(fast.All()) >= i-2 })
	}
	kit.Eventually(t, "the fast one has all", func() bool { return len(fast.All()) == 300 })
	kit.Eventually(t, "the slow ones are cut", func() bool { return measure(t, n, `magpie_sessions_closed_total{reason="slow"}`) == slow })
	if worst > kit.Patience {
		t.Errorf("a publisher waited %s", worst)
	}
	if grown := (resident(t, n) - before) >> 20; grown > 400 {
		t.Errorf("grown by %d MB", grown)
	}
}
