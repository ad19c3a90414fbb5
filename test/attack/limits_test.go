package attack

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/test/kit"
)

const secret = "a secret of at least 32 bytes for attackers"

func signed(t *testing.T, user string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// R8, L1: who sends more than a connection may is refused, and cut when it goes
// on, at each door in its own words; what was within the limit is published, and
// a neighbour does not notice.
func TestFloods(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-requests", "100") // five times as many at once
	neighbour := n.Dial("channel=quiet")
	flood := func(path string, frame func(id int) string) *kit.Socket {
		s, _, err := n.TryDial(path)
		if err != nil {
			t.Fatal(err)
		}
		for id := range 3000 {
			if !s.TrySend(frame(id)) {
				break
			}
		}
		return s
	}
	publish := func(int) string { return "x" }
	if code, _ := flood("/websocket?channel=a", publish).CloseCode(); code != 4006 {
		t.Errorf("raw: closed with %d", code)
	}
	patient := flood("/websocket?channel=b&format=envelope", publish)
	if code, _ := patient.CloseCode(); code != 4006 {
		t.Errorf("raw with envelopes: closed with %d", code)
	}
	patient.WaitFor(`"too_many"`, "setting max_requests")
	sdk := flood("/connection/websocket", func(id int) string {
		if id == 0 {
			return `{"id":1,"connect":{}}`
		}
		return fmt.Sprintf(`{"id":%d,"publish":{"channel":"c","data":1}}`, id+1)
	})
	if code, _ := sdk.CloseCode(); code != 3509 {
		t.Errorf("Centrifuge: closed with %d", code)
	}
	sdk.WaitFor(`"code":111`, `"temporary":true`)
	for _, channel := range []string{"a", "b", "c"} {
		_, page := n.Get("/history/" + channel + "?limit=0")
		_, rest, _ := strings.Cut(page, `"offset":`)
		if top, _ := strconv.Atoi(strings.TrimRight(rest, "}\n")); top < 500 || top > 900 {
			t.Errorf("%s: %d were published; 500 may come at once", channel, top)
		}
	}
	n.Publish("quiet", "still here")
	neighbour.WaitFor("still here")
	if got := measure(t, n, "magpie_requests_refused_total"); got < 1100 {
		t.Errorf("%v refusals are counted", got)
	}
}

// L1: over HTTP a user has a rate, too, and so has each API key.
func TestFloodsOverHTTP(t *testing.T) {
	t.Parallel()
	const key, otherKey = "the-first-key-of-the-servers", "another-key-of-the-servers"
	n := kit.Start(t, "--token-secret", secret, "--api-key", key+","+otherKey, "--max-requests", "1", "--max-api-calls", "1") // five at once
	flood := func(header string) (taken, refused int) {
		for range 300 {
			switch status, body := n.Post("/publish/user:ann", "x", header); status {
			case http.StatusOK:
				taken++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Fatalf("%d %s", status, body)
			}
		}
		return taken, refused
	}
	for who, c := range map[string]struct{ header, setting string }{
		"a user":   {"Authorization: Bearer " + signed(t, "ann"), "max_requests"},
		"a server": {"X-API-Key: " + key, "max_api_calls"},
	} {
		if taken, refused := flood(c.header); taken < 5 || refused < 50 {
			t.Errorf("%s: %d were taken, %d refused; 5 may come at once", who, taken, refused)
		}
		kit.Eventually(t, "a refusal says why", func() bool {
			res := n.Ask("POST", "/publish/user:ann", "x", c.header)
			status, body := kit.Read(res, nil)
			return status == http.StatusTooManyRequests && strings.Contains(body, "setting "+c.setting) && res.Header.Get("Retry-After") != ""
		})
	}
	if status, body := n.Post("/publish/user:ann", "x", "X-API-Key: "+otherKey); status != http.StatusOK {
		t.Errorf("another key: %d %s", status, body)
	}
	if status, body := n.Post("/publish/user:bob", "x", "Authorization: Bearer "+signed(t, "bob")); status != http.StatusOK {
		t.Errorf("another user: %d %s", status, body)
	}
}

// L1, L5: who is cut and comes back at once has no new budget: connections of one
// address, or one user, have one together, and it is small once one of them floods.
func TestFloodsThatComeBack(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--trusted-proxies", "127.0.0.1", "--max-requests", "1", "--max-address-handshakes", "10000") // 5 at once, 100 together, 10 in a flood
	flood := func(channel, address string) {
		began := time.Now()
		send := n.Handshake("/websocket?channel="+channel, by(address)) + strings.Repeat("\x81\x81\x00\x00\x00\x00x", 200) + "\x88\x80\x00\x00\x00\x00"
		for range 8 {
			c := n.Connect()
			go io.WriteString(c, send)
			_, _ = io.Copy(io.Discard, c) // until the server has ended it
			c.Close()
		}
		_, page := n.Get("/history/" + channel + "?limit=0")
		_, rest, _ := strings.Cut(page, `"offset":`)
		most := 15 + int(2*time.Since(began).Seconds())
		if top, _ := strconv.Atoi(strings.TrimRight(rest, "}\n")); top < 10 || top > most {
			t.Errorf("%s: %d were published by 8 connections; 10 to %d may be in this time", address, top, most)
		}
	}
	flood("a", attacker)
	flood("b", bystander)
}

// L4: what is long costs every receiver more, and counts as several.
func TestLongMessagesCountAsSeveral(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-requests", "100") // 500 at once
	s, _, err := n.TryDial("/websocket?channel=a")
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if !s.TrySend(strings.Repeat("x", 60<<10)) { // 16 each
			break
		}
	}
	if code, _ := s.CloseCode(); code != 4006 {
		t.Errorf("closed with %d", code)
	}
	_, page := n.Get("/history/a?limit=0")
	_, rest, _ := strings.Cut(page, `"offset":`)
	if top, _ := strconv.Atoi(strings.TrimRight(rest, "}\n")); top < 31 || top > 100 {
		t.Errorf("%d were published; 31 may come at once", top)
	}
}

// R7, L2, L8: connections of one user are counted over all doors, and one too many is
// refused at each in its own words, with the setting and a time to wait. Others
// come in, and so does that user once a connection is closed.
func TestConnectionsOfOneUser(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--token-secret", secret, "--max-user-sessions", "3")
	ann := signed(t, "ann")
	first := n.Dial("channel=chat&token=" + ann)
	n.Events("channel=chat&token="+ann, "")
	n.Centrifuge(ann).WaitFor(`"connect"`, `"client"`)

	_, res, err := n.TryDial("/websocket?token=" + ann)
	if err == nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("raw: %v, %v", res, err)
	}
	status, body := n.Get("/websocket?token="+ann, kit.Upgrade...)
	if status != http.StatusTooManyRequests || !strings.Contains(body, "setting max_user_sessions") {
		t.Errorf("raw: %d %s", status, body)
	}
	if status, body = n.Get("/sse?channel=chat&token=" + ann); status != http.StatusTooManyRequests || !strings.Contains(body, "setting max_user_sessions") {
		t.Errorf("sse: %d %s", status, body)
	}
	res = n.Ask("GET", "/sse?channel=chat&token="+ann, "", "Accept: text/event-stream")
	stream, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(stream), "event: too_many\n") || !strings.Contains(string(stream), "retry: ") {
		t.Errorf("an event source: %d %s", res.StatusCode, stream)
	}
	late := n.Centrifuge(ann)
	late.WaitFor(`"code":111`, `"temporary":true`)

	if got := measure(t, n, "magpie_sessions_refused_total"); got != 5 {
		t.Errorf("%v refusals are counted", got)
	}
	n.Dial("channel=chat&token=" + signed(t, "bob"))
	first.Close()
	kit.Eventually(t, "there is room again", func() bool {
		s, _, err := n.TryDial("/websocket?token=" + ann)
		if err == nil {
			defer s.Close()
		}
		return err == nil
	})
}
