package centrifuge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
)

func TestConnect(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.dial(w)
		c.say(`{"id":7,"connect":{"name":"go","version":"1"}}`)
		if w.stream {
			c.hears(`{"id":7,"connect":{"client":"*","version":"test","ping":25,"pong":true,"session":"*"}}`)
			return
		}
		c.hears(`{"id":7,"connect":{"client":"*","version":"test","ping":25,"pong":true}}`)
	})
}

// Several commands in one frame are answered in order.
func TestCommandsOfOneFrameAreAnsweredInOrder(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w)
		c.say(
			`{"id":2,"subscribe":{"channel":"plain:a"}}`,
			`{"id":3,"publish":{"channel":"plain:a","data":{"n":1}}}`,
			`{"id":4,"history":{"channel":"plain:a","limit":10}}`,
			`{"id":5,"unsubscribe":{"channel":"plain:a"}}`,
			`{"send":{"data":{}}}`,
			`{"id":6,"unsubscribe":{"channel":"plain:a"}}`,
		)
		c.hears(`{"id":2,"subscribe":{}}`)
		// The publication comes by way of the engine, between any two answers.
		var got []string
		for range 5 {
			text, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, "push") {
				got = append(got, text)
			} else if !same(t, `{"push":{"channel":"plain:a","pub":{"data":{"n":1},"offset":1,"info":{"user":"","client":"`+c.id+`"}}}}`, text) {
				t.Error(text)
			}
			if len(got) == 4 {
				break
			}
		}
		for i, want := range []string{`{"id":3,"publish":{}}`,
			`{"id":4,"history":{"epoch":"*","offset":1,"publications":[{"data":{"n":1},"offset":1,"info":{"user":"","client":"` + c.id + `"}}]}}`,
			`{"id":5,"unsubscribe":{}}`, `{"id":6,"unsubscribe":{}}`} {
			if !same(t, want, got[i]) {
				t.Errorf("got %s, want %s", got[i], want)
			}
		}
	})
}

// D2, D3: the answer holds what was missed, what follows comes behind it.
func TestRecovery(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		for n := 1; n <= 4; n++ {
			e.publish("short:r", fmt.Sprint(n))
		}
		at := e.publish("short:r", "5")
		c := e.connected(w)
		c.say(fmt.Sprintf(`{"id":2,"subscribe":{"channel":"short:r","recover":true,"offset":3,"epoch":%q}}`, at.Epoch))
		c.hears(fmt.Sprintf(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"was_recovering":true,"recovered":true,
			"epoch":%q,"offset":3,"publications":[{"data":4,"offset":4},{"data":5,"offset":5}]}}`, at.Epoch))
		e.publish("short:r", "6")
		c.hears(`{"push":{"channel":"short:r","pub":{"data":6,"offset":6}}}`)
	})
}

// D2: what cannot be recovered is told, with the present position.
func TestUnrecoverablePositions(t *testing.T) {
	e := listen(t)
	for n := 1; n <= 9; n++ {
		e.publish("short:u", fmt.Sprint(n))
	}
	at := e.publish("short:u", "10") // 6 to 10 are kept
	c := e.connected(ways[0])
	for id, position := range []string{
		fmt.Sprintf(`"offset":3,"epoch":%q`, at.Epoch),                  // trimmed
		fmt.Sprintf(`"offset":11,"epoch":%q`, at.Epoch),                 // not there yet
		`"offset":9,"epoch":"another"`,                                  // lost
		fmt.Sprintf(`"offset":9,"epoch":%q`, strings.Repeat("x", 1000)), // no epoch of ours
		`"epoch":""`, // the beginning is trimmed
		fmt.Sprintf(`"offset":18446744073709551615,"epoch":%q`, at.Epoch), // the last number there is
	} {
		c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"short:u","recover":true,%s}}`, id+10, position))
		c.hears(fmt.Sprintf(`{"id":%d,"subscribe":{"recoverable":true,"positioned":true,"was_recovering":true,"epoch":%q,"offset":10}}`, id+10, at.Epoch))
		c.say(fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"short:u"}}`, id+50))
		c.hears(fmt.Sprintf(`{"id":%d,"unsubscribe":{}}`, id+50))
	}
	// Flag 2: rather no subscription than one that lost something.
	c.say(`{"id":99,"subscribe":{"channel":"short:u","recover":true,"offset":9,"epoch":"another","flag":2}}`)
	c.hears(`{"id":99,"error":{"code":112,"message":"unrecoverable position"}}`)
	if n := e.Hub.Metrics.Subscriptions.Value(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// A position is only given where there is a log, and where client or rule
// want it.
func TestPositionsAreGivenWhereTheyAreWanted(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0])
	for i, x := range []struct{ ask, want string }{
		{`"channel":"bare:x","positioned":true,"recoverable":true`, `{}`},
		{`"channel":"bare:y","recover":true,"offset":4,"epoch":"x"`, `{}`},
		{`"channel":"plain:x"`, `{}`},
		{`"channel":"plain:y","positioned":true`, `{"positioned":true,"epoch":"*"}`},
		{`"channel":"plain:z","recoverable":true`, `{"positioned":true,"recoverable":true,"epoch":"*"}`},
		{`"channel":"short:x"`, `{"positioned":true,"recoverable":true,"epoch":"*"}`},
	} {
		c.say(fmt.Sprintf(`{"id":%d,"subscribe":{%s}}`, i+2, x.ask))
		c.hears(fmt.Sprintf(`{"id":%d,"subscribe":%s}`, i+2, x.want))
	}
}

func TestJoinsAndLeaves(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		watcher, other := e.connected(ways[0]), e.connected(ways[0])
		watcher.say(`{"id":2,"subscribe":{"channel":"short:j","join_leave":true}}`)
		watcher.hears(`{"id":2,"subscribe":"*"}`, push("short:j", `"join":{"info":{"user":"","client":"`+watcher.id+`"}}`))
		other.say(`{"id":2,"subscribe":{"channel":"short:j"}}`) // did not ask for news
		other.hears(`{"id":2,"subscribe":"*"}`)
		watcher.hears(push("short:j", `"join":{"info":{"user":"","client":"`+other.id+`"}}`))
		c := e.connected(w, `{"id":1,"connect":{"token":"`+token(map[string]any{"sub": "42", "info": map[string]any{"name": "Ada"}})+`"}}`)
		c.say(`{"id":2,"subscribe":{"channel":"short:j"}}`)
		info := `{"info":{"user":"42","client":"` + c.id + `","conn_info":{"name":"Ada"}}}`
		watcher.hears(push("short:j", `"join":`+info))
		c.say(`{"id":3,"unsubscribe":{"channel":"short:j"}}`)
		watcher.hears(push("short:j", `"leave":`+info))
		c.say(`{"id":4,"subscribe":{"channel":"short:j"}}`)
		watcher.hears(push("short:j", `"join":`+info))
		e.steer(c.id, func(s session.Controllable) { s.ServerDisconnect(4000, "away") })
		watcher.hears(push("short:j", `"leave":`+info))
		e.publish("short:j", `1`)
		other.hears(push("short:j", `"pub":{"data":1,"offset":1}`))
	})
}

// join_leave: force tells subscribers who did not ask, as older SDKs cannot. A
// token's override takes that back.
func TestForcedJoinsAndLeaves(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c, other := e.connected(w), e.connected(ways[0])
		c.say(`{"id":2,"subscribe":{"channel":"forced:j"}}`)
		c.hears(`{"id":2,"subscribe":"*"}`, push("forced:j", `"join":{"info":{"user":"","client":"`+c.id+`"}}`))
		other.say(`{"id":2,"subscribe":{"channel":"forced:j","token":"` + token(map[string]any{"channel": "forced:j", "sub": nil,
			"override": map[string]any{"join_leave": map[string]any{"value": false}}}) + `"}}`)
		other.hears(`{"id":2,"subscribe":"*"}`)
		e.publish("forced:j", `1`)
		for _, each := range []*client{c, other} {
			each.hears(push("forced:j", `"pub":{"data":1}`))
		}
	})
}

func push(name, what string) string { return fmt.Sprintf(`{"push":{"channel":%q,%s}}`, name, what) }

// steer finds a session as a server's order does.
func (e *endpoint) steer(id string, f func(session.Controllable)) {
	e.t.Helper()
	found := false
	e.Node.Each(func(s *session.Session) bool {
		if s.ID() == id {
			found = true
			f(s.Link().(session.Controllable))
		}
		return !found
	})
	if !found {
		e.t.Fatalf("no session %s", id)
	}
}

func TestPresence(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		connect := `{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "info": map[string]any{"a": 1}}) + `"}}`
		a, b := e.connected(w, connect), e.connected(w, connect)
		grant := token(map[string]any{"sub": "42", "channel": "$p", "info": map[string]any{"seat": 3}})
		a.say(`{"id":2,"subscribe":{"channel":"$p","token":"` + grant + `"}}`)
		b.say(`{"id":2,"subscribe":{"channel":"$p","token":"` + token(map[string]any{"sub": "42", "channel": "$p"}) + `"}}`)
		a.hears(`{"id":2,"subscribe":"*"}`)
		b.hears(`{"id":2,"subscribe":"*"}`)
		a.say(`{"id":3,"presence":{"channel":"$p"}}`)
		a.hears(fmt.Sprintf(`{"id":3,"presence":{"presence":{
			%q:{"user":"42","client":%[1]q,"conn_info":{"a":1},"chan_info":{"seat":3}},
			%q:{"user":"42","client":%[2]q,"conn_info":{"a":1}}}}}`, a.id, b.id))
		a.say(`{"id":4,"presence_stats":{"channel":"$p"}}`)
		a.hears(`{"id":4,"presence_stats":{"num_clients":2,"num_users":1}}`)
		// What a channel token says about somebody is stamped on what he publishes.
		a.say(`{"id":5,"publish":{"channel":"$p","data":1}}`)
		b.hears(push("$p", `"pub":{"data":1,"offset":1,"info":{"user":"42","client":"`+a.id+`","conn_info":{"a":1},"chan_info":{"seat":3}}}`))
	})
}

func TestHistory(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		for n := 1; n <= 7; n++ {
			e.publish("short:h", fmt.Sprint(n)) // 3 to 7 are kept
		}
		c := e.connected(w)
		for i, x := range []struct{ ask, want string }{
			{`"limit":0`, ``},
			{`"limit":2`, `3 4`},
			{`"limit":-1`, `3 4 5 6 7`},
			{`"limit":2,"reverse":true`, `7 6`},
			{`"limit":-1,"since":{"offset":5}`, `6 7`},
			{`"limit":1,"since":{"offset":5}`, `6`},
			{`"limit":-1,"since":{"offset":5},"reverse":true`, `4 3`},
			{`"limit":-1,"since":{"offset":1}`, `3 4 5 6 7`}, // what is left
			{`"limit":-1,"since":{"offset":7}`, ``},
		} {
			c.say(fmt.Sprintf(`{"id":%d,"history":{"channel":"short:h",%s}}`, i+2, x.ask))
			r := c.reply()
			if r.History == nil {
				t.Fatalf("%s: %v", x.ask, r)
			}
			var got []string
			for _, p := range r.History.Publications {
				got = append(got, string(p.Data))
			}
			if strings.Join(got, " ") != x.want || r.History.Offset != 7 || r.History.Epoch == "" {
				t.Errorf("%s: %v, %v", x.ask, got, r.History)
			}
		}
		for i, x := range []struct {
			ask  string
			code int
		}{
			{`"channel":"short:h","limit":1,"since":{"offset":5,"epoch":"another"}`, 112},
			{`"channel":"short:h","limit":1,"since":{"offset":5,"epoch":"another"},"reverse":true`, 112},
			{`"channel":"short:h","limit":1,"since":{"offset":5,"epoch":"` + strings.Repeat("x", 1000) + `"}`, 112},
			{`"channel":"short:h","limit":1,"since":{},"reverse":true`, 107},
			{`"channel":"bare:h","limit":1`, 108},
			{`"channel":"bad name"`, 107},
			{`"channel":"server:h"`, 103},
		} {
			c.say(fmt.Sprintf(`{"id":%d,"history":{%s}}`, i+50, x.ask))
			c.hears(fmt.Sprintf(`{"id":%d,"error":{"code":%d,"message":"*"}}`, i+50, x.code))
		}
	})
}

// Payloads that are no JSON reach everyone, and end nobody's connection.
func TestPayloadsThatAreNoJSON(t *testing.T) {
	payloads := []string{"plain text", "", "\xff\x00\xfe", "{\"a\":\r\n1}", "\u2028 \x00", "[1,]", `"unclosed`, "\xef\xbb\xbf{}", "NaN"}
	wants := []string{`"plain text"`, `""`, `{"b64":"/wD+"}`, `{"a":1}`, "\"\u2028 \\u0000\"", `"[1,]"`, `"\"unclosed"`, "\"\ufeff{}\"", `"NaN"`}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t)
			c := e.connected(w)
			c.say(`{"id":2,"subscribe":{"channel":"bare:p"}}`)
			c.hears(`{"id":2,"subscribe":{}}`)
			for i, p := range payloads {
				e.publish("bare:p", p)
				if !w.protobuf {
					want := wants[i]
					c.hears(push("bare:p", `"pub":{"data":`+want+`}`))
					continue
				}
				if got := c.raw(); string(got.Push.Pub.Data) != p {
					t.Errorf("%q came as %q", p, got.Push.Pub.Data)
				}
			}
		})
	}
}

func TestServerSideSubscriptions(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		at := e.publish("short:s", "1")
		e.publish("short:s", "2")
		claims := map[string]any{"sub": "42", "channels": []string{"bare:s"}, "subs": map[string]any{
			"short:s": map[string]any{"data": map[string]any{"hello": 1}, "info": map[string]any{"i": 1}}}}
		c := e.dial(w)
		c.say(fmt.Sprintf(`{"id":1,"connect":{"token":%q,"subs":{"short:s":{"recover":true,"offset":1,"epoch":%q}}}}`, token(claims), at.Epoch))
		r := c.reply()
		c.id, c.session, c.node = r.Connect.Client, r.Connect.Session, r.Connect.Node
		got := string(r.Connect.AppendJSON(nil))
		subs := fmt.Sprintf(`{"bare:s":{},"own:42":{"epoch":"*","recoverable":true,"positioned":true},
			"short:s":{"recoverable":true,"positioned":true,"recovered":true,"was_recovering":true,"epoch":%q,"offset":1,"data":{"hello":1},
			"publications":[{"data":2,"offset":2}]}}`, at.Epoch)
		want := `{"client":"*","version":"test","ping":25,"pong":true,"expires":true,"ttl":"*","subs":` + subs + `}`
		if w.stream {
			want = strings.Replace(want, `"pong"`, `"session":"*","pong"`, 1)
		}
		if !same(t, want, got) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		// Its own join is told where the rule tells joins.
		c.hears(push("short:s", `"join":{"info":{"user":"42","client":"`+c.id+`","chan_info":{"i":1}}}`))
		e.publish("own:42", `"mine"`)
		c.hears(push("own:42", `"pub":{"data":"mine","offset":1}`))
		c.say(`{"id":2,"subscribe":{"channel":"bare:s"}}`)
		c.hears(`{"id":2,"error":{"code":105,"message":"already subscribed"}}`)
	})
}

// A client may ask for differences in what the server subscribes it to.
func TestDifferencesInServerSideSubscriptions(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0], fmt.Sprintf(`{"id":1,"connect":{"token":%q,"subs":{"short:d":{"delta":"fossil"},"foreign":{"recover":true}}}}`,
		token(map[string]any{"sub": "42", "channels": []string{"short:d"}})))
	c.hears(push("short:d", `"join":"*"`))
	long := strings.Repeat("magpie ", 20)
	e.publish("short:d", `"`+long+`1"`)
	c.hears(push("short:d", `"pub":{"data":"\"`+long+`1\"","offset":1}`))
	e.publish("short:d", `"`+long+`2"`)
	c.hears(push("short:d", `"pub":{"data":"*","delta":true,"offset":2}`))
}

func TestAServerSteersASession(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		at := e.publish("short:k", "1")
		e.publish("short:k", "2")
		c := e.connected(w)
		e.steer(c.id, func(s session.Controllable) {
			if key := s.(node.Keyed).SessionKey(); key != c.session || w.stream == (key == "") {
				t.Errorf("session %q", key)
			}
			s.ServerSubscribe("short:k", session.ServerSubscription{Data: []byte(`{"a":1}`), Since: &message.Position{Epoch: at.Epoch, Offset: 1}})
		})
		c.hears(push("short:k", fmt.Sprintf(`"subscribe":{"recoverable":true,"positioned":true,"epoch":%q,"offset":1,"data":{"a":1}}`, at.Epoch)),
			push("short:k", `"pub":{"data":2,"offset":2}`), push("short:k", `"join":"*"`))
		e.publish("short:k", "3")
		c.hears(push("short:k", `"pub":{"data":3,"offset":3}`))
		e.steer(c.id, func(s session.Controllable) { s.ServerUnsubscribe("short:k", 0, "") })
		c.hears(push("short:k", `"unsubscribe":{"code":2000,"reason":"server unsubscribe"}`))
		e.steer(c.id, func(s session.Controllable) { s.ServerRefresh(time.Now().Add(100*time.Second), false) })
		c.hears(`{"push":{"refresh":{"expires":true,"ttl":100}}}`)
		e.steer(c.id, func(s session.Controllable) { s.ServerRefresh(time.Time{}, false) })
		c.hears(`{"push":{"refresh":{}}}`)
		e.steer(c.id, func(s session.Controllable) { s.ServerDisconnect(4321, "go") })
		c.ends(4321)
		c = e.connected(w)
		e.steer(c.id, func(s session.Controllable) { s.ServerDisconnect(17, "no code of the protocol") })
		c.ends(3503)
		c = e.connected(w)
		e.steer(c.id, func(s session.Controllable) { s.ServerRefresh(time.Time{}, true) })
		c.ends(3005)
	})
}

// A session's end is told in the protocol's own codes.
func TestReasonsHaveTheirCodes(t *testing.T) {
	e := listen(t)
	for reason, code := range map[fault.Reason]int{
		fault.ReasonClient: 3000, fault.ReasonShutdown: 3001, fault.ReasonError: 3004, fault.ReasonUnavailable: 3004,
		fault.ReasonExpired: 3005, fault.ReasonSlow: 3008, fault.ReasonGap: 3010, fault.ReasonNoPong: 3012,
		fault.ReasonFlood: 3013, fault.ReasonToken: 3500, fault.ReasonProtocol: 3501, fault.ReasonStale: 3502,
		fault.ReasonForbidden: 3507, fault.ReasonRevoked: 3500, fault.ReasonKicked: 3503, "some other": 3004,
	} {
		for _, w := range []way{ways[0], ways[2]} {
			c := e.connected(w)
			e.Node.Each(func(s *session.Session) bool {
				if s.ID() == c.id {
					s.Close(reason)
				}
				return true
			})
			if got := c.closeMessage(); got != code {
				t.Errorf("%s, %s: %d, want %d", reason, w.name, got, code)
			}
		}
	}
}

func TestFiltersByTag(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w)
		e.publishTagged("plain:f", "1", "a")
		at := e.publishTagged("plain:f", "2", "b")
		c.say(fmt.Sprintf(`{"id":2,"subscribe":{"channel":"plain:f","recover":true,"recoverable":true,"epoch":%q,"delta":"fossil","tf":{"key":"k","cmp":"eq","val":"b"}}}`, at.Epoch))
		c.hears(fmt.Sprintf(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"was_recovering":true,"recovered":true,"epoch":%q,
			"publications":[{"data":2,"offset":2,"tags":{"k":"b"}}]}}`, at.Epoch))
		e.publishTagged("plain:f", "3", "a")
		e.publishTagged("plain:f", "4", "b")
		c.hears(push("plain:f", `"pub":{"data":4,"offset":4,"tags":{"k":"b"}}`))
		c.say(`{"id":3,"subscribe":{"channel":"plain:g","tf":{"op":"xor"}}}`)
		c.hears(`{"id":3,"error":{"code":107,"message":"bad request"}}`)
	})
}

// D8: a client that takes nothing is ended with a code upon which it comes
// back, and takes nobody else with it.
func TestDrainSaysShutdown(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			e := listen(t)
			connected := e.connected(w)
			var waiting *client
			if !w.stream {
				waiting = e.dial(w)
				eventually(t, "both are there", func() bool { return e.Node.Metrics.Sessions.Value() == 2 })
			}
			if err := e.Node.Drain(connected.ctx); err != nil {
				t.Fatal(err)
			}
			connected.ends(3001)
			if waiting != nil {
				waiting.ends(3001)
			}
		})
	}
}

// Orders are obeyed in the order in which they came: an order to unsubscribe
// right behind one to subscribe is not overtaken by what that begins.
func TestAServerUnsubscribesWhatItHasJustSubscribed(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0])
	const rounds = 30
	e.steer(c.id, func(s session.Controllable) {
		for i := range rounds {
			name := fmt.Sprint("bare:", i)
			s.ServerSubscribe(name, session.ServerSubscription{})
			s.ServerUnsubscribe(name, 2100, "no")
		}
	})
	left := map[string]bool{}
	for range 2 * rounds {
		switch p := c.reply().Push; {
		case p.Subscribe != nil:
			left[p.Channel] = true
		case p.Unsubscribe != nil && left[p.Channel]:
			delete(left, p.Channel)
		default:
			t.Fatalf("%v", p)
		}
	}
	if n := e.Hub.Metrics.Subscriptions.Value(); n != 0 || len(left) > 0 {
		t.Errorf("%d subscriptions are left; the client knows of %v", n, left)
	}
}
