package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"magpie/test/kit"
)

// by is the header of a proxy that speaks for an address; the tests are that proxy.
func by(list string) string { return "X-Forwarded-For: " + list }

const (
	attacker  = "203.0.113.7"
	bystander = "203.0.113.8"
)

// beginnings are requests that begin a connection or a stream at each door.
func beginnings(n *kit.Node, address string) map[string]func() *http.Response {
	ask := func(method, path, body string) func() *http.Response {
		return func() *http.Response {
			return n.Ask(method, path, body, "Content-Type: application/json", by(address))
		}
	}
	return map[string]func() *http.Response{
		"raw":         ask("GET", "/websocket", ""),
		"sse":         ask("GET", "/sse?channel=chat", ""),
		"Centrifuge":  ask("GET", "/connection/websocket", ""),
		"events":      ask("GET", "/connection/sse?cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D", ""),
		"HTTP stream": ask("POST", "/connection/http_stream", `{"id":1,"connect":{}}`),
	}
}

// H17, L5: one address begins so many connections in a second, over all doors, and
// who is over it is told at each. Others do not notice.
func TestHandshakesOfOneAddress(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--trusted-proxies", "127.0.0.1", "--max-address-handshakes", "1") // ten at once
	neighbour := n.Dial("channel=chat")
	refused := 0
	for range 500 {
		if status, _ := n.Get("/websocket", by("198.51.100.1, "+attacker)); status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 400 {
		t.Errorf("%d of 500 were refused", refused)
	}
	all := beginnings(n, attacker)
	all["a guest's token"] = func() *http.Response {
		return n.Ask("POST", "/guest", "{}", "Content-Type: application/json", by(attacker))
	}
	for name, begin := range all {
		kit.Eventually(t, name+" refuses", func() bool { // one a second may come in
			res := begin()
			defer res.Body.Close()
			if res.StatusCode != http.StatusTooManyRequests {
				return false
			}
			if _, body := kit.Read(res, nil); !strings.Contains(body, "setting max_address_handshakes") || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %v %s", name, res.Header, body)
			}
			return true
		})
	}
	for _, other := range []string{bystander, attacker + ", " + bystander, "2001:db8::7"} {
		if status, body := n.Get("/websocket", by(other)); status == http.StatusTooManyRequests {
			t.Errorf("%s: %s", other, body)
		}
	}
	n.Publish("chat", "still here")
	neighbour.WaitFor("still here")
	if got := measure(t, n, "magpie_address_handshakes_refused_total"); got < 406 {
		t.Errorf("%v refusals are counted", got)
	}
}

// H17: all addresses together have a rate. Those who are connected go on.
func TestHandshakesInAll(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-handshakes", "1") // five at once
	neighbour := n.Dial("channel=chat")
	refused := 0
	for range 100 {
		if status, _ := n.Get("/websocket"); status == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("%d of 100 were refused", refused)
	}
	kit.Eventually(t, "a refusal says all", func() bool {
		res := n.Ask("GET", "/websocket", "")
		status, body := kit.Read(res, nil)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "setting max_handshakes") && res.Header.Get("Retry-After") != ""
	})
	n.Publish("chat", "still here")
	neighbour.WaitFor("still here")
	if got := measure(t, n, "magpie_handshakes_refused_total"); got < 50 {
		t.Errorf("%v refusals are counted", got)
	}
	kit.Eventually(t, "there is room again", func() bool {
		s, _, err := n.TryDial("/websocket")
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

// R7, L8: sessions of one address are counted over all doors; who leaves makes room.
func TestSessionsOfOneAddress(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--trusted-proxies", "127.0.0.1", "--max-address-sessions", "3")
	var open []*http.Response
	stream := func(address string) int {
		res := n.Ask("GET", "/sse?channel=chat", "", by(address))
		open = append(open, res)
		return res.StatusCode
	}
	defer func() {
		for _, res := range open {
			res.Body.Close()
		}
	}()
	for range 3 {
		if status := stream(attacker); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	for range 20 {
		if status := stream(attacker); status != http.StatusTooManyRequests {
			t.Fatal(status)
		}
	}
	status, body := n.Get("/connection/websocket", append([]string{by(attacker)}, kit.Upgrade...)...)
	if status != http.StatusTooManyRequests || !strings.Contains(body, "setting max_address_sessions") {
		t.Errorf("Centrifuge: %d %s", status, body)
	}
	if status := stream(bystander); status != http.StatusOK {
		t.Errorf("another address: %d", status)
	}
	if got := measure(t, n, "magpie_address_sessions_refused_total"); got != 21 {
		t.Errorf("%v refusals are counted", got)
	}
	open[0].Body.Close()
	kit.Eventually(t, "there is room again", func() bool { return stream(attacker) == http.StatusOK })
}

// A1, T9, R9: keys and tokens that are wrong, over all doors. Who shares the address
// goes on with good ones.
func TestGuessesOfOneAddress(t *testing.T) {
	t.Parallel()
	const key = "a-key-of-the-servers-that-is-long-enough"
	n := kit.Start(t, "--trusted-proxies", "127.0.0.1", "--token-secret", secret, "--api-key", key, "--max-guesses", "10")
	guess := func(address string, i int) (int, string) {
		if i%2 == 0 {
			return n.Post("/api/info", "{}", "Content-Type: application/json", "X-API-Key: "+strings.Repeat(fmt.Sprint(i%10), 32), by(address))
		}
		return n.Get("/sse?channel=chat&token=a.b.c", by(address))
	}
	limited := 0
	for i := range 300 {
		switch status, body := guess(attacker, i); status {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			limited++
			if !strings.Contains(body, "setting max_guesses") {
				t.Fatalf("does not say why: %s", body)
			}
		default:
			t.Fatalf("%d %s", status, body)
		}
	}
	if limited < 200 {
		t.Errorf("%d of 300 were refused", limited)
	}
	if status, _ := guess(bystander, 0); status != http.StatusUnauthorized {
		t.Errorf("another address: %d", status)
	}
	if status, body := n.Post("/api/info", "{}", "Content-Type: application/json", "X-API-Key: "+key, by(attacker)); status != http.StatusOK {
		t.Errorf("a good key: %d %s", status, body)
	}
	res := n.Ask("GET", "/sse?channel=user:ann&token="+signed(t, "ann"), "", by(attacker))
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a good token: %d", res.StatusCode)
	}
	if status, body := n.Post("/connection/http_stream", `{"id":1,"connect":{"token":"a.b.c"}}`, "Content-Type: application/json", by(attacker)); status != http.StatusOK || !strings.Contains(body, "3013") {
		t.Errorf("Centrifuge: %d %s", status, body)
	}
	if got := measure(t, n, "magpie_guesses_refused_total"); got < 200 {
		t.Errorf("%v refusals are counted", got)
	}
	kit.Eventually(t, "the log tells", func() bool { return strings.Contains(n.Output(), `"max_guesses"`) })
	if n := strings.Count(n.Output(), `"max_guesses"`); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
}
