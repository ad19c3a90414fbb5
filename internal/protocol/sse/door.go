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
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"magpie/internal/auth"
	"magpie/internal/message"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/wheel"
)

// Config is what New needs.
type Config struct {
	Node    *session.Node
	Auth    *auth.Authorizer
	Origins auth.Origins
	Streams *stream.Server
	Wheel   *wheel.Wheel
	// Heartbeat is how often a comment tells proxies and dead clients apart
	// (25 s).
	Heartbeat time.Duration
	// Token finds a request's token.
	Token func(*http.Request) (string, error)
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

type request struct {
	channels []string
	envelope bool
	since    positions
	who      auth.Identity
}

// Serve answers GET /sse. The stream may go on after it has returned.
func (d *Door) Serve(w http.ResponseWriter, r *http.Request) error {
	err := d.serve(w, r)
	if err != nil && problem.Of(err).Status == http.StatusServiceUnavailable && isEventSource(r) {
		comeBack(w, problem.Of(err))
		return nil
	}
	return err
}

// isEventSource tells browsers' event sources from other clients.
func isEventSource(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// comeBack asks an event source to try again in some seconds. A status of 503
// would end it for good (WHATWG HTML 9.2.3: any status but 200 fails the
// connection), and a page would stay silent after an outage of a moment.
func comeBack(w http.ResponseWriter, p *problem.Problem) {
	setHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	fmt.Fprintf(w, "retry: %d\nevent: unavailable\ndata: %s\n\n", 1000+rand.IntN(4000), p.Body())
}

func (d *Door) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	if origin, ok := d.Origins.Allows(r); ok {
		w.Header().Set("Access-Control-Allow-Origin", origin) // else its page could connect and not read
	}
	q, err := d.parse(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		setHeaders(w.Header())
		return nil
	}
	c := &conn{door: d, envelope: q.envelope}
	c.heartbeat.For = c
	if err := d.Node.Open(&c.Session, c, q.who); err != nil {
		return err
	}
	if err := c.join(r.Context(), q); err != nil {
		c.Close(session.ReasonUnavailable)
		return err
	}
	setHeaders(w.Header())
	out, err := d.Streams.Open(w, r, c)
	if err != nil {
		c.Close(session.ReasonClient)
		return nil // nobody is there to be told
	}
	c.attach(out)
	out.Serve(r.Context())
	return nil
}

func (d *Door) parse(r *http.Request) (request, error) {
	if err := d.Origins.Check(r); err != nil {
		return request{}, err
	}
	values := r.URL.Query()
	if err := problem.CheckQuery(values, "channel", "format", "last_event_id", "lastEventId", "token"); err != nil {
		return request{}, err
	}
	q := request{channels: unique(values["channel"])}
	if len(q.channels) == 0 {
		q.channels = []string{"chat"}
	}
	switch values.Get("format") {
	case "":
	case "envelope":
		q.envelope = true
	default:
		return q, problem.New(http.StatusBadRequest, "bad_format", "The format is envelope, or is left out for bare payloads.")
	}
	// The header is the browser's own and newer: it wins over the URL that the
	// page gave once.
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = cmp.Or(values.Get("last_event_id"), values.Get("lastEventId")) // the second is what a widespread EventSource for old browsers adds
	}
	var err error
	if q.since, err = parsePositions(last); err != nil {
		return q, err
	}
	token, err := d.Token(r)
	if err != nil {
		return q, err
	}
	if q.who, err = d.Auth.Identify(r.Context(), token); err != nil {
		return q, err
	}
	for _, name := range q.channels {
		if err := d.Node.MayJoin(q.who, name); err != nil {
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

func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx must not hold events back
	h.Set("X-Content-Type-Options", "nosniff")
}

// joinTimeout bounds how long a request waits for the engine.
const joinTimeout = 5 * time.Second

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
	var parts []*part
	var all []session.Joined
	for _, name := range q.channels {
		p := &part{conn: c, channel: c.Node().Intern(name)}
		var since *message.Position
		if at, ok := q.since[name]; ok {
			since = &at
			p.at = at
		}
		joined, err := c.Subscribe(ctx, p.channel, p, since)
		if err != nil {
			return err
		}
		if since == nil {
			p.at = joined.Position
		}
		p.sub = joined.Subscription
		c.add(p)
		parts, all = append(parts, p), append(all, joined)
	}
	c.begin(parts, all)
	return nil
}

func (c *conn) add(p *part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts = append(c.parts, p)
}

// begin writes the head of the stream and what was missed, then lets live
// messages in.
func (c *conn) begin(parts []*part, all []session.Joined) {
	for _, frame := range c.compose(parts, all) {
		c.SendBacklog(frame)
	}
	c.sendNext()
	for _, joined := range all {
		joined.Subscription.Live()
	}
}

// compose makes the head. Until sendNext is called, all other events wait.
func (c *conn) compose(parts []*part, all []session.Joined) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = true
	head := [][]byte{retry()}
	for i, joined := range all {
		p := parts[i]
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
