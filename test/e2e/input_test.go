package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"magpie/test/kit"
)

// slowDial opens a raw WebSocket on channel big and reads nothing after the
// handshake.
func slowDial(t *testing.T, n *kit.Node) {
	t.Helper()
	c := n.Connect()
	_ = c.SetReadBuffer(4 << 10)
	io.WriteString(c, n.Handshake("/websocket?channel=big"))
	line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
	if err != nil || !strings.Contains(line, "101") {
		t.Fatalf("handshake: %q, %v", line, err)
	}
}

// Bad input: the status that convention asks for, one sentence that says what
// to do, and nothing of what was sent.
func TestBadInput(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-payload", "100")
	n.Publish("chat", "1")
	for _, c := range []struct {
		method, path, body string
		header             string
		status             int
		code               string
	}{
		{"POST", "/publish/a%20b", "x", "", 400, "bad_channel"},
		{"POST", "/publish/%2A", "x", "", 400, "bad_channel"},
		{"POST", "/publish/", "x", "", 400, "bad_channel"},
		{"POST", "/publish/" + strings.Repeat("a", 256), "x", "", 400, "bad_channel"},
		{"POST", "/publish/chat", strings.Repeat("x", 101), "", 413, "too_big"},
		{"POST", "/publish/chat", "x", "Content-Encoding: gzip", 415, "bad_encoding"},
		{"POST", "/publish/chat", "x", "Origin: https://evil.example", 403, "forbidden"},
		{"POST", "/publish/chat", "x", "Sec-Fetch-Site: cross-site", 403, "forbidden"},
		{"POST", "/publish/chat", "x", "Host: evil.example", 403, "forbidden"},
		{"POST", "/publish/chat", "x", "X-API-Key: wrong", 401, "bad_key"},
		{"POST", "/publish/chat", "x", "Authorization: Bearer a.b.c", 401, "bad_token"},
		{"POST", "/publish/chat", "x", "Idempotency-Key: " + strings.Repeat("k", 256), 400, "bad_key"},
		{"POST", "/publish", "x", "", 400, "bad_channel"},
		{"POST", "/publish/chat", "x", "Authorization: a.b.c", 401, "bad_token"},
		{"POST", "/publish/chat", "x", "Authorization: apikey wrong", 401, "bad_key"},
		{"GET", "/publish", "", "", 405, "method_not_allowed"},
		{"GET", "/publish/chat", "", "", 405, "method_not_allowed"},
		{"TRACE", "/publish/chat", "", "", 405, "method_not_allowed"},
		{"DELETE", "/history/chat", "", "", 405, "method_not_allowed"},
		{"POST", "/sse", "", "", 405, "method_not_allowed"},
		{"GET", "/history/chat?since=garbled", "", "", 400, "bad_position"},
		{"GET", "/history/chat?since=a.-1", "", "", 400, "bad_position"},
		{"GET", "/history/chat?limit=1001", "", "", 400, "bad_limit"},
		{"GET", "/history/chat?limit=x", "", "", 400, "bad_limit"},
		{"GET", "/history/chat?reverse=maybe", "", "", 400, "bad_reverse"},
		{"GET", "/history/a%0Ab", "", "", 400, "bad_channel"},
		{"GET", "/sse?channel=a%20b", "", "", 400, "bad_channel"},
		{"GET", "/sse?last_event_id=garbled", "", "", 400, "bad_position"},
		{"GET", "/sse?lastEventId=garbled", "", "", 400, "bad_position"}, // as EventSource for old browsers sends it
		{"GET", "/sse", "", "Last-Event-ID: chat=x", 400, "bad_position"},
		{"GET", "/sse?format=xml", "", "", 400, "bad_format"},
		{"GET", "/websocket", "", "", 400, "bad_handshake"},
		{"POST", "/websocket", "", "", 405, "bad_handshake"},
		{"GET", "/websocket?channel=a%20b", "", upgrade, 400, "bad_channel"},
		{"GET", "/websocket?since=x", "", upgrade, 400, "bad_position"},
		{"GET", "/websocket?format=x", "", upgrade, 400, "bad_format"},
		{"GET", "/websocket", "", upgrade + "\nOrigin: https://evil.example", 403, "forbidden"},
		{"GET", "/websocket", "", strings.Replace(upgrade, ": 13", ": 8", 1), 426, "bad_handshake"},
		{"GET", "/websocket?token=a.b.c", "", upgrade, 401, "bad_token"},
		{"GET", "/websocket", "", upgrade + "\nAuthorization: a.b.c", 401, "bad_token"},
		{"GET", "/websocket?chanel=x", "", upgrade, 400, "bad_parameter"},
		{"GET", "/websocket?last_event_id=x.1", "", upgrade, 400, "bad_parameter"},
		{"GET", "/sse?since=x.1", "", "", 400, "bad_parameter"},
		{"GET", "/sse?" + strings.Repeat("x", 500) + "=1", "", "", 400, "bad_parameter"},
	} {
		what := c.method + " " + c.path[:min(len(c.path), 40)] + " " + c.header[:min(len(c.header), 30)]
		res := n.Ask(c.method, c.path, c.body, headers(c.header)...)
		status, body := kit.Read(res, nil)
		var answer struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s: no JSON: %q", what, body)
		}
		if status != c.status || answer.Error.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s", what, status, body, c.status, c.code)
		}
		if len(answer.Error.Message) < 15 || len(answer.Error.Message) > 250 || strings.Contains(body, "evil") || strings.Contains(body, "garbled") {
			t.Errorf("%s: message %q", what, answer.Error.Message)
		}
		if status == 405 && res.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", what)
		}
	}
	if log := history(t, n, "chat"); len(log) != 1 {
		t.Errorf("something refused got in: %+v", log)
	}
}

var upgrade = strings.Join(kit.Upgrade, "\n")

func headers(lines string) []string {
	return strings.FieldsFunc(lines, func(r rune) bool { return r == '\n' })
}

// Refusals name what was meant, and the way in.
func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--token-secret", apiSecret, "--api-key", apiKey)
	for _, c := range []struct{ method, path, header, code, message string }{
		{"GET", "/websocket?chanel=a", upgrade, "bad_parameter", `unknown parameter "chanel"; did you mean channel?`},
		{"GET", "/sse?foo=a", "", "bad_parameter", `unknown parameter "foo"; those there are: channel`},
		{"GET", "/sse", "", "token_needed", "this server wants to know who you are: send a user's token"},
		{"GET", "/websocket", upgrade, "token_needed", "or an API key as X-API-Key"},
		{"POST", "/publish/chat", "", "token_needed", "this server wants"},
		{"GET", "/history/chat", "", "token_needed", "this server wants"},
		{"GET", "/history/chat", "Authorization: a.b.c", "bad_token", "Authorization must be Bearer TOKEN"},
		{"GET", "/history/chat", "Authorization: Basic dTpw", "token_needed", "this server wants"},
		{"GET", "/sse", "Authorization: a.b.c", "bad_token", "Authorization must be Bearer TOKEN"},
		{"POST", "/publish", "", "bad_channel", "name the channel: POST /publish/chat"},
		{"POST", "/publish/", "", "bad_channel", "name the channel: POST /publish/chat"},
		{"GET", "/publish/chat", "", "method_not_allowed", "Publish with POST, as in: curl -d "},
		{"GET", "/history/chat", "Authorization: ApiKey " + apiKey, "", ""},
		{"POST", "/publish/chat", "Authorization: apikey " + apiKey, "", ""},
		{"GET", "/history/chat", "Authorization: bearer " + sign(t, apiSecret, "42"), "", ""},
	} {
		_, body := kit.Read(n.Do(c.method, c.path, map[string]string{"POST": "x"}[c.method], headers(c.header)...))
		var answer struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error.Code != c.code || !strings.Contains(answer.Error.Message, c.message) {
			t.Errorf("%s %s %.30s: %s", c.method, c.path, c.header, body)
		}
	}
	// What pages add against caches is none of ours.
	s := n.Dial("channel=chat&_=123&token=" + sign(t, apiSecret, "42"))
	s.Send("hi")
	s.Wait(1)
}

// A message over the limit ends a raw session with 1009 and goes nowhere.
func TestTooBigAFrame(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-payload", "100")
	s, other := n.Dial(""), n.Dial("")
	s.Send(strings.Repeat("x", 101))
	if code, _ := s.CloseCode(); code != 1009 {
		t.Errorf("closed with %d, want 1009", code)
	}
	n.Publish("chat", "fence")
	if got := other.Wait(1); got[0] != "fence" {
		t.Errorf("got %q", got)
	}
}

// With a token secret guests are kept out, users with a token let in, and the
// address need not be this machine's.
func TestTokens(t *testing.T) {
	t.Parallel()
	const secret = "a secret of more than thirty-two bytes"
	n := kit.Start(t, "--token-secret", secret, "--api-key", "the-key-of-servers")
	if _, res, err := n.TryDial("/websocket"); err == nil || res.StatusCode != 401 {
		t.Errorf("a guest came in: %v", err)
	}
	token := sign(t, secret, "42")
	s := n.Dial("format=envelope&token=" + token)
	s.Send("hi")
	if got := s.Wait(1)[0]; !strings.Contains(got, `"user":"42"`) {
		t.Errorf("the publisher is not stamped: %s", got)
	}
	if status, body := n.Post("/publish/chat", "from a server", "X-API-Key: the-key-of-servers"); status != 200 {
		t.Errorf("with the API key: %d %s", status, body)
	}
	s.Wait(2)
	if strings.Contains(n.Output(), token) || strings.Contains(n.Output(), "from a server") {
		t.Error("a token or a payload is in the log")
	}
}

// A Centrifuge client at the raw door is told where to go; taken at its word,
// it would fill the channel with its commands and hear itself.
func TestACentrifugeClientAtTheRawDoor(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	other := n.Dial("")
	lost := n.Dial("")
	lost.Send(`{"connect":{"token":"x"},"id":1}`)
	if code, reason := lost.CloseCode(); code != 4503 || !strings.Contains(reason, "/connection/websocket") {
		t.Errorf("closed with %d %s, want 4503", code, reason)
	}
	other.Send(`{"connect":"is a word like any other","id":1}`)
	other.Send(`{"connect":{},"id":1}`) // not the first frame
	if got := other.Wait(2); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}
