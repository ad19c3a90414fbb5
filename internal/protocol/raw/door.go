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
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/transport/ws"
)

// Config is what New needs.
type Config struct {
	Node    *node.Node
	Gate    *node.Gate
	Access  door.Access
	Sockets *ws.Server
}

// Door accepts raw sessions.
type Door struct{ Config }

// New returns a door.
func New(c Config) *Door { return &Door{c} }

// Routes are the paths of this door.
func (d *Door) Routes() []door.Route { return []door.Route{door.Any("/websocket", d.serve)} }

const (
	// joinTimeout bounds how long a handshake waits for the engine.
	joinTimeout = 5 * time.Second
	// publishTimeout bounds one publication.
	publishTimeout = 5 * time.Second
	// defaultChannel is where clients land that name none.
	defaultChannel = "chat"
)

// request is what a client asks for in the URL.
type request struct {
	channel  string
	envelope bool
	since    *message.Position
	who      auth.Identity
}

// serve answers GET /websocket. All that can be refused is refused before the
// upgrade, with a status and a sentence. The session is subscribed before the
// upgrade, too: when the client sees the connection open, nothing that is
// published from then on escapes it.
func (d *Door) serve(w http.ResponseWriter, r *http.Request) error {
	from, err := d.Access.Addresses.Arrive(r)
	if err != nil {
		return err
	}
	if err := d.Sockets.Check(r); err != nil {
		return err
	}
	q, err := d.parse(r)
	if err != nil {
		return err
	}
	c := &conn{door: d, channel: d.Gate.Intern(q.channel), envelope: q.envelope, deflate: d.Sockets.Deflates(r)}
	if err := d.Node.Open(&c.Session, c, q.who, from); err != nil {
		return err
	}
	if err := c.join(r.Context(), q.since); err != nil {
		c.Close(fault.ReasonUnavailable)
		return err
	}
	socket, err := d.Sockets.Accept(w, r, nil, c)
	if err != nil {
		c.Close(fault.ReasonClient)
		return door.Answerable(err)
	}
	c.AttachSocket(socket, c.closeMessage)
	return nil
}

func (d *Door) parse(r *http.Request) (request, error) {
	if err := d.Access.Origins.Check(r); err != nil {
		return request{}, err
	}
	values, err := door.Query(r, "channel", "format", "since", "token")
	if err != nil {
		return request{}, err
	}
	q := request{channel: defaultChannel}
	if values.Has("channel") {
		q.channel = values.Get("channel")
	}
	if q.envelope, err = door.Envelope(values); err != nil {
		return q, err
	}
	if since := values.Get("since"); since != "" {
		p, err := message.ParsePosition(since)
		if err != nil {
			return q, err
		}
		q.since = &p
	}
	if q.who, err = d.Access.Client(r); err != nil {
		return q, err
	}
	return q, d.Gate.MaySubscribe(node.CallerActor(q.who), q.channel, false)
}

func (c *conn) join(ctx context.Context, since *message.Position) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	joined, err := c.door.Gate.Subscribe(ctx, &c.Session, c.channel, c, since)
	if err != nil {
		return err
	}
	if joined.Gap != nil {
		c.Gap(*joined.Gap)
	}
	for _, m := range joined.Missed {
		c.SendBacklog(c.encoding().Of(m))
	}
	c.BacklogSent()
	joined.Subscription.Live()
	return nil
}
