package sse

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

// closeEvents are the last event of a stream by the reason for its end: the
// event's name, and a sentence. Of other reasons the client cannot be told, or
// has been told by an event of its own.
var closeEvents = map[fault.Reason]struct{ name, message string }{
	fault.ReasonExpired:  {"token_expired", "The token of this stream has expired; open a new stream with a new token."},
	fault.ReasonRevoked:  {"token_revoked", "A server took the token of this stream back; open a new stream with a new token."},
	fault.ReasonSlow:     {"slow", "More waited for this client than its outbox holds; it comes back with the last event's id."},
	fault.ReasonShutdown: {"shutdown", "This node is shutting down; another one takes the stream when it comes back."},
	fault.ReasonFlood:    {"flood", "An event stream's client has nothing to send."},
}

// closeEvent is the last event for a reason, nil when there is none.
func closeEvent(r fault.Reason) []byte {
	e, ok := closeEvents[r]
	if !ok {
		return nil
	}
	return errorEvent(e.name, &problem.Problem{Code: e.name, Message: e.message})
}

func errorEvent(name string, p *problem.Problem) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, p.Body())
}

// isEventSource tells browsers' event sources from other clients.
func isEventSource(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), contentType)
}

// isReturn tells whether a client had a stream before.
func isReturn(r *http.Request) bool {
	q := r.URL.Query()
	return r.Header.Get("Last-Event-ID") != "" || q.Has("last_event_id") || q.Has("lastEventId")
}

// Waits after which an event source asks again: soon where the server cannot
// answer now, seldom where a page has to do something first and may not listen.
const (
	retrySoon = time.Second
	retryLate = 30 * time.Second
)

// refuse answers a request that gets no stream. Any status but 200 ends a
// browser's event source for good (WHATWG HTML 9.2.3), without a word to its
// page. So where the same stream may go on later, after an outage or with a new
// token, an event source gets a short stream: one event that names the reason,
// and a time to wait.
func refuse(w http.ResponseWriter, r *http.Request, err error) error {
	if !isEventSource(r) {
		return err
	}
	p := problem.Of(err)
	wait, name := retrySoon, "unavailable"
	switch {
	case p.Status == http.StatusServiceUnavailable:
	case p.Status == http.StatusTooManyRequests:
		wait, name = retryLate, p.Code
	case isReturn(r) && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden):
		wait, name = retryLate, p.Code
	default:
		return err
	}
	door.SetStreamHeaders(w.Header(), contentType)
	w.WriteHeader(http.StatusOK)
	fmt.Fprintf(w, "retry: %d\n%s", (wait + rand.N(4*wait)).Milliseconds(), errorEvent(name, p))
	return nil
}
