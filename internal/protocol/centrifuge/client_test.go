package centrifuge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"
	"github.com/coder/websocket"
)

// way is a transport and an encoding.
type way struct {
	name     string
	protobuf bool
	stream   bool // over HTTP, with emulation
	events   bool // an event stream
	kept     bool // net/http keeps the connection, as over TLS
}

var ways = []way{
	{name: "websocket JSON"}, {name: "websocket Protobuf", protobuf: true},
	{name: "http_stream JSON", stream: true}, {name: "http_stream Protobuf", stream: true, protobuf: true},
	{name: "sse JSON", stream: true, events: true},
	{name: "http_stream JSON, kept", stream: true, kept: true}, {name: "sse JSON, kept", stream: true, events: true, kept: true},
}

// everyWay runs a conversation over all transports in all encodings, each on
// an endpoint of its own.
func everyWay(t *testing.T, f func(t *testing.T, e *endpoint, w way)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { f(t, listen(t), w) })
	}
}

// client speaks in JSON, whatever the encoding on the wire is: say takes
// commands and hears expects replies as the protocol writes them in JSON.
type client struct {
	t    testing.TB
	e    *endpoint
	way  way
	ctx  context.Context
	ws   *websocket.Conn
	body io.ReadCloser
	in   *bufio.Reader
	left []string // replies of a frame that are still to be looked at

	id, session, node string // from the connect reply
}

// dial opens a connection. Over HTTP the first command goes with the request,
// so there it happens with the first say.
func (e *endpoint) dial(w way) *client {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	c := &client{t: e.t, e: e, way: w, ctx: ctx}
	e.t.Cleanup(func() {
		cancel()
		if c.ws != nil {
			c.ws.CloseNow()
		}
		if c.body != nil {
			c.body.Close()
		}
	})
	if !w.stream {
		o := websocket.DialOptions{HTTPClient: e.http}
		if w.protobuf {
			o.Subprotocols = []string{"centrifuge-protobuf"}
		}
		conn, _, err := websocket.Dial(ctx, e.url+"/connection/websocket", &o)
		if err != nil {
			e.t.Fatal(err)
		}
		conn.SetReadLimit(64 << 20)
		c.ws = conn
	}
	return c
}

// connected dials and connects. The command may have more than an id.
func (e *endpoint) connected(w way, command ...string) *client {
	e.t.Helper()
	c := e.dial(w)
	c.say(append(command, `{"id":1,"connect":{}}`)[0])
	r := c.reply()
	if r.Connect == nil {
		e.t.Fatalf("connect: %v", r)
	}
	c.id, c.session, c.node = r.Connect.Client, r.Connect.Session, r.Connect.Node
	return c
}

// say sends commands in one frame.
func (c *client) say(commands ...string) {
	c.t.Helper()
	c.frame(c.encode(commands))
}

func (c *client) encode(commands []string) []byte {
	if !c.way.protobuf {
		return []byte(strings.Join(commands, "\n"))
	}
	var out []byte
	for _, text := range commands {
		cmd := new(protocol.Command)
		if err := cfjson.Unmarshal([]byte(text), cmd, 0); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
		b, err := cmd.MarshalCF()
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
	}
	return out
}

// frame sends bytes as they are.
func (c *client) frame(b []byte) {
	c.t.Helper()
	if !c.way.stream {
		kind := websocket.MessageText
		if c.way.protobuf {
			kind = websocket.MessageBinary
		}
		_ = c.ws.Write(c.ctx, kind, b) // the server may have ended it: what comes tells
		return
	}
	if c.body == nil {
		c.open(b)
		return
	}
	if status := c.emulate(b); status != http.StatusNoContent {
		c.t.Errorf("emulation: %d", status)
	}
}

func (c *client) kind() string {
	if c.way.protobuf {
		return "application/octet-stream"
	}
	return "application/json"
}

// open begins a stream with the first commands.
func (c *client) open(first []byte) {
	c.t.Helper()
	method, target, body := "POST", "/connection/http_stream", io.Reader(bytes.NewReader(first))
	if c.way.events {
		method, target, body = "GET", "/connection/sse?cf_connect="+url.QueryEscape(string(first)), nil
	}
	req, err := http.NewRequestWithContext(c.ctx, method, c.e.url+target, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", c.kind())
	if c.way.kept {
		req.Header.Set(keptHeader, "1")
	}
	resp, err := c.e.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.body, c.in = resp.Body, bufio.NewReader(resp.Body)
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("stream: %d", resp.StatusCode)
	}
}

// emulate posts commands and returns the status.
func (c *client) emulate(frame []byte) int {
	c.t.Helper()
	return post(c.t, c.e.http, c.e.url, c.way.protobuf, c.session, c.node, frame)
}

func post(t testing.TB, client *http.Client, to string, protobuf bool, session, node string, frame []byte) int {
	t.Helper()
	body, kind := []byte(nil), "application/json"
	if protobuf {
		kind = "application/octet-stream"
		body, _ = (&protocol.EmulationRequest{Session: session, Node: node, Data: frame}).MarshalCF()
	} else {
		body, _ = json.Marshal(map[string]string{"session": session, "node": node, "data": string(frame)})
	}
	resp, err := client.Post(to+"/emulation", kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// next returns the next reply as JSON, or an error at the end.
func (c *client) next() (string, error) {
	for len(c.left) == 0 {
		if err := c.read(); err != nil {
			return "", err
		}
	}
	first := c.left[0]
	c.left = c.left[1:]
	return first, nil
}

func (c *client) read() error {
	var frame []byte
	var err error
	switch {
	case !c.way.stream:
		_, frame, err = c.ws.Read(c.ctx)
	case c.way.protobuf:
		frame, err = readDelimited(c.in)
	default:
		frame, err = c.in.ReadBytes('\n')
		if bytes.ContainsRune(frame, '\r') {
			return fmt.Errorf("a line end within %q", frame) // it would end an event
		}
		frame = bytes.TrimPrefix(frame, []byte("data: "))
	}
	if err != nil {
		return err
	}
	c.left, err = decode(frame, c.way.protobuf)
	return err
}

func readDelimited(r *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(nil, n)
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	return append(b, body...), err
}

func decode(frame []byte, protobuf bool) (list []string, err error) {
	var d protocol.ReplyDecoder = protocol.NewJSONReplyDecoder(frame)
	if protobuf {
		d = protocol.NewProtobufReplyDecoder(frame)
	}
	for {
		r, err := d.Decode()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", frame, err)
		}
		list = append(list, string(r.AppendJSON(nil)))
	}
}

// reply returns the next reply.
func (c *client) reply() *protocol.Reply {
	c.t.Helper()
	text, err := c.next()
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	r := new(protocol.Reply)
	if err := cfjson.Unmarshal([]byte(text), r, 0); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// hears expects these replies, in order. The text "*" stands for any value.
func (c *client) hears(want ...string) {
	c.t.Helper()
	for _, w := range want {
		got, err := c.next()
		if err != nil {
			c.t.Fatalf("the connection ended (%v) instead of\n%s", err, w)
		}
		if !same(c.t, w, got) {
			c.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

func same(t testing.TB, want, got string) bool {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	return matches(w, g)
}

func matches(want, got any) bool {
	if want == "*" {
		return true
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for k, v := range w {
			if x, has := g[k]; !has || !matches(v, x) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for i := range w {
			if !matches(w[i], g[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}

// closeMessage expects the end of the connection and returns its code. Replies
// that come before are passed over.
func (c *client) closeMessage() (code int) {
	c.t.Helper()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		text, err := c.next()
		if err != nil {
			return int(websocket.CloseStatus(err))
		}
		r := new(protocol.Reply)
		if err := cfjson.Unmarshal([]byte(text), r, 0); err != nil {
			c.t.Fatal(err)
		}
		if r.Push != nil && r.Push.Disconnect != nil {
			if _, err := c.next(); !errors.Is(err, io.EOF) {
				c.t.Fatalf("the stream goes on behind the disconnect push: %v", err)
			}
			return int(r.Push.Disconnect.Code)
		}
	}
	c.t.Fatal("the connection goes on")
	return 0
}

// ends expects this code.
func (c *client) ends(code int) {
	c.t.Helper()
	if got := c.closeMessage(); got != code {
		c.t.Fatalf("ended with %d, want %d", got, code)
	}
}

// raw returns the next reply of a Protobuf connection as it is: data that is
// no JSON has no form in JSON.
func (c *client) raw() *protocol.Reply {
	c.t.Helper()
	var frame []byte
	var err error
	if c.way.stream {
		frame, err = readDelimited(c.in)
	} else {
		_, frame, err = c.ws.Read(c.ctx)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := protocol.NewProtobufReplyDecoder(frame).Decode()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}
