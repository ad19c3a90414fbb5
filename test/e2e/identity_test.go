package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/test/kit"
)

const (
	rolesSecret = "the secret of every role in this test"
	rolesKey    = "the-key-of-servers"
	rolesRules  = `[{match: "*anyone*", subscribe: anyone, publish: anyone, history: anyone, members: anyone}, ` +
		`{match: "*subscribers*", publish: subscribers, history: subscribers, members: subscribers}, ` +
		`{match: "*server*", subscribe: server, publish: server, history: server, members: server}, ` +
		`{match: "*nobody*", subscribe: nobody, publish: nobody, history: nobody, members: nobody}]`
)

var rolesChannels = []string{"anyone", "chat", "subscribers", "server", "nobody", "$anyone", "anyone#42", "dialog#42,43", "user:42"}

// judge is the rules above once more, in the words of the one authoriser. Its
// own table says what it answers; here every door has to agree with it.
func judge(t *testing.T) *auth.Authorizer {
	t.Helper()
	fallback := channel.Default(channel.Users)
	var list []channel.Rule
	for _, who := range []channel.Allowed{channel.Anyone, channel.Subscribers, channel.Server, channel.Nobody} {
		r := channel.Default(who)
		r.Match = "*" + string(who) + "*"
		if who == channel.Subscribers {
			r.Subscribe = channel.Users
		}
		list = append(list, r)
	}
	rules, err := channel.NewRules(list, fallback)
	if err != nil {
		t.Fatal(err)
	}
	return auth.New(auth.Config{Rules: rules, Personal: "user:"})
}

// role is somebody who comes to a door.
type role struct {
	name  string
	who   auth.Identity
	token string
	key   string
}

func roles(t *testing.T) []role {
	user := func(name string) role {
		return role{name: "user " + name, who: auth.Identity{Kind: auth.User, User: name}, token: sign(t, rolesSecret, name)}
	}
	return []role{
		{name: "guest", who: auth.Identity{Kind: auth.Guest}}, user("42"), user("7"),
		{name: "server", who: auth.Identity{Kind: auth.Server}, key: rolesKey},
	}
}

// Attack row N5: no door lets in whom another one keeps out. Action × door ×
// role × channel, against the one authoriser.
func TestEveryDoorDecidesAlike(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--token-secret", rolesSecret, "--api-key", rolesKey, "--rules", rolesRules)
	d := doorTest{t: t, node: n, judge: judge(t)}
	for _, r := range roles(t) {
		for _, name := range rolesChannels {
			d.http(r, name)
			if r.key == "" { // servers have no session
				d.raw(r, name)
				d.sse(r, name)
			}
		}
		if r.key == "" {
			d.centrifuge(r)
		}
	}
}

type doorTest struct {
	t     *testing.T
	node  *kit.Node
	judge *auth.Authorizer
}

// expect compares a door's verdict with the authoriser's.
func (d *doorTest) expect(door string, r role, do auth.Action, name string, subscribed, allowed bool, detail string) {
	d.t.Helper()
	err := d.judge.Authorize(auth.Request{Identity: r.who, Action: do, Channel: name, Subscribed: subscribed})
	if allowed != (err == nil) {
		d.t.Errorf("%s: %s %s in %q (subscribed: %t): allowed is %t, the authoriser says %v; %.200s", door, r.name, do, name, subscribed, allowed, err, detail)
	}
}

func (d *doorTest) http(r role, name string) {
	d.t.Helper()
	for do, call := range map[auth.Action][2]string{
		auth.Publish: {"POST", "/publish/" + url.PathEscape(name)},
		auth.History: {"GET", "/history/" + url.PathEscape(name)},
	} {
		status, body := d.request(r, call[0], call[1])
		d.expect("HTTP", r, do, name, false, status == http.StatusOK, body)
		if status != http.StatusOK && status != http.StatusUnauthorized && status != http.StatusForbidden {
			d.t.Errorf("HTTP: %s %s in %q: %d %s", r.name, do, name, status, body)
		}
	}
}

func (d *doorTest) request(r role, method, path string) (int, string) {
	d.t.Helper()
	var headers []string
	if r.token != "" {
		headers = append(headers, "Authorization: Bearer "+r.token)
	}
	if r.key != "" {
		headers = append(headers, "X-API-Key: "+r.key)
	}
	return kit.Read(d.node.Do(method, path, "1", headers...))
}

func (r role) query(name string) string {
	q := url.Values{"channel": {name}, "format": {"envelope"}}
	if r.token != "" {
		q.Set("token", r.token)
	}
	return q.Encode()
}

func (d *doorTest) raw(r role, name string) {
	d.t.Helper()
	s, res, err := d.node.TryDial("/websocket?" + r.query(name))
	d.expect("raw", r, auth.Subscribe, name, false, err == nil, fmt.Sprint(err))
	if err != nil {
		if res == nil || res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
			d.t.Errorf("raw: %s in %q: %v, %v", r.name, name, res, err)
		}
		return
	}
	s.Send("1")
	answer := s.Wait(1)[0]
	d.expect("raw", r, auth.Publish, name, true, !strings.HasPrefix(answer, `{"error"`), answer)
	s.Close()
}

func (d *doorTest) sse(r role, name string) {
	d.t.Helper()
	res := d.node.Ask("GET", "/sse?"+r.query(name), "")
	res.Body.Close()
	d.expect("SSE", r, auth.Subscribe, name, false, res.StatusCode == http.StatusOK, res.Status)
}

// centrifuge asks for everything twice in each channel: before subscribing,
// and after, where that was allowed.
func (d *doorTest) centrifuge(r role) {
	d.t.Helper()
	c := d.converse(r.token)
	defer c.conn.CloseNow()
	for _, name := range rolesChannels {
		d.tryAll(c, r, name, false)
		allowed, answer := c.ask("subscribe", name)
		d.expect("Centrifuge", r, auth.Subscribe, name, false, allowed, answer)
		if allowed {
			d.tryAll(c, r, name, true)
		}
	}
}

func (d *doorTest) tryAll(c *conversation, r role, name string, subscribed bool) {
	d.t.Helper()
	for _, do := range []auth.Action{auth.Publish, auth.History, auth.Presence} {
		allowed, answer := c.ask(string(do), name)
		d.expect("Centrifuge", r, do, name, subscribed, allowed, answer)
	}
}

// conversation speaks the Centrifuge protocol in JSON, one command at a time.
type conversation struct {
	t    *testing.T
	conn *websocket.Conn
	last int
}

func (d *doorTest) converse(token string) *conversation {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), kit.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+d.node.Addr+"/connection/websocket", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	c := &conversation{t: d.t, conn: conn}
	if reply := c.command("connect", map[string]any{"token": token}); reply.Error != nil {
		d.t.Fatalf("connect: %+v", reply.Error)
	}
	return c
}

type answer struct {
	ID    int
	Error *struct {
		Code    int
		Message string
	}
}

// ask tells whether a command about a channel was done. A refusal is for want
// of permission, nothing else.
func (c *conversation) ask(do, name string) (allowed bool, text string) {
	c.t.Helper()
	reply := c.command(do, map[string]any{"channel": name, "data": 1, "limit": 1})
	if reply.Error == nil {
		return true, ""
	}
	if reply.Error.Code != 101 && reply.Error.Code != 103 {
		c.t.Errorf("%s in %q: %+v", do, name, reply.Error)
	}
	return false, reply.Error.Message
}

func (c *conversation) command(do string, what map[string]any) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), kit.Patience)
	defer cancel()
	c.last++
	text, err := json.Marshal(map[string]any{"id": c.last, do: what})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(ctx, websocket.MessageText, text); err != nil {
		c.t.Fatalf("%s: %v", do, err)
	}
	for {
		_, frame, err := c.conn.Read(ctx)
		if err != nil {
			c.t.Fatalf("%s: %v", do, err)
		}
		for line := range strings.Lines(string(frame)) {
			var a answer
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				c.t.Fatalf("%s: %q: %v", do, line, err)
			}
			if a.ID == c.last {
				return a
			}
		}
	}
}

// A node checks tokens with keys that it fetches, goes on with them when their
// server is away, and tells those it cannot judge to try again.
func TestNodeWithAKeySet(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(keySet(t, "a", key)) }))
	defer provider.Close()
	n := kit.Start(t, "--token-jwks", provider.URL)
	// Y5: whoever starts it hears once that the keys sign for others, too.
	told := func() int { return strings.Count(n.Output(), "set token_audience to the aud of the tokens") }
	kit.Eventually(t, "the log tells", func() bool { return told() > 0 }) // it is written beside all else
	defer func() {
		if told() != 1 {
			t.Errorf("told %d times:\n%s", told(), n.Output())
		}
	}()
	token := func(kid string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["kid"] = kid
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if status, body := n.Get("/history/chat?token=" + token("a")); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if status, body := n.Get("/history/chat"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, body)
	}
	provider.Close()
	if status, body := n.Get("/history/chat?token=" + token("a")); status != http.StatusOK {
		t.Errorf("while the provider is away: %d %s", status, body)
	}
	if status, body := n.Get("/history/chat?token=" + token("b")); status != http.StatusServiceUnavailable || !strings.Contains(body, "try again") {
		t.Errorf("a key that may be new: %d %s", status, body)
	}
}

func keySet(t *testing.T, kid string, k *ecdsa.PrivateKey) []byte {
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Error(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
	if err != nil {
		t.Error(err)
	}
	return set
}
