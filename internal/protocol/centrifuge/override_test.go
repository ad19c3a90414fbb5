package centrifuge_test

import (
	"fmt"
	"testing"
)

// grantWith is a subscription token that says something else than the rule.
func grantWith(name string, override map[string]any) string {
	return token(map[string]any{"sub": "42", "channel": name, "expire_at": 0, "override": override})
}

func value(b bool) map[string]any { return map[string]any{"value": b} }

// override.presence: false hides a subscription. True shows what the rule
// shows anyway, and cannot add presence to a channel that keeps none: who
// subscribed without a token would be missing from it.
func TestATokenOverridesPresence(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		connect := `{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42"}) + `"}}`
		seen, shown, hidden := e.connected(w, connect), e.connected(w, connect), e.connected(w, connect)
		for c, grant := range map[*client]string{
			seen:   grantWith("short:o", nil),
			shown:  grantWith("short:o", map[string]any{"presence": value(true)}),
			hidden: grantWith("short:o", map[string]any{"presence": value(false)}),
		} {
			c.say(`{"id":2,"subscribe":{"channel":"short:o","token":"` + grant + `"}}`)
			c.hears(`{"id":2,"subscribe":"*"}`)
		}
		hidden.say(`{"id":3,"presence":{"channel":"short:o"}}`) // it may look all the same
		hidden.hears(fmt.Sprintf(`{"id":3,"presence":{"presence":{%q:{"user":"42","client":%[1]q},%q:{"user":"42","client":%[2]q}}}}`, seen.id, shown.id))
		e.publish("short:o", `1`)
		for _, c := range []*client{seen, shown, hidden} {
			c.hears(push("short:o", `"pub":{"data":1,"offset":1}`))
		}

		seen.say(`{"id":4,"subscribe":{"channel":"plain:o","token":"` + grantWith("plain:o", map[string]any{"presence": value(true)}) + `"}}`)
		seen.hears(`{"id":4,"subscribe":"*"}`)
		seen.say(`{"id":5,"presence":{"channel":"plain:o"}}`)
		seen.hears(`{"id":5,"error":{"code":108,"message":"*"}}`)
	})
}

// A connection token's subs say the same of server-side subscriptions.
func TestAConnectionTokenHidesItsSubscriptions(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		quiet := map[string]any{"join_leave": value(false)}
		hidden := map[string]any{"join_leave": value(false), "presence": value(false)}
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "subs": map[string]any{
			"short:s": map[string]any{"override": hidden}, "short:t": map[string]any{"override": quiet},
		}})+`"}}`)
		c.say(`{"id":2,"presence_stats":{"channel":"short:s"}}`)
		c.hears(`{"id":2,"presence_stats":{"num_clients":0,"num_users":0}}`)
		c.say(`{"id":3,"presence_stats":{"channel":"short:t"}}`)
		c.hears(`{"id":3,"presence_stats":{"num_clients":1,"num_users":1}}`)
	})
}

// override.recover and override.position take the place of the rule's word.
// What the client asks for itself it gets whatever the token says.
func TestATokenOverridesRecovery(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42"})+`"}}`)
		const both, position, neither = `{"positioned":true,"recoverable":true,"epoch":"*"}`, `{"positioned":true,"epoch":"*"}`, `{}`
		for i, x := range []struct {
			channel, ask string
			override     map[string]any
			want         string
		}{
			{"plain:a", ``, nil, neither},
			{"plain:b", ``, map[string]any{"recover": value(true)}, both},
			{"plain:c", ``, map[string]any{"position": value(true)}, position},
			{"short:a", ``, nil, both}, // the rule recovers
			{"short:b", ``, map[string]any{"recover": value(false)}, neither},
			{"short:c", ``, map[string]any{"recover": value(false), "position": value(true)}, position},
			{"short:d", `,"recoverable":true`, map[string]any{"recover": value(false)}, both},
			{"bare:a", ``, map[string]any{"recover": value(true), "position": value(true)}, neither}, // there is no log
		} {
			c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"token":%q%s}}`, i+2, x.channel, grantWith(x.channel, x.override), x.ask))
			c.hears(fmt.Sprintf(`{"id":%d,"subscribe":%s}`, i+2, x.want))
		}
	})
}
