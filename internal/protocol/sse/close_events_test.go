package sse

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"magpie/internal/session"
)

// A stream that ends for a reason says the reason, and an event source that
// comes back with a token that no longer passes is not ended for good: it gets
// the reason in an event, and asks again.
func TestAnEndSaysItsReason(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint) {
		for reason, want := range closeEvents {
			r := e.open("channel=chat", "")
			r.head()
			eventually(t, "the session", func() bool { return e.sessions() == 1 })
			e.Node.Each(func(s *session.Session) bool { s.Close(reason); return true })
			rest, err := io.ReadAll(r.in)
			if err != nil || !strings.Contains(string(rest), "event: "+want.name+"\ndata: {\"error\":{\"code\":\""+want.name+"\"") {
				t.Errorf("%s: %q, %v", reason, rest, err)
			}
			eventually(t, "no session", func() bool { return e.sessions() == 0 })
		}
	})
}

func TestARefusalIsAnEventForWhoComesBack(t *testing.T) {
	e := listen(t, false)
	for _, c := range []struct {
		query, accept, last string
		status              int
		event               string
	}{
		{"token=a.b.c", "text/event-stream", "", 401, ""}, // the first time: a page learns it at once
		{"token=a.b.c", "text/event-stream", "chat=e.1", 200, "event: bad_token\n"},
		{"token=a.b.c&last_event_id=chat%3De.1", "text/event-stream", "", 200, "event: bad_token\n"},
		{"token=a.b.c", "*/*", "chat=e.1", 401, ""}, // no event source: it reads statuses
		{"channel=users", "text/event-stream", "users=e.1", 200, "event: token_needed\n"},
		{"channel=a%20b", "text/event-stream", "chat=e.1", 400, ""}, // it will never be right
	} {
		req, err := http.NewRequest("GET", e.url(c.query), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", c.accept)
		if c.last != "" {
			req.Header.Set("Last-Event-ID", c.last)
		}
		res, err := e.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.event) || c.status == 200 && !strings.HasPrefix(string(body), "retry: ") {
			t.Errorf("%s, %s, %q: %d %s", c.query, c.accept, c.last, res.StatusCode, body)
		}
	}
}
