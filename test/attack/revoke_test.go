package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

const (
	revokeSecret = "a-secret-of-at-least-thirty-two-bytes!"
	revokeKey    = "the-key-of-servers"
)

// tokenOf is a token that was issued so long ago, with this jti.
func tokenOf(t *testing.T, user, id string, ago time.Duration) string {
	t.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "jti": id, "iat": now.Add(-ago).Unix(), "exp": now.Add(time.Hour).Unix()}).SignedString([]byte(revokeSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// revokers starts nodes on one Redis.
func revokers(t *testing.T, r *redistest.Server, count int) (list []*kit.Node) {
	t.Helper()
	for range count {
		list = append(list, kit.Start(t, "--redis", r.URL, "--token-secret", revokeSecret, "--api-key", revokeKey))
	}
	return list
}

func api(t *testing.T, n *kit.Node, method, body string) {
	t.Helper()
	if status, answer := n.Post("/api/"+method, body, "X-API-Key: "+revokeKey, "Content-Type: application/json"); status != http.StatusOK || strings.TrimSpace(answer) != `{"result":{}}` {
		t.Fatalf("%s %s: %d %s", method, body, status, answer)
	}
}

// comesIn tries a token at every door of a node; each must answer with status,
// and the Centrifuge door, which answers by closing, with code (0: it lets in).
func comesIn(t *testing.T, n *kit.Node, token string, status, code int) {
	t.Helper()
	query := "channel=chat&token=" + token
	for door, got := range map[string]int{
		"raw":     ask(n, "GET", "/websocket?"+query, "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==").StatusCode,
		"sse":     ask(n, "HEAD", "/sse?"+query, "").StatusCode,
		"history": ask(n, "GET", "/history/chat", "", "Authorization: Bearer "+token).StatusCode,
		"publish": ask(n, "POST", "/publish/chat", "x", "Authorization: Bearer "+token).StatusCode,
	} {
		want := status
		if door == "raw" && status == http.StatusOK {
			want = http.StatusSwitchingProtocols
		}
		if got != want {
			t.Errorf("%s at %s: %d, want %d", door, n.Addr, got, want)
		}
	}
	c, _, err := n.TryDial("/connection/websocket")
	if err != nil {
		t.Fatal(err)
	}
	c.Send(`{"id":1,"connect":{"token":"` + token + `"}}`)
	if code == 0 {
		c.WaitFor(`"connect"`)
		return
	}
	if got, reason := c.CloseCode(); got != code {
		t.Errorf("Centrifuge at %s: closed with %d %s, want %d", n.Addr, got, reason, code)
	}
}

// Y6: a kicked user comes back with the same token, at any door of any node.
// Nothing waits here: the call's answer says that it is so everywhere.
func TestAKickedUserComesBack(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	nodes := revokers(t, r, 2)
	token, other := tokenOf(t, "42", "a", time.Minute), tokenOf(t, "43", "b", time.Minute)
	raw, centrifuge, events := nodes[0].Dial("channel=chat&token="+token), nodes[1].Centrifuge(token), nodes[1].Events("channel=chat&token="+token, "")
	bystander := nodes[1].Dial("channel=chat&token=" + other)
	api(t, nodes[0], "disconnect", `{"user":"42","block_ttl":3600}`)
	for _, n := range nodes {
		comesIn(t, n, token, http.StatusForbidden, 3503)
		comesIn(t, n, tokenOf(t, "42", "new", -time.Second), http.StatusForbidden, 3503)
		comesIn(t, n, other, http.StatusOK, 0)
	}
	if code, _ := raw.CloseCode(); code != 4506 {
		t.Errorf("the raw door said %d", code)
	}
	if code, _ := centrifuge.CloseCode(); code != 3503 {
		t.Errorf("the Centrifuge door said %d", code)
	}
	events.WaitClosed()
	if !bystander.Open() {
		t.Error("another user was disconnected, too")
	}
	api(t, nodes[0], "disconnect", `{"user":"42","block_ttl":1}`) // the last word counts
	for _, n := range append(nodes, revokers(t, r, 1)...) {
		kit.Eventually(t, "the user may come back when the time is over", func() bool {
			return ask(n, "GET", "/history/chat", "", "Authorization: Bearer "+token).StatusCode == http.StatusOK
		})
	}
}

// Y6: a token that was stolen is revoked: its sessions end, and it opens nothing
// on any node, on nodes that start later, or when Redis has lost its data.
func TestARevokedTokenComesBack(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	nodes := revokers(t, r, 2)
	stolen, old, fresh := tokenOf(t, "42", "stolen", time.Minute), tokenOf(t, "7", "", time.Minute), tokenOf(t, "7", "", -5*time.Second)
	raw, centrifuge := nodes[1].Dial("channel=chat&token="+stolen), nodes[1].Centrifuge(old)
	events := nodes[1].Events("channel=chat&token="+old, "")
	api(t, nodes[0], "revoke", `{"jti":"stolen"}`)
	api(t, nodes[0], "revoke", fmt.Sprintf(`{"user":"7","expire_at":%d}`, time.Now().Add(time.Hour).Unix()))
	check := func() {
		t.Helper()
		for _, n := range nodes {
			comesIn(t, n, stolen, http.StatusUnauthorized, 3500)
			comesIn(t, n, old, http.StatusUnauthorized, 3500)
			comesIn(t, n, fresh, http.StatusOK, 0)
		}
	}
	check()
	if code, _ := raw.CloseCode(); code != 4506 {
		t.Errorf("the raw door said %d", code)
	}
	if code, _ := centrifuge.CloseCode(); code != 3500 {
		t.Errorf("the Centrifuge door said %d", code)
	}
	events.WaitClosed()
	if all := events.All(); len(all) == 0 || all[len(all)-1].Name != "token_revoked" {
		t.Errorf("the stream's last event: %+v", all)
	}
	nodes = append(nodes, revokers(t, r, 1)...)
	check()
	if got := measure(t, nodes[2], "magpie_marks"); got != 2 {
		t.Errorf("the node that started later knows %v marks", got)
	}
	r.Do("FLUSHALL")
	check()
	kit.Eventually(t, "the nodes put back what was revoked", func() bool { return r.Do("ZCARD", "magpie:{}:notes") == "2" })
	nodes = append(nodes, revokers(t, r, 1)...)
	check()
}
