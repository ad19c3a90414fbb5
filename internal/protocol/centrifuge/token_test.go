package centrifuge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/internal/node"
)

// A token may come with the handshake, for clients that can set headers and
// whose connect command has none.
func TestATokenMayComeWithTheHandshake(t *testing.T) {
	e := listen(t)
	dial := func(header http.Header) *client {
		conn, _, err := websocket.Dial(t.Context(), e.url+"/connection/websocket", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.CloseNow() })
		return &client{t: t, e: e, way: ways[0], ctx: t.Context(), ws: conn}
	}
	c := dial(http.Header{"Authorization": {"Bearer " + token(map[string]any{"sub": "42"})}})
	c.say(`{"id":1,"connect":{}}`)
	if r := c.reply(); r.Connect == nil || !r.Connect.Expires {
		t.Fatalf("%v", r)
	}
	c.say(`{"id":2,"subscribe":{"channel":"users:x"}}`)
	c.hears(`{"id":2,"subscribe":"*"}`)
	// The command's own counts.
	c = dial(http.Header{"Authorization": {"Bearer x.y.z"}})
	c.say(`{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42"}) + `"}}`)
	if r := c.reply(); r.Connect == nil {
		t.Fatalf("%v", r)
	}
}

// A token that does not pass is explained in the close reason.
func TestACloseSaysWhatIsWrongWithTheToken(t *testing.T) {
	e := listen(t)
	c := e.dial(ways[0])
	c.say(`{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "exp": nil}) + `"}}`)
	_, _, err := c.ws.Read(c.ctx)
	if reason := err.Error(); websocket.CloseStatus(err) != 3500 || !strings.Contains(reason, "invalid token: ") || !strings.Contains(reason, "exp") {
		t.Errorf("%v", err)
	}
}

// What a refreshed token no longer grants ends; what has a token of its own, or
// what the rule gives, stays.
func TestARefreshedTokenEndsWhatItNoLongerGrants(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		before := token(map[string]any{"sub": "42", "channels": []string{"$gone", "$kept"}})
		c := e.connected(w, `{"id":1,"connect":{"token":"`+before+`"}}`)
		own := token(map[string]any{"sub": "42", "channel": "$own"})
		c.say(`{"id":2,"subscribe":{"channel":"$own","token":"`+own+`"}}`, `{"id":3,"subscribe":{"channel":"users:x"}}`)
		c.hears(`{"id":2,"subscribe":"*"}`, `{"id":3,"subscribe":"*"}`)
		c.say(`{"id":4,"refresh":{"token":"` + token(map[string]any{"sub": "42", "channels": []string{"$kept"}}) + `"}}`)
		c.hears(push("$gone", `"unsubscribe":{"code":2000,"reason":"server unsubscribe"}`), `{"id":4,"refresh":"*"}`)
		for _, name := range []string{"$gone", "$own", "$kept", "users:x"} {
			e.publish(name, "1")
		}
		for _, name := range []string{"$own", "$kept", "users:x"} {
			if r := c.reply(); r.Push == nil || r.Push.Channel != name || r.Push.Pub == nil {
				t.Fatalf("%v instead of %s", r, name)
			}
		}
	})
}

// Y6: a session stands on the token that it showed last. When that is revoked it
// ends, and with a revoked token none is refreshed; the one before is of no matter.
func TestASessionEndsWithItsLastToken(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		revoke := func(id string) { e.revoke(t, id) }
		refresh := func(c *client, id string) {
			c.say(`{"id":2,"refresh":{"token":"` + token(map[string]any{"sub": "42", "jti": w.name + id}) + `"}}`)
		}
		connect := `{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "jti": w.name + "first"}) + `"}}`
		a, b := e.connected(w, connect), e.connected(w, connect)
		refresh(a, "second")
		a.hears(`{"id":2,"refresh":"*"}`)
		revoke(w.name + "first")
		b.ends(3500)
		a.say(`{"id":3,"subscribe":{"channel":"users:x"}}`)
		a.hears(`{"id":3,"subscribe":"*"}`)
		revoke(w.name + "third")
		refresh(a, "third")
		a.ends(3500)
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "jti": w.name + "second"})+`"}}`)
		revoke(w.name + "second")
		c.ends(3500)
	})
}

// Y6: a subscription stands on its own token, also on a connection whose token
// is good. It ends when the last one is revoked, and that makes no other.
func TestASubscriptionEndsWithItsLastToken(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		grant := func(channel, id string) string {
			return `{"channel":"` + channel + `","token":"` + token(map[string]any{"sub": "42", "channel": channel, "jti": w.name + id}) + `"}}`
		}
		revoke := func(id string) { e.revoke(t, w.name+id) }
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
		c.say(`{"id":2,"subscribe":`+grant("$a", "a"), `{"id":3,"subscribe":`+grant("$b", "b"), `{"id":4,"sub_refresh":`+grant("$b", "c"))
		c.hears(`{"id":2,"subscribe":"*"}`, `{"id":3,"subscribe":"*"}`, `{"id":4,"sub_refresh":"*"}`)
		revoke("b")
		revoke("a")
		c.hears(push("$a", `"unsubscribe":{"code":2000,"reason":"token revoked"}`))
		e.publish("$b", "1")
		c.hears(push("$b", `"pub":{"data":1,"offset":1}`))
		c.say(`{"id":5,"subscribe":`+grant("$a", "a"), `{"id":6,"sub_refresh":`+grant("$b", "b"))
		c.hears(`{"id":5,"error":{"code":103,"message":"permission denied"}}`, `{"id":6,"error":{"code":103,"message":"permission denied"}}`)
		revoke("c")
		c.hears(push("$b", `"unsubscribe":{"code":2000,"reason":"token revoked"}`))
	})
}

// A token that is revoked while it makes a subscription makes none that stays.
func TestNoSubscriptionSlipsPastARevocation(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0], `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
	for i := range 100 {
		id := fmt.Sprint("slip", i)
		done := make(chan struct{})
		go func() { defer close(done); e.revoke(t, id) }()
		c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"$s","token":"%s"}}`, i+2, token(map[string]any{"sub": "42", "channel": "$s", "jti": id})))
		<-done
		if r := c.reply(); r.Error == nil {
			c.hears(push("$s", `"unsubscribe":{"code":2000,"reason":"token revoked"}`))
		} else if r.Error.Code != 103 {
			t.Fatalf("%v", r)
		}
	}
}

// revoke revokes the tokens with this jti.
func (e *endpoint) revoke(t *testing.T, id string) {
	t.Helper()
	if err := e.Peers.Revoke(t.Context(), node.Revocation{ID: id}, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
}
