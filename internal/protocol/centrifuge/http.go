package centrifuge

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"magpie/internal/auth"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

const octets = "application/octet-stream"

// serveHTTPStream answers POST /connection/http_stream: the body holds the first
// commands, the answer streams replies until the session ends.
func (d *Door) serveHTTPStream(w http.ResponseWriter, r *http.Request) error {
	if err := d.Access.Admit(w, r); err != nil {
		return err
	}
	first, err := d.body(w, r, d.limit())
	if err != nil {
		return err
	}
	form, kind := jsonStream, "application/json"
	if door.Type(r) == octets {
		form, kind = protoStream, octets
	}
	return d.stream(w, r, form, kind, first)
}

// serveEvents answers GET /connection/sse: the first command is in the URL, the
// answer is an event stream of replies until the session ends.
func (d *Door) serveEvents(w http.ResponseWriter, r *http.Request) error {
	if err := d.Access.Admit(w, r); err != nil {
		return err
	}
	q, err := door.ParseQuery(r)
	if err != nil {
		return err
	}
	first := q.Get("cf_connect")
	if !utf8.ValidString(first) || !connects([]byte(first)) {
		return problem.New(http.StatusBadRequest, "bad_request", "Give the connect command as JSON in ?cf_connect=, and no other command: those are for POST /emulation.")
	}
	return d.stream(w, r, jsonEvents, "text/event-stream", []byte(first))
}

// connects tells whether this is one connect command and nothing more. Whoever
// follows a link sends a GET: it must not publish.
func connects(data []byte) bool {
	cmd, rest, err := nextJSON(data)
	return err == nil && cmd.Connect != nil && len(rest) == 0
}

// stream begins one emulated session, which may go on after it has returned.
func (d *Door) stream(w http.ResponseWriter, r *http.Request, f *form, kind string, first []byte) error {
	if r.Method == http.MethodHead {
		door.SetStreamHeaders(w.Header(), kind)
		return nil
	}
	from, err := d.Access.Addresses.Arrive(r)
	if err != nil {
		return err
	}
	token, err := door.Token(r)
	if err != nil {
		return err
	}
	c := d.newConn(f)
	c.token = strings.Clone(token)
	c.emulated = &emulated{secret: newSecret()}
	if err := d.Node.Open(&c.Session, c, auth.Identity{Kind: auth.Guest}, from); err != nil {
		return err
	}
	d.register(c)
	door.SetStreamHeaders(w.Header(), kind)
	out, err := d.Streams.Open(w, r, c)
	if err != nil {
		c.Close(fault.ReasonClient)
		return nil // nobody is there to be told
	}
	d.Wheel.Add(&c.timer, d.Stale)
	c.AttachStream(out, c.streamCloseMessage)
	c.enqueue(first)
	out.Serve(r.Context())
	return nil
}

func newSecret() string {
	var b [secretBytes]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (d *Door) body(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	return door.Body(w, r, int64(limit), door.TooBig("payload too big: %d bytes are the most for one request here", limit))
}

// serveEmulation answers POST /emulation: commands of a session, for whichever
// node has it. 204 says that the node has taken them; a node that is gone is
// a 404, upon which clients connect again. A session that is gone from a node
// that lives is a 204, too: its stream has ended and says why.
func (d *Door) serveEmulation(w http.ResponseWriter, r *http.Request) error {
	if err := d.Access.Admit(w, r); err != nil {
		return err
	}
	// In JSON the commands are a string, in which any character may be two.
	body, err := d.body(w, r, 2*d.limit()+overhead)
	if err != nil {
		return err
	}
	req, err := emulationRequest(body, door.Type(r) == octets)
	if err != nil {
		return problem.New(http.StatusBadRequest, "bad_request", "The body is no emulation request: session, node and data.")
	}
	if len(req.Data) > d.limit() {
		return door.TooBig("payload too big: %d bytes of commands are the most for one request here", d.limit())
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
