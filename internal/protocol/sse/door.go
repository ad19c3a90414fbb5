// Package sse is the Server-Sent Events door, GET /sse (WHATWG HTML, section
// 9.2). Every event's id carries the positions of all channels of the
// connection, so that the browser's own Last-Event-ID brings back what was
// missed in all of them.
//
// It holds no channel's state and starts no goroutine.
package sse

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"magpie/internal/auth"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/wheel"
)

// Config is what New needs.
type Config struct {
	Node    *node.Node
	Gate    *node.Gate
	Access  door.Access
	Streams *stream.Server
	Wheel   *wheel.Wheel
	// Heartbeat is how often a comment tells proxies and dead clients apart
	// (25 s).
	Heartbeat time.Duration
}

// Door accepts event streams.
type Door struct{ Config }

// New returns a door.
func New(c Config) *Door {
	if c.Heartbeat == 0 {
		c.Heartbeat = 25 * time.Second
	}
	return &Door{c}
}

// Routes are the paths of this door.
func (d *Door) Routes() []door.Route { return []door.Route{door.Get("/sse", d.serve, d.Access)} }

const (
	// joinTimeout bounds how long a request waits for the engine.
	joinTimeout = 5 * time.Second
	// defaultChannel is where clients land that name none.
	defaultChannel = "chat"
	contentType    = "text/event-stream"
	// maxReturn bounds the URL and the id of a stream together, in bytes: a
	// browser comes back with both, and a server reads at most 16 KB of a
	// request's head.
	maxReturn = 12 << 10
)

type request struct {
	channels []string
	envelope bool
	since    positions
	who      auth.Identity
}

// serve answers GET /sse. The stream may go on after it has returned.
func (d *Door) serve(w http.ResponseWriter, r *http.Request) error {
	if err := d.open(w, r); err != nil {
		return refuse(w, r, err)
	}
	return nil
}

func (d *Door) open(w http.ResponseWriter, r *http.Request) error {
	from, err := d.Access.Addresses.Arrive(r)
	if err != nil {
		return err
	}
	q, err := d.parse(w, r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		door.SetStreamHeaders(w.Header(), contentType)
		return nil
	}
	c := &conn{door: d, envelope: q.envelope}
	c.heartbeat.For = c
	if err := d.Node.Open(&c.Session, c, q.who, from); err != nil {
		return err
	}
	if err := c.join(r.Context(), q); err != nil {
		c.Close(fault.ReasonUnavailable)
		return err
	}
	door.SetStreamHeaders(w.Header(), contentType)
	out, err := d.Streams.Open(w, r, c)
	if err != nil {
		c.Close(fault.ReasonClient)
		return nil // nobody is there to be told
	}
	d.Wheel.Add(&c.heartbeat, d.Heartbeat)
	c.AttachStream(out, c.closeMessage)
	out.Serve(r.Context())
	return nil
}

func (d *Door) parse(w http.ResponseWriter, r *http.Request) (request, error) {
	if err := d.Access.Admit(w, r); err != nil { // a page that could connect and not read would be none
		return request{}, err
	}
	values, err := door.Query(r, "channel...", "format", "last_event_id", "lastEventId", "token")
	if err != nil {
		return request{}, err
	}
	q := request{channels: unique(values["channel"])}
	if len(q.channels) == 0 {
		q.channels = []string{defaultChannel}
	}
	if n := len(r.RequestURI) + maxIDLen(q.channels); n > maxReturn {
		return q, fault.Newf(fault.Limit, "these are too many channels for one stream: URL and event id would come back with up to %d bytes, and %d are the most; take several streams", n, maxReturn)
	}
	if q.envelope, err = door.Envelope(values); err != nil {
		return q, err
	}
	// The header is the browser's own and newer: it wins over the URL that the
	// page gave once.
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = cmp.Or(values.Get("last_event_id"), values.Get("lastEventId")) // the second is what a widespread EventSource for old browsers adds
	}
	if q.since, err = parsePositions(last); err != nil {
		return q, err
	}
	if q.who, err = d.Access.Client(r); err != nil {
		return q, err
	}
	for _, name := range q.channels {
		if err := d.Gate.MaySubscribe(node.CallerActor(q.who), name, false); err != nil {
			return q, err
		}
	}
	return q, nil
}

func unique(names []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			list = append(list, strings.Clone(n)) // else the stream keeps the whole URL, token included
		}
	}
	return list
}

// retry is how long a browser waits before it comes back: spread, so that a
// node's end does not bring all its clients to the others at once.
func retry() []byte {
	return []byte("retry: " + strconv.Itoa(500+rand.IntN(1500)) + "\n")
}

// join subscribes to all channels before anything is written, so that the
// first id names a position in each of them.
func (c *conn) join(ctx context.Context, q request) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var subs []*subscription
	var all []session.Joined
	for _, name := range q.channels {
		p := &subscription{conn: c, channel: c.door.Gate.Intern(name)}
		var since *message.Position
		if at, ok := q.since[name]; ok {
			since = &at
			p.at = at
		}
		joined, err := c.door.Gate.Subscribe(ctx, &c.Session, p.channel, p, since)
		if err != nil {
			return err
		}
		if since == nil {
			p.at = joined.Position
		}
		p.joined = joined.Subscription
		c.add(p)
		subs, all = append(subs, p), append(all, joined)
	}
	c.start(subs, all)
	return nil
}

func (c *conn) add(p *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, p)
}

// start writes the head of the stream and what was missed, then lets live
// messages in.
func (c *conn) start(subs []*subscription, all []session.Joined) {
	for _, frame := range c.head(subs, all) {
		c.SendBacklog(frame)
	}
	c.BacklogSent()
	c.sendNext()
	for _, joined := range all {
		joined.Subscription.Live()
	}
}

// head makes the head. Until sendNext is called, all other events wait.
func (c *conn) head(subs []*subscription, all []session.Joined) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = true
	head := [][]byte{retry()}
	for i, joined := range all {
		p := subs[i]
		if joined.Gap != nil {
			p.at = joined.Gap.Now
			head = append(head, c.appendGap(nil, *joined.Gap))
		}
		for _, m := range joined.Missed {
			head = append(head, p.append(nil, m)) // one by one: all in one piece would be in memory twice
		}
		p.at = joined.Position
	}
	return append(head, append(c.appendID(nil), '\n')) // an id alone: no event, but a place to come back to
}
