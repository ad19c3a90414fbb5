// Package raw is the raw WebSocket door, GET /websocket: a text frame in is
// published as it is, a message's payload comes out as one frame, to the
// sender too. It is the contract of the first page that ever spoke to Magpie.
//
// It holds no channel's state and starts no goroutine.
package raw

import (
	"context"
	"net/http"
	"time"

	"magpie/internal/auth"
	"magpie/internal/message"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/ws"
)

// Config is what New needs.
type Config struct {
	Node    *session.Node
	Auth    *auth.Authorizer
	Origins auth.Origins
	Server  *ws.Server
	// Token finds a request's token.
	Token func(*http.Request) (string, error)
	// PublishTimeout bounds one publication. 0 means 5 s.
	PublishTimeout time.Duration
}

// Door accepts raw sessions.
type Door struct{ Config }

// New returns a door.
func New(c Config) *Door {
	if c.PublishTimeout == 0 {
		c.PublishTimeout = 5 * time.Second
	}
	return &Door{c}
}

// request is what a client asks for in the URL.
type request struct {
	channel  string
	envelope bool
	since    *message.Position
	who      auth.Identity
}

// defaultChannel is where clients land that name none.
const defaultChannel = "chat"

// Serve answers GET /websocket. All that can be refused is refused before the
// upgrade, with a status and a sentence. The session is subscribed before the
// upgrade, too: when the client sees the connection open, nothing that is
// published from then on escapes it.
func (d *Door) Serve(w http.ResponseWriter, r *http.Request) error {
	if err := d.Server.Check(r); err != nil {
		return err
	}
	q, err := d.parse(r)
	if err != nil {
		return err
	}
	c := &conn{door: d, channel: d.Node.Intern(q.channel), envelope: q.envelope}
	if err := d.Node.Open(&c.Session, c, q.who); err != nil {
		return err
	}
	if err := c.join(r.Context(), q.since); err != nil {
		c.Close(session.ReasonUnavailable)
		return err
	}
	socket, err := d.Server.Accept(w, r, nil, c)
	if err != nil {
		c.Close(session.ReasonClient)
		return err
	}
	c.attach(socket)
	return nil
}

func (d *Door) parse(r *http.Request) (request, error) {
	if err := d.Origins.Check(r); err != nil {
		return request{}, err
	}
	values := r.URL.Query()
	if err := problem.CheckQuery(values, "channel", "format", "since", "token"); err != nil {
		return request{}, err
	}
	q := request{channel: defaultChannel}
	if values.Has("channel") {
		q.channel = values.Get("channel")
	}
	switch format := values.Get("format"); format {
	case "":
	case "envelope":
		q.envelope = true
	default:
		return q, problem.New(http.StatusBadRequest, "bad_format", "The format is envelope, or is left out for bare payloads.")
	}
	if since := values.Get("since"); since != "" {
		p, err := message.ParsePosition(since)
		if err != nil {
			return q, err
		}
		q.since = &p
	}
	token, err := d.Token(r)
	if err != nil {
		return q, err
	}
	if q.who, err = d.Auth.Identify(r.Context(), token); err != nil {
		return q, err
	}
	return q, d.Node.MayJoin(q.who, q.channel)
}

// joinTimeout bounds how long a handshake waits for the engine.
const joinTimeout = 5 * time.Second

func (c *conn) join(ctx context.Context, since *message.Position) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	joined, err := c.Subscribe(ctx, c.channel, c, since)
	if err != nil {
		return err
	}
	if joined.Gap != nil {
		c.Gap(*joined.Gap)
	}
	for _, m := range joined.Missed {
		c.SendBacklog(c.encoding().Of(m))
	}
	joined.Subscription.Live()
	return nil
}
