package centrifuge_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/coder/websocket"

	"magpie/internal/protocol/centrifuge"
)

// J1, J2, J4: what is no command ends the connection with 3501, before
// connect and after it, and never hangs.
func TestWhatIsNoCommandEndsTheConnection(t *testing.T) {
	deep := strings.Repeat("[", 15_000)
	frames := map[string]string{
		"empty": " ", "brace": `{`, "nul": `nul`, "null byte": "\x00", "two in a line": `{"id":2,"rpc":{}}{"id":3,"rpc":{}}`,
		"garbage behind": `{"id":2,"rpc":{}} x`, "BOM": "\ufeff{}", "single quotes": `{'id':2}`, "NaN": `{"id":NaN}`,
		"array": `[]`, "text": `"connect"`, "number": `17`, "deep": deep, "deep and closed": deep[:9000] + strings.Repeat("]", 9000),
		"deep in data": `{"id":2,"publish":{"channel":"c","data":` + deep + `}}`,
		"deep filter":  `{"id":2,"subscribe":{"channel":"c","tf":` + strings.Repeat(`{"nodes":[`, 1500) + `}}`,
		"empty line":   "{\"id\":2,\"rpc\":{}}\n\n{\"id\":3,\"rpc\":{}}",
		"id negative":  `{"id":-1,"rpc":{}}`, "id too big": `{"id":18446744073709551616,"rpc":{}}`, "id 2^32": `{"id":4294967296,"rpc":{}}`,
		"id text": `{"id":"2","rpc":{}}`, "id fraction": `{"id":1.5,"rpc":{}}`, "id 1e400": `{"id":1e400,"rpc":{}}`, "leading zero": `{"id":02,"rpc":{}}`,
		"no id": `{"rpc":{}}`, "id 0": `{"id":0,"subscribe":{"channel":"c"}}`,
		"nothing asked": `{"id":2}`, "unknown method": `{"id":2,"fly":{}}`, "method null": `{"id":2,"subscribe":null}`,
		"channel number": `{"id":2,"subscribe":{"channel":7}}`, "subscribe text": `{"id":2,"subscribe":"c"}`,
		"offset negative": `{"id":2,"subscribe":{"channel":"c","offset":-1}}`, "recover text": `{"id":2,"subscribe":{"channel":"c","recover":"yes"}}`,
		"unasked pong": `{}`, "pong with more": `{"id":0,"connect":{}}`,
	}
	e := listen(t)
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			e := e.with(t)
			for _, w := range []way{ways[0], ways[2]} {
				c := e.connected(w)
				c.frame([]byte(frame))
				c.ends(3501)
				first := e.dial(w)
				first.frame([]byte(frame))
				first.ends(3501)
			}
		})
	}
	eventually(t, "no session is left", func() bool { return e.Node.Metrics.Sessions.Value() == 0 })
}

func TestWhatIsNoProtobufEndsTheConnection(t *testing.T) {
	cmd, _ := (&protocol.Command{Id: 2, Rpc: &protocol.RPCRequest{}}).MarshalCF()
	whole := append(binary.AppendUvarint(nil, uint64(len(cmd))), cmd...)
	e := listen(t)
	for name, frame := range map[string][]byte{
		"length without a body": {5}, "length too long": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"2^63":         append(binary.AppendUvarint(nil, 1<<63), 1),
		"wrong bytes":  {3, 0xff, 0xff, 0xff},
		"cut":          whole[:len(whole)-1],
		"rest behind":  append(append([]byte{}, whole...), 0x80),
		"unasked pong": {0},
		"JSON":         []byte(`{"id":2,"rpc":{}}`),
		"bad UTF-8":    {6, 0x22, 4, 0x0a, 2, 0xff, 0xfe}, // a token that is no text
	} {
		t.Run(name, func(t *testing.T) {
			e := e.with(t)
			for _, w := range []way{ways[1], ways[3]} {
				c := e.connected(w)
				c.frame(frame)
				c.ends(3501)
			}
		})
	}
}

// W13: frames of the other encoding.
func TestFramesOfTheWrongType(t *testing.T) {
	e := listen(t)
	for _, x := range []struct {
		way  way
		kind websocket.MessageType
	}{{ways[0], websocket.MessageBinary}, {ways[1], websocket.MessageText}} {
		c := e.dial(x.way)
		if err := c.ws.Write(c.ctx, x.kind, []byte(`{"id":1,"connect":{}}`)); err != nil {
			t.Fatal(err)
		}
		c.ends(1003)
	}
}

// J7: a thousand commands in a frame are answered; ten thousand are none.
func TestCommandsPerFrameAreBounded(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0])
	line := `{"send":{}}`
	c.say(strings.Repeat(line+"\n", 998)+line, `{"id":9,"unsubscribe":{"channel":"x"}}`) // 1,000
	c.hears(`{"id":9,"unsubscribe":{}}`)
	c.say(strings.TrimSuffix(strings.Repeat(line+"\n", 1600), "\n"))
	c.ends(3501)
	c = e.connected(ways[1])
	c.frame([]byte(strings.Repeat("\x02\x62\x00", 6000)))
	c.ends(3501)
	if n := e.door.Metrics.Dropped.Value(); n != 999+1000+1000 {
		t.Errorf("%d sends were taken", n)
	}
}

// J8: the first command is connect, and it comes once. Ids may be used again:
// every command is answered with its own.
func TestOrderOfCommands(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		for _, first := range []string{`{"id":1,"subscribe":{"channel":"c"}}`, `{"id":1,"publish":{"channel":"c","data":1}}`, `{"send":{"data":1}}`, `{"id":1,"rpc":{}}`} {
			if w.events {
				break // an event stream is refused before it begins: a GET must not publish
			}
			c := e.dial(w)
			c.say(first)
			c.ends(3501)
		}
		c := e.connected(w)
		c.say(`{"id":5,"rpc":{}}`)
		c.say(`{"id":5,"rpc":{"method":"../../etc"}}`)
		c.say(`{"id":5,"ping":{}}`)
		for range 2 {
			c.hears(`{"id":5,"error":{"code":108,"message":"not available"}}`)
		}
		c.hears(`{"id":5,"error":{"code":104,"message":"method not found"}}`)
		c.say(`{"id":6,"connect":{}}`)
		c.ends(3501)
	})
}

// Commands that are refused leave the connection as it is.
func TestRefusedCommands(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		c := e.connected(w)
		c.say(`{"id":1,"subscribe":{"channel":"plain:twice"}}`)
		c.hears(`{"id":1,"subscribe":{}}`)
		big := `"` + strings.Repeat("x", maxPayload) + `"`
		for i, x := range []struct {
			command string
			code    int
		}{
			{`"subscribe":{"channel":""}`, 107},
			{`"subscribe":{"channel":"bad name"}`, 107},
			{`"subscribe":{"channel":"` + strings.Repeat("x", 256) + `"}`, 107},
			{`"subscribe":{"channel":"c*"}`, 107},
			{`"subscribe":{"channel":"plain:twice"}`, 105},
			{`"subscribe":{"channel":"c","delta":"zip"}`, 107},
			{`"subscribe":{"channel":"c","type":1}`, 108},
			{`"subscribe":{"channel":"c","token":"a.b.c"}`, 103},
			{`"subscribe":{"channel":"users:c"}`, 101},
			{`"subscribe":{"channel":"server:c"}`, 103},
			{`"subscribe":{"channel":"$private"}`, 103},
			{`"subscribe":{"channel":"for#42,43"}`, 103},
			{`"subscribe":{"channel":"own:42"}`, 103},
			{`"publish":{"channel":"plain:c"}`, 107},
			{`"publish":{"data":1}`, 107},
			{`"publish":{"channel":"bad name","data":1}`, 107},
			{`"publish":{"channel":"plain:c","data":` + big + `}`, 106},
			{`"publish":{"channel":"plain:c","data":1,"type":1}`, 108},
			{`"publish":{"channel":"users:c","data":1}`, 101},
			{`"publish":{"channel":"server:c","data":1}`, 103},
			{`"presence":{"channel":"plain:c"}`, 108},
			{`"presence":{"channel":"bad name"}`, 107},
			{`"presence_stats":{"channel":"plain:c"}`, 108},
			{`"presence":{"channel":"server:c"}`, 103},
			{`"history":{"channel":"users:c"}`, 101},
			{`"unsubscribe":{}`, 107},
			{`"refresh":{}`, 107},
			{`"sub_refresh":{"channel":"plain:twice"}`, 107},
			{`"sub_refresh":{"channel":"c","token":"x"}`, 103},
			{`"sub_refresh":{"channel":"plain:twice","token":"a.b.c"}`, 103},
			{`"sub_refresh":{"channel":"plain:twice","type":1}`, 108},
		} {
			if len(x.command) > 3000 && w.events && c.body == nil {
				continue // no such URL
			}
			c.say(fmt.Sprintf(`{"id":%d,%s}`, i+2, x.command))
			got, err := c.next()
			if err != nil || !same(t, fmt.Sprintf(`{"id":%d,"error":{"code":%d,"message":"*"}}`, i+2, x.code), got) {
				t.Fatalf("%.80s: %s, %v; want %d", x.command, got, err, x.code)
			}
		}
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0])
	for i := range 41 {
		c.say(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"bare:%d"}}`, i+2, i))
		if i < 40 {
			c.hears(fmt.Sprintf(`{"id":%d,"subscribe":{}}`, i+2))
		}
	}
	c.hears(`{"id":42,"error":{"code":106,"message":"limit exceeded"}}`)
	for i := range 40 {
		c.say(fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"bare:%d"}}`, i+100, i))
		c.hears(fmt.Sprintf(`{"id":%d,"unsubscribe":{}}`, i+100))
	}
	c.say(`{"id":200,"subscribe":{"channel":"bare:x"}}`)
	c.hears(`{"id":200,"subscribe":{}}`)
	if n := e.Hub.Metrics.Subscriptions.Value(); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
	channels := make([]string, 50)
	for i := range channels {
		channels[i] = fmt.Sprintf("bare:%d", i)
	}
	c = e.dial(ways[0])
	c.say(`{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "channels": channels}) + `"}}`)
	c.ends(3505)
}

// A client whose every command is refused is ended.
func TestTooManyErrors(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[0])
	for range 3 {
		var frame []string
		for i := range 400 {
			frame = append(frame, fmt.Sprintf(`{"id":%d,"rpc":{}}`, i+2))
		}
		c.say(frame...)
	}
	c.ends(3509)
}

func TestFramesThatAreTooLong(t *testing.T) {
	e := listen(t)
	long := `{"id":1,"connect":{"data":"` + strings.Repeat("x", centrifuge.Limit(limits)) + `"}}`
	c := e.dial(ways[0])
	c.say(long)
	c.ends(1009)
	resp, err := http.Post(e.url+"/connection/http_stream", "application/json", strings.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("http_stream: %d", resp.StatusCode)
	}
	s := e.connected(ways[2])
	if status := s.emulate([]byte(long)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("emulation: %d", status)
	}
	if status := s.emulate([]byte(strings.Repeat(long, 3))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("emulation: %d", status)
	}
}

// H13: a client that never connects is ended, in whatever it did not say.
func TestStaleConnections(t *testing.T) {
	e := listen(t, func(c *centrifuge.Config) { c.Stale = 50 * time.Millisecond })
	e.dial(ways[0]).ends(3502)
	c := e.dial(ways[2])
	c.say(`{"id":1,"connect":{"token":"` + expired(map[string]any{"sub": "42"}) + `"}}`)
	c.hears(`{"id":1,"error":{"code":109,"message":"token expired"}}`)
	c.ends(3502)
}

// What is no emulation request is refused; commands of others' sessions
// cannot be sent without their secret.
func TestEmulationRequests(t *testing.T) {
	e := listen(t)
	c := e.connected(ways[2])
	for body, want := range map[string]int{
		``: 400, `{`: 400, `[]`: 400, `{}`: 400, `{"session":"` + c.session + `"}`: 400,
		`{"session":"` + c.session + `","data":{}}`:                                            400,
		`{"session":"` + c.session + `","data":""}`:                                            400,
		`{"session":"short","data":"{}"}`:                                                      400,
		`{"session":7,"data":"{}"}`:                                                            400,
		`{"session":"` + c.id + `","data":"{}"}`:                                               400,
		`{"session":"` + strings.Repeat("0", 32) + `","data":"{}"}`:                            204,
		`{"session":"` + c.session + `","node":"gone","data":"{}"}`:                            404,
		`{"session":"` + c.session + `","node":"` + strings.Repeat("x", 300) + `","data":"x"}`: 400,
	} {
		resp, err := http.Post(e.url+"/emulation", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, resp.StatusCode, want)
		}
	}
	c.say(`{"id":2,"rpc":{}}`)
	c.hears(`{"id":2,"error":{"code":108,"message":"*"}}`)
	resp, err := http.Get(e.url + "/connection/sse")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an event stream without a command: %d", resp.StatusCode)
	}
}

// Pages of foreign origins are refused at every entrance.
func TestForeignOriginsAreRefused(t *testing.T) {
	e := listen(t)
	for _, path := range []string{"GET /connection/websocket", "POST /connection/http_stream", "GET /connection/sse?cf_connect=%7B%7D", "POST /emulation"} {
		method, target, _ := strings.Cut(path, " ")
		req, err := http.NewRequest(method, e.url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://evil.example")
		for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			if strings.Contains(target, "websocket") {
				req.Header.Set(k, v)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// Whatever a frame holds, the connection is answered or ended, and nothing of
// it stays.
func FuzzCommands(f *testing.F) {
	for _, s := range []string{`{"id":1,"connect":{}}`, `{}`, `{"id":2,"subscribe":{"channel":"short:f","recover":true,"tf":{"op":"and","nodes":[{"key":"a","cmp":"eq","val":"b"}]},"delta":"fossil"}}`,
		`{"id":3,"publish":{"channel":"plain:f","data":{"a":[1,"\ud800"]}}}`, `{"id":4,"history":{"channel":"short:f","limit":-2147483648,"since":{"offset":18446744073709551615},"reverse":true}}`,
		`{"id":5,"presence":{"channel":"short:f"}}`, "{\"id\":6,\"refresh\":{\"token\":\"a.b.c\"}}\n{\"id\":7,\"sub_refresh\":{\"channel\":\"x\",\"token\":\"..\"}}"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Add([]byte("\x0a\x08\x02\x2a\x06\x0a\x04abcd"), true)
	e := listen(f)
	f.Fuzz(func(t *testing.T, frame []byte, protobuf bool) {
		e := e.with(t)
		w := ways[0]
		if protobuf {
			w = ways[1]
		}
		c := e.connected(w)
		if !protobuf && !validText(frame) {
			return
		}
		c.frame(frame)
		c.say(`{"id":4294967295,"unsubscribe":{"channel":"the end"}}`)
		for {
			text, err := c.next()
			if err != nil {
				code := websocket.CloseStatus(err)
				if code < 3000 && code != websocket.StatusMessageTooBig {
					t.Fatalf("ended with %d: %v", code, err)
				}
				return
			}
			if strings.HasPrefix(text, `{"id":4294967295,"unsubscribe"`) {
				c.ws.CloseNow()
				return
			}
		}
	})
}

func validText(b []byte) bool { return strings.ToValidUTF8(string(b), "") == string(b) }

func expired(claims map[string]any) string {
	claims["exp"] = time.Now().Add(-time.Minute).Unix()
	return token(claims)
}
