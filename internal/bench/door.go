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
	// trusts.
	Roots *x509.CertPool
}

// Doors are the names that Target.Door can have.
var Doors = []string{"raw", "centrifuge", "sse"}

// door is how one kind of client speaks.
type door interface {
	// request is the HTTP request that opens a connection into a channel.
	request(channel string) []byte
	// hello is what is said after the handshake, nil when that was all.
	hello(channel string) []byte
	// frames tells whether WebSocket frames follow the handshake, or lines.
	frames() bool
	// read tells what a message says that carries no payload of ours.
	read(message []byte) (says saying, reply []byte)
	// publish appends the bytes that publish a payload, or returns nil when
	// clients of this door publish over HTTP.
	publish(dst []byte, channel string, id uint32, payload []byte) []byte
}

// saying is what a server's message says.
type saying int

const (
	nothing saying = iota
	joined         // the subscription stands
	pinged         // the reply is to be sent
	refused        // something was not done
)

// open parses the target.
func (t Target) open() (door, *url.URL, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, nil, fmt.Errorf("%q is not the URL of a server; write http://host:port", t.URL)
	}
	if strings.ContainsAny(t.Token+t.APIKey, "\r\n\"\\") {
		return nil, nil, fmt.Errorf("a token and a key have no quotes, backslashes or line ends")
	}
	switch base := (raw{u, t}); t.Door {
	case "raw", "":
		return base, u, nil
	case "centrifuge":
		return centrifuge{base}, u, nil
	case "sse":
		return sse{base}, u, nil
	}
	return nil, nil, fmt.Errorf("there is no door %q; choose %s", t.Door, strings.Join(Doors, ", "))
}

// raw is GET /websocket: a payload is a frame, both ways. The server
// subscribes before it upgrades, so the handshake's answer says joined.
type raw struct {
	url    *url.URL
	target Target
}

// line is an HTTP request up to its own headers.
func (d raw) line(method, path, version string) []byte {
	out := fmt.Appendf(nil, "%s %s%s %s\r\nHost: %s\r\n", method, strings.TrimSuffix(d.url.EscapedPath(), "/"), path, version, d.url.Host)
	if d.target.Token != "" {
		out = fmt.Appendf(out, "Authorization: Bearer %s\r\n", d.target.Token)
	}
	return out
}

func (d raw) upgrade(path string) []byte {
	return append(d.line("GET", path, "HTTP/1.1"), "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"...)
}

func (d raw) request(channel string) []byte {
	return d.upgrade("/websocket?channel=" + url.QueryEscape(channel))
}
func (raw) hello(string) []byte { return nil }
func (raw) frames() bool        { return true }

func (raw) read(message []byte) (saying, []byte) {
	if bytes.HasPrefix(message, []byte(`{"error":`)) {
		return refused, nil
	}
	return nothing, nil
}

func (raw) publish(dst []byte, _ string, _ uint32, payload []byte) []byte {
	return appendFrame(dst, opText, payload)
}

// centrifuge is the Centrifuge protocol, version 2, in JSON.
type centrifuge struct{ raw }

func (d centrifuge) request(string) []byte { return d.upgrade("/connection/websocket") }

func (d centrifuge) hello(channel string) []byte {
	token, recoverable := "", ""
	if d.target.Token != "" {
		token = `"token":"` + d.target.Token + `"`
	}
	if d.target.Recoverable {
		recoverable = `,"recoverable":true`
	}
	out := appendFrame(nil, opText, []byte(`{"id":1,"connect":{`+token+`}}`))
	return appendFrame(out, opText, []byte(`{"id":2,"subscribe":{"channel":`+strconv.Quote(channel)+recoverable+`}}`))
}

// read takes a subscription that was to be recoverable and is not as refused.
// A ping is an empty object, and so is its reply; it may come as a line of a
// frame that has others.
func (d centrifuge) read(message []byte) (saying, []byte) {
	switch {
	case bytes.HasPrefix(message, []byte("{}")) || bytes.Contains(message, []byte("\n{}")):
		return pinged, appendFrame(nil, opText, []byte("{}"))
	case bytes.Contains(message, []byte(`"subscribe":{`)):
		if !d.target.Recoverable || bytes.Contains(message, []byte(`"recoverable":true`)) {
			return joined, nil
		}
		return refused, nil
	case bytes.Contains(message, []byte(`"error":{`)):
		return refused, nil
	}
	return nothing, nil
}

func (centrifuge) publish(dst []byte, channel string, id uint32, payload []byte) []byte {
	return appendFrame(dst, opText, fmt.Appendf(nil, `{"id":%d,"publish":{"channel":"%s","data":%s}}`, id+2, channel, payload))
}

// sse is GET /sse. It asks with HTTP/1.0, to which a body comes as it is
// instead of in chunks.
type sse struct{ raw }

func (d sse) request(channel string) []byte {
	return append(d.line("GET", "/sse?channel="+url.QueryEscape(channel), "HTTP/1.0"), "Accept: text/event-stream\r\n\r\n"...)
}
func (sse) frames() bool                                  { return false }
func (sse) publish([]byte, string, uint32, []byte) []byte { return nil }
