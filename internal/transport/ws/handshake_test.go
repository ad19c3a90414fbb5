package ws

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"magpie/internal/fault"
)

// H1 to H8 of the attack catalogue: what is refused, and how.
func TestHandshakeRefusals(t *testing.T) {
	with := func(lines ...string) string { return upgrade(lines...) }
	method := func(m string) string { return m + strings.TrimPrefix(upgrade(), "GET") }
	tests := []struct {
		name    string
		request string
		status  int
	}{
		{"H1 POST", method("POST"), 405},
		{"H1 HEAD", method("HEAD"), 405},
		{"H1 PUT", method("PUT"), 405},
		{"H1 OPTIONS", method("OPTIONS"), 405},
		{"H2 HTTP/1.0", strings.Replace(upgrade(), "HTTP/1.1", "HTTP/1.0", 1), 505},
		{"H4 no Upgrade", with("Upgrade:"), 400},
		{"H4 h2c", with("Upgrade: h2c"), 400},
		{"H4 websocket as a part", with("Upgrade: websockets"), 400},
		{"H4 keep-alive", with("Connection: keep-alive"), 400},
		{"H4 upgrade as a part", with("Connection: upgraded"), 400},
		{"H5 no key", with("Sec-WebSocket-Key:"), 400},
		{"H5 key of 15 octets", with("Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1"), 400},
		{"H5 key of 17 octets", with("Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Njc="), 400},
		{"H5 key is not base64", with("Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), 400},
		{"H5 key with a space", with("Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ=="), 400},
		{"H5 two keys", with("+Sec-WebSocket-Key: " + goldenKey), 400},
		{"H6 no version", with("Sec-WebSocket-Version:"), 426},
		{"H6 version 0", with("Sec-WebSocket-Version: 0"), 426},
		{"H6 version 8", with("Sec-WebSocket-Version: 8"), 426},
		{"H6 version 14", with("Sec-WebSocket-Version: 14"), 426},
		{"H6 two versions in one", with("Sec-WebSocket-Version: 13, 8"), 426},
		{"H6 two versions", with("+Sec-WebSocket-Version: 8"), 426},
		{"body", with("Content-Length: 4") + "body", 400},
		{"chunked body", with("Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
	}
	e := listen(t, Config{}, newEcho(nil))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dialRaw(t, e.addr)
			c.send([]byte(test.request))
			verb, _, _ := strings.Cut(test.request, " ")
			resp, err := http.ReadResponse(c.r, &http.Request{Method: verb})
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status {
				t.Errorf("answered %s, want %d", resp.Status, test.status)
			}
			if body, _ := io.ReadAll(io.LimitReader(resp.Body, 200)); strings.Contains(string(body), "h2c") {
				t.Errorf("the answer echoes the request: %q", body)
			}
		})
	}
}

// H4, H7, H8: what is accepted, and the exact answer.
func TestHandshakeAnswers(t *testing.T) {
	thousand := "Sec-WebSocket-Protocol: " + strings.Repeat("nope, ", 1000) + "two"
	tests := []struct {
		name     string
		lines    []string
		protocol string
	}{
		{"H7 golden vector", nil, ""},
		{"H4 mixed case", []string{"Upgrade: WebSocket", "Connection: keep-alive, UPGRADE"}, ""},
		{"H4 list", []string{"Upgrade: foo, websocket", "Connection: foo,Upgrade"}, ""},
		{"H4 spread over fields", []string{"Connection: keep-alive", "+Connection: Upgrade"}, ""},
		{"H8 unknown only", []string{"Sec-WebSocket-Protocol: nope"}, ""},
		{"H8 the client's first", []string{"Sec-WebSocket-Protocol: two, one"}, "two"},
		{"H8 duplicates", []string{"Sec-WebSocket-Protocol: one, one", "+Sec-WebSocket-Protocol: one"}, "one"},
		{"H8 a thousand", []string{thousand}, "two"},
		{"H8 spaces", []string{"Sec-WebSocket-Protocol: b" + strings.Repeat(" ", 32000) + "x,one"}, "one"},
		{"other case is another", []string{"Sec-WebSocket-Protocol: ONE"}, ""},
		{"no extension is agreed on where it is off", []string{"Sec-WebSocket-Extensions: permessage-deflate"}, ""},
	}
	e := listen(t, Config{}, newEcho(nil))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dialRaw(t, e.addr)
			c.send([]byte(upgrade(test.lines...)))
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("answered %s, %v", resp.Status, resp.Header)
			}
			if p := resp.Header.Get("Sec-WebSocket-Protocol"); p != test.protocol {
				t.Errorf("subprotocol %q, want %q", p, test.protocol)
			}
			if resp.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Error("an extension was agreed on")
			}
			c.send(text("works"))
			c.expect(byte(Text), "works")
		})
	}
}

// A writer that cannot be taken over is refused while HTTP can answer.
func TestAcceptNeedsAHijacker(t *testing.T) {
	e := listen(t, Config{}, newEcho(nil))
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": goldenKey} {
		r.Header.Set(name, value)
	}
	if err := e.Check(r); err != nil {
		t.Fatal(err)
	}
	_, err := e.Accept(httptest.NewRecorder(), r, nil, &echo{})
	if fault.KindOf(err) != fault.HandshakeInternal {
		t.Errorf("got %v", err)
	}
}
