package centrifuge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
)

// emulated is what a session over HTTP has more than one over WebSocket: its
// answers are a stream that was begun by one request, its commands come in
// other requests, to any node.
type emulated struct {
	// secret is what commands must show. It is not the client's id, which others
	// see in presence.
	secret string

	mu      sync.Mutex // guards what follows; memory only
	queue   [][]byte   // frames of commands that wait for their turn
	queued  int        // bytes
	working bool
}

// secretBytes is the length of a secret: as hard to guess as a key.
const secretBytes = 16

// queueFrames bounds the frames that wait for one session, next to the bytes
// of two of the largest.
const queueFrames = 64

// overhead is what a command may have beside its payload.
const overhead = 16 << 10

// Limit is the longest frame that a client may send: the door's WebSocket
// server is to be set to it.
func Limit(maxPayload int) int { return maxPayload + overhead }

func (d *Door) limit() int { return Limit(d.Node.MaxPayload()) }

// bodyTimeout is how long a body may take.
const bodyTimeout = 10 * time.Second

// HTTPStream answers POST /connection/http_stream: the body holds the first
// commands, the answer streams replies until the session ends.
func (d *Door) HTTPStream(w http.ResponseWriter, r *http.Request) error {
	if err := d.admit(w, r); err != nil {
		return err
	}
	first, err := readBody(w, r, d.limit())
	if err != nil {
		return err
	}
	form, kind := jsonStream, "application/json"
	if isBinary(r) {
		form, kind = protoStream, octets
	}
	return d.stream(w, r, form, kind, first)
}

// Events answers GET /connection/sse: the first command is in the URL, the
// answer is an event stream of replies until the session ends.
func (d *Door) Events(w http.ResponseWriter, r *http.Request) error {
	if err := d.admit(w, r); err != nil {
		return err
	}
	first := r.URL.Query().Get("cf_connect")
	if first == "" || !utf8.ValidString(first) {
		return problem.New(http.StatusBadRequest, "bad_request", "Give the connect command as JSON in ?cf_connect=.")
	}
	return d.stream(w, r, jsonEvents, "text/event-stream", []byte(first))
}

// admit refuses pages of foreign origins and lets those that are allowed read
// the answer.
func (d *Door) admit(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	if err := d.Origins.Check(r); err != nil {
		return err
	}
	if origin, ok := d.Origins.Allows(r); ok {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	return nil
}

const octets = "application/octet-stream"

func isBinary(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == octets
}

func readBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // tests' writers have none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, fault.Newf(fault.TooBig, "payload too big: %d bytes are the most for one request here", limit)
	}
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, "bad_body", "The body broke off or came too slowly.")
	}
	_ = control.SetReadDeadline(time.Time{}) // it would end the request's context
	return body, nil
}

// stream begins one emulated session, which may go on after it has returned.
func (d *Door) stream(w http.ResponseWriter, r *http.Request, f *form, kind string, first []byte) error {
	if r.Method == http.MethodHead {
		setHeaders(w.Header(), kind)
		return nil
	}
	c := d.newConn(f)
	c.via = &emulated{secret: newSecret()}
	if err := d.Node.Open(&c.Session, c, auth.Identity{Kind: auth.Guest}); err != nil {
		return err
	}
	d.know(c)
	setHeaders(w.Header(), kind)
	out, err := d.Streams.Open(w, r, c)
	if err != nil {
		c.Close(session.ReasonClient)
		return nil // nobody is there to be told
	}
	c.attachStream(out)
	c.enqueue(first)
	out.Serve(r.Context())
	return nil
}

func setHeaders(h http.Header, kind string) {
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx must not hold replies back
	h.Set("X-Content-Type-Options", "nosniff")
}

func newSecret() string {
	var b [secretBytes]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// attachStream hands the stream to the session, which may have ended
// meanwhile.
func (c *conn) attachStream(out *stream.Conn) {
	c.stream.Store(out)
	if c.Reason() != "" {
		out.Close()
	}
	c.door.Wheel.Add(&c.timer, c.door.Stale)
	c.Attach()
}

// Gone implements stream.Client.
func (c *conn) Gone(r session.Reason) { c.Close(r) }

// know makes the session reachable for emulated commands. One that has ended
// already is not kept.
func (d *Door) know(c *conn) {
	d.mu.Lock()
	d.emulated[c.via.secret] = c
	d.mu.Unlock()
	if c.Reason() != "" {
		d.forget(c.via.secret)
	}
}

func (d *Door) forget(secret string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.emulated, secret)
}

func (d *Door) known(secret string) *conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.emulated[secret]
}

// enqueue takes a frame of commands, to be handled behind those before it. It
// does not block. A client that sends faster than they are handled is ended.
func (c *conn) enqueue(frame []byte) {
	e := c.via
	e.mu.Lock()
	full := len(e.queue) >= queueFrames || len(e.queue) > 0 && e.queued+len(frame) > 2*c.door.limit()
	start := false
	if !full {
		e.queue = append(e.queue, frame)
		e.queued += len(frame)
		start = !e.working
		e.working = true
	}
	e.mu.Unlock()
	if full {
		c.leave(byeTooMany)
		return
	}
	if start && !c.door.start(c.work) {
		c.leave(byeShutdown)
	}
}

// work handles frames until none waits. A fault of ours costs this session
// alone, as it does over WebSocket.
func (c *conn) work() {
	defer func() {
		if r := recover(); r != nil {
			c.door.Log.Error("handling commands panicked", "panic", r, "stack", string(debug.Stack()))
			c.leave(byeError)
		}
	}()
	for {
		frame, ok := c.via.take()
		if !ok {
			return
		}
		if !c.ended() {
			c.frame(frame)
		}
	}
}

func (e *emulated) take() ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		e.working = false
		return nil, false
	}
	frame := e.queue[0]
	e.queue[0] = nil
	e.queue = e.queue[1:]
	e.queued -= len(frame)
	return frame, true
}

// Emulation answers POST /emulation: commands of a session, for whichever
// node has it. 204 says that the node has taken them; a node that is gone is
// a 404, upon which clients connect again. A session that is gone from a node
// that lives is a 204, too: its stream has ended and says why.
func (d *Door) Emulation(w http.ResponseWriter, r *http.Request) error {
	if err := d.admit(w, r); err != nil {
		return err
	}
	// In JSON the commands are a string, in which any character may be two.
	body, err := readBody(w, r, 2*d.limit()+overhead)
	if err != nil {
		return err
	}
	req, err := emulationRequest(body, isBinary(r))
	if err != nil {
		return problem.New(http.StatusBadRequest, "bad_request", "The body is no emulation request: session, node and data.")
	}
	if len(req.Data) > d.limit() {
		return fault.Newf(fault.TooBig, "payload too big: %d bytes of commands are the most for one request here", d.limit())
	}
	d.Metrics.Emulated.Add(1)
	if err := d.route(r.Context(), req); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func emulationRequest(body []byte, binary bool) (*protocol.EmulationRequest, error) {
	req := new(protocol.EmulationRequest)
	if binary {
		if err := req.UnmarshalCF(body); err != nil {
			return nil, err
		}
	} else {
		if err := cfjson.Unmarshal(body, req, 0); err != nil {
			return nil, err
		}
		data, err := cfjson.UnmarshalString(req.Data)
		if err != nil {
			return nil, err
		}
		req.Data = []byte(data)
	}
	if len(req.Session) != 2*secretBytes || len(req.Data) == 0 || len(req.Node) > maxNode {
		return nil, errFrame
	}
	return req, nil
}

// maxNode is the longest name of a node that is looked for.
const maxNode = 256

// emulationKind names the signal that carries commands between nodes: the
// session's secret, then a frame.
const emulationKind = "centrifuge"

func (d *Door) nodeID() string {
	if d.Nodes == nil {
		return ""
	}
	return d.Nodes.ID()
}

func (d *Door) route(ctx context.Context, req *protocol.EmulationRequest) error {
	if req.Node == d.nodeID() {
		d.hand(req.Session, req.Data)
		return nil
	}
	gone := problem.New(http.StatusNotFound, "no_such_node", "The node that had this session is gone; connect again.")
	if d.Nodes == nil || req.Node == "" {
		return gone
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	reached, err := d.Nodes.Forward(ctx, req.Node, emulationKind, slices.Concat([]byte(req.Session), req.Data))
	if err != nil {
		return err
	}
	if reached == 0 {
		return gone
	}
	return nil
}

// carried takes commands that came to another node.
func (d *Door) carried(data []byte) {
	if len(data) > 2*secretBytes {
		d.hand(string(data[:2*secretBytes]), slices.Clone(data[2*secretBytes:]))
	}
}

func (d *Door) hand(secret string, frame []byte) {
	if c := d.known(secret); c != nil {
		c.enqueue(frame)
	}
}
