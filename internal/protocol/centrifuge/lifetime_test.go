package centrifuge_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"magpie/internal/protocol/centrifuge"
)

func TestPings(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t, func(c *centrifuge.Config) { c.Ping, c.Pong = 40*time.Millisecond, patience })
			c := e.connected(w)
			for range 3 {
				c.hears(`{}`)
				c.say(`{}`)
			}
			c.hears(`{}`)
			c.say(`{}`, `{"id":2,"unsubscribe":{"channel":"x"}}`) // a pong among commands
			if text, _ := c.next(); text != `{"id":2,"unsubscribe":{}}` && text != `{}` {
				t.Error(text)
			}
			c = e.connected(w)
			c.hears(`{}`)
			c.say(`{}`)
			c.say(`{}`) // nobody asked
			c.ends(3501)
			c = e.connected(w)
			c.hears(`{}`)
			c.say(`{"subscribe":{"channel":"c"}}`) // no pong
			c.ends(3501)
		})
	}
}

// Who does not answer is let go, also where the next ping comes before the
// answer has to be there.
func TestNoPong(t *testing.T) {
	for _, pong := range []time.Duration{30 * time.Millisecond, 200 * time.Millisecond} {
		e := listen(t, func(c *centrifuge.Config) { c.Ping, c.Pong = 60*time.Millisecond, pong })
		c := e.connected(ways[0])
		text, err := c.next()
		for err == nil && text == `{}` {
			text, err = c.next()
		}
		if websocket.CloseStatus(err) != 3012 {
			t.Errorf("%v: %q %v", pong, text, err)
		}
	}
}

// clocked is an endpoint where a token's grace is short.
func clocked(t *testing.T, grace time.Duration) *endpoint {
	return listen(t, func(c *centrifuge.Config) { c.Grace = grace })
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() + 1 }

func TestConnectionTokens(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		for name, x := range map[string]struct {
			token string
			code  int
		}{
			"garbage":              {"x", 3500},
			"another's signature":  {token(map[string]any{"sub": "42"}) + "x", 3500},
			"a subscription token": {token(map[string]any{"sub": "42", "channel": "c"}), 3500},
			"alg none":             {"eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiIsImV4cCI6OTk5OTk5OTk5OX0.", 3500},
		} {
			c := e.dial(w)
			c.say(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, x.token))
			if got := c.closeMessage(); got != x.code {
				t.Errorf("%s: %d, want %d", name, got, x.code)
			}
		}
		// An expired one is told, so that the client gets another, on this connection too.
		c := e.dial(w)
		c.say(`{"id":1,"connect":{"token":"` + expired(map[string]any{"sub": "42"}) + `"}}`)
		c.hears(`{"id":1,"error":{"code":109,"message":"token expired"}}`)
		if !w.stream { // over HTTP nobody knows the session yet
			c.say(`{"id":2,"connect":{"token":"` + token(map[string]any{"sub": "42"}) + `"}}`)
			if r := c.reply(); r.Connect == nil || !r.Connect.Expires || r.Connect.Ttl < 3500 {
				t.Errorf("%v", r)
			}
		}
	})
}

func TestRefresh(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		connect := `{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42"}) + `"}}`
		c := e.connected(w, connect)
		c.say(`{"id":2,"refresh":{"token":"` + token(map[string]any{"sub": "42", "exp": in(99 * time.Second)}) + `"}}`)
		r := c.reply()
		if r.Refresh == nil || !r.Refresh.Expires || r.Refresh.Ttl < 98 || r.Refresh.Ttl > 101 {
			t.Fatalf("%v", r)
		}
		c.say(`{"id":3,"refresh":{"token":"` + token(map[string]any{"sub": "42", "expire_at": 0}) + `"}}`)
		c.hears(`{"id":3,"refresh":{"client":"` + c.id + `","version":"test"}}`)
		for bad, code := range map[string]int{
			expired(map[string]any{"sub": "42"}):               3005,
			token(map[string]any{"sub": "43"}):                 3500,
			token(map[string]any{"sub": "42", "channel": "c"}): 3500,
			"x": 3500,
		} {
			c := e.connected(w, connect)
			c.say(fmt.Sprintf(`{"id":2,"refresh":{"token":%q}}`, bad))
			c.ends(code)
		}
	})
}

// A session ends behind its token and the grace, unless it is refreshed.
func TestSessionsExpire(t *testing.T) {
	everyWayInABubble(t, func(t *testing.T, w way) {
		e := clocked(t, 20*time.Millisecond)
		expiring := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "exp": in(0)})+`"}}`)
		refreshed := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "exp": in(0)})+`"}}`)
		refreshed.say(`{"id":2,"refresh":{"token":"` + token(map[string]any{"sub": "42"}) + `"}}`)
		if r := refreshed.reply(); r.Refresh == nil {
			t.Fatalf("%v", r)
		}
		expiring.ends(3005)
		refreshed.say(`{"id":3,"unsubscribe":{"channel":"x"}}`)
		refreshed.hears(`{"id":3,"unsubscribe":{}}`)
	})
}

// Tokens that are meant to live for ever often end in the year 2286, which has
// no count of nanoseconds; it is not over for that.
func TestTokensOfTheFarFuture(t *testing.T) { synctest.Test(t, tokensOfTheFarFuture) }

func tokensOfTheFarFuture(t *testing.T) {
	e := clocked(t, 20*time.Millisecond)
	for _, exp := range []int64{9999999999, 253402300799} {
		c := e.connected(ways[0], `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "exp": exp})+`"}}`)
		c.say(`{"id":2,"subscribe":{"channel":"$f","token":"` + token(map[string]any{"sub": "42", "channel": "$f", "exp": exp}) + `"}}`)
		if r := c.reply(); r.Subscribe == nil || !r.Subscribe.Expires || r.Subscribe.Ttl != 1<<31-1 {
			t.Errorf("%v", r)
		}
		// The wheel turns once and more until a session behind it has ended.
		e.connected(ways[0], `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "exp": in(0)})+`"}}`).ends(3005)
		e.publish("$f", "1")
		if r := c.reply(); r.Push == nil || r.Push.Pub == nil {
			t.Errorf("exp %d: %v", exp, r)
		}
	}
}

func TestSubscriptionTokens(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
		for i, x := range []struct {
			channel, token string
			code           int
		}{
			{"$c", token(map[string]any{"sub": "42", "channel": "$d"}), 103},
			{"$c", token(map[string]any{"sub": "43", "channel": "$c"}), 103},
			{"$c", token(map[string]any{"sub": "42"}), 103}, // a connection token
			{"$c", expired(map[string]any{"sub": "42", "channel": "$c"}), 109},
			{"$c", token(map[string]any{"sub": "42", "channel": "$c"}) + "x", 103},
			{"for#41,43", "", 103},
		} {
			c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"token":%q}}`, i+2, x.channel, x.token))
			c.hears(fmt.Sprintf(`{"id":%d,"error":{"code":%d,"message":"*"}}`, i+2, x.code))
		}
		c.say(`{"id":20,"subscribe":{"channel":"$c","token":"` + token(map[string]any{"sub": "42", "channel": "$c"}) + `"}}`)
		if r := c.reply(); r.Subscribe == nil || !r.Subscribe.Expires || r.Subscribe.Ttl < 3500 {
			t.Errorf("%v", r)
		}
		c.say(`{"id":21,"subscribe":{"channel":"for#41,42"}}`, `{"id":22,"subscribe":{"channel":"server:c","token":"`+
			token(map[string]any{"sub": "42", "channel": "server:c", "expire_at": 0})+`"}}`)
		c.hears(`{"id":21,"subscribe":"*"}`, `{"id":22,"subscribe":{}}`)
	})
}

// Subscriptions end behind their token: those that the client made so that it
// makes them again, those of the server with the connection.
func TestSubscriptionsExpire(t *testing.T) {
	everyWayInABubble(t, func(t *testing.T, w way) {
		e := clocked(t, 20*time.Millisecond)
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
		soon := token(map[string]any{"sub": "42", "channel": "$e", "exp": in(0)})
		kept := token(map[string]any{"sub": "42", "channel": "$k", "exp": in(0)})
		c.say(`{"id":2,"subscribe":{"channel":"$e","token":"`+soon+`"}}`, `{"id":3,"subscribe":{"channel":"$k","token":"`+kept+`"}}`,
			`{"id":4,"sub_refresh":{"channel":"$k","token":"`+token(map[string]any{"sub": "42", "channel": "$k"})+`"}}`)
		c.hears(`{"id":2,"subscribe":"*"}`, `{"id":3,"subscribe":"*"}`, `{"id":4,"sub_refresh":{"expires":true,"ttl":"*"}}`,
			push("$e", `"unsubscribe":{"code":2501,"reason":"subscription expired"}`))
		e.publish("$k", "1")
		c.hears(push("$k", `"pub":{"data":1,"offset":1}`))
		// With an expired token the client is made to subscribe again.
		c.say(`{"id":5,"sub_refresh":{"channel":"$k","token":"` + expired(map[string]any{"sub": "42", "channel": "$k"}) + `"}}`)
		c.hears(push("$k", `"unsubscribe":{"code":2501,"reason":"*"}`), `{"id":5,"error":{"code":110,"message":"expired"}}`)
	})
}
