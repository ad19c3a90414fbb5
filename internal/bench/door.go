package bench

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Target is a server and the way in.
type Target struct {
	URL    string // http://host:port or https://
	Door   string // raw, centrifuge or sse
	Token  string // who the clients are; none: guests
	APIKey string // for publishing over HTTP (sse)

	// Recoverable asks for subscriptions that can be resumed where that is the
	// client's to say (centrifuge); a server that grants none is an error.
	Recoverable bool
	// Roots are who may sign the server's certificate; nil: whom the system
	// trusts. Only Run speaks TLS.
	Roots *x509.CertPool
}

// Doors are the names that Target.Door can have.
var Doors = []string{"raw", "centrifuge", "sse"}

// door is how one kind of client speaks: what it says to get in, how it
// knows that it is in, and how it publishes.
type door interface {
	// request is the HTTP request that opens a connection into a channel.
	request(channel string) []byte
	// hello is what is said after the handshake, nil when that was all.
	hello(channel string) []byte
	// frames tells whether WebSocket frames follow the handshake, or lines.
	frames() bool
	// ready tells whether a message says that the subscription stands.
	ready(message []byte) bool
	// answer is the reply that a message asks for, nil when it asks for none.
	answer(message []byte) []byte
	// publish appends the bytes that publish a payload, or returns nil when
	// clients of this door do not publish over their connection.
	publish(dst []byte, channel string, id uint32, payload []byte) []byte
	// refused tells whether a message says that something was not done.
	refused(message []byte) bool
}

// open parses the target.
func (t Target) open() (door, *url.URL, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, nil, fmt.Errorf("%q is not the URL of a server; write http://host:port", t.URL)
	}
	if strings.ContainsAny(t.Token+t.APIKey, "\r\n\"\\") {
		return nil, nil, fmt.Errorf("a token and a key have no quotes, backslashes or line ends")
	}
	base := web{host: u.Host, path: strings.TrimSuffix(u.EscapedPath(), "/"), scheme: u.Scheme, token: t.Token}
	switch t.Door {
	case "raw", "":
		return raw{base}, u, nil
	case "centrifuge":
		return centrifuge{base, t.Recoverable}, u, nil
	case "sse":
		return sse{base}, u, nil
	}
	return nil, nil, fmt.Errorf("there is no door %q; choose %s", t.Door, strings.Join(Doors, ", "))
}

// web writes the requests of all doors.
type web struct{ host, path, scheme, token string }

func (w web) upgrade(path string) []byte {
	return w.get(path, "HTTP/1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
}

func (w web) get(path, version, more string) []byte {
	auth := ""
	if w.token != "" {
		auth = "Authorization: Bearer " + w.token + "\r\n"
	}
	return fmt.Appendf(nil, "GET %s%s %s\r\nHost: %s\r\n%s%s\r\n", w.path, path, version, w.host, auth, more)
}

// raw is GET /websocket: a payload is a frame, both ways. The server
// subscribes before it upgrades, so the handshake's answer says ready.
type raw struct{ web }

func (d raw) request(channel string) []byte {
	return d.upgrade("/websocket?channel=" + url.QueryEscape(channel))
}
func (raw) hello(string) []byte         { return nil }
func (raw) frames() bool                { return true }
func (raw) ready([]byte) bool           { return true }
func (raw) answer([]byte) []byte        { return nil }
func (raw) refused(message []byte) bool { return bytes.HasPrefix(message, []byte(`{"error":`)) }

func (raw) publish(dst []byte, _ string, _ uint32, payload []byte) []byte {
	return appendFrame(dst, opText, payload)
}

// centrifuge is the Centrifuge protocol, version 2, in JSON.
type centrifuge struct {
	web
	recoverable bool
}

func (d centrifuge) request(string) []byte { return d.upgrade("/connection/websocket") }

func (d centrifuge) hello(channel string) []byte {
	token := ""
	if d.token != "" {
		token = `"token":"` + d.token + `"`
	}
	out := appendFrame(nil, opText, []byte(`{"id":1,"connect":{`+token+`}}`))
	recoverable := ""
	if d.recoverable {
		recoverable = `,"recoverable":true`
	}
	return appendFrame(out, opText, []byte(`{"id":2,"subscribe":{"channel":`+strconv.Quote(channel)+recoverable+`}}`))
}

func (centrifuge) frames() bool { return true }

func (d centrifuge) ready(message []byte) bool {
	return bytes.Contains(message, []byte(`"subscribe":{`)) && !d.forgetful(message)
}

// forgetful tells whether a subscription that was to be recoverable is not.
func (d centrifuge) forgetful(message []byte) bool {
	return d.recoverable && bytes.Contains(message, []byte(`"subscribe":{`)) && !bytes.Contains(message, []byte(`"recoverable":true`))
}

// answer returns the server's ping, an empty object, to it.
func (centrifuge) answer(message []byte) []byte {
	if string(bytes.TrimSpace(message)) != "{}" {
		return nil
	}
	return appendFrame(nil, opText, []byte("{}"))
}

func (d centrifuge) refused(message []byte) bool {
	return bytes.Contains(message, []byte(`"error":{`)) || d.forgetful(message)
}

func (centrifuge) publish(dst []byte, channel string, id uint32, payload []byte) []byte {
	command := make([]byte, 0, 80+len(channel)+len(payload))
	command = append(command, `{"id":`...)
	command = strconv.AppendUint(command, uint64(id)+2, 10)
	command = append(command, `,"publish":{"channel":"`...)
	command = append(command, channel...)
	command = append(command, `","data":`...)
	command = append(command, payload...)
	command = append(command, `}}`...)
	return appendFrame(dst, opText, command)
}

// sse is GET /sse. It asks with HTTP/1.0, to which a body comes as it is
// instead of in chunks. It publishes over HTTP, in requests of their own.
type sse struct{ web }

func (d sse) request(channel string) []byte {
	return d.get("/sse?channel="+url.QueryEscape(channel), "HTTP/1.0", "Accept: text/event-stream\r\n")
}
func (sse) hello(string) []byte                           { return nil }
func (sse) frames() bool                                  { return false }
func (sse) ready([]byte) bool                             { return true }
func (sse) answer([]byte) []byte                          { return nil }
func (sse) refused([]byte) bool                           { return false }
func (sse) publish([]byte, string, uint32, []byte) []byte { return nil }
