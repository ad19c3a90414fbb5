package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
)

// The size of a page of history: what one answer holds when nothing is asked,
// and at most.
const (
	defaultPage = 100
	maxPage     = 1000
)

// history answers GET /history/{channel}?since=EPOCH.OFFSET&limit=&reverse=:
// {"messages":[…],"epoch":…,"offset":…,"next":"EPOCH.OFFSET"?,"gap":{…}?} with
// the messages as envelopes, the position of the newest message in the log, and
// where the next page goes on.
func (a *API) history(w http.ResponseWriter, r *http.Request) error {
	who, err := a.caller(w, r)
	if err != nil {
		return err
	}
	values, err := door.Query(r, "since", "limit", "reverse", "token")
	if err != nil {
		return err
	}
	q, err := parseQuery(values)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), engineTimeout)
	defer cancel()
	name := r.PathValue("channel")
	page, err := a.Gate.History(ctx, node.CallerActor(who), name, q)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	body := appendPage(nil, name, q, page)
	defer a.Gate.Hold(len(body))() // until the client has read it
	return door.AnswerJSON(w, append(body, '\n'))
}

func parseQuery(values url.Values) (engine.Query, error) {
	q := engine.Query{Limit: defaultPage}
	if s := values.Get("since"); s != "" {
		p, err := message.ParsePosition(s)
		if err != nil {
			return q, err
		}
		q.Since = &p
	}
	if s := values.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxPage {
			return q, problem.New(http.StatusBadRequest, "bad_limit", fmt.Sprintf("The limit is a number from 0 to %d.", maxPage))
		}
		q.Limit = n
	}
	if s := values.Get("reverse"); s != "" {
		reverse, err := strconv.ParseBool(s)
		if err != nil {
			return q, problem.New(http.StatusBadRequest, "bad_reverse", "Reverse is true or false.")
		}
		q.Reverse = reverse
	}
	return q, nil
}

// nextPage is where a page goes on that does not hold all that was asked for.
// Backwards the log may have ended with it: the next page is empty then.
func nextPage(q engine.Query, page engine.Page) (at message.Position, more bool) {
	if len(page.Messages) == 0 {
		return at, false
	}
	at = page.Messages[len(page.Messages)-1].Position
	if q.Reverse {
		return at, at.Offset > 1 && (page.More || len(page.Messages) == q.Limit)
	}
	return at, at.Offset < page.Top.Offset
}

func appendPage(dst []byte, name string, q engine.Query, page engine.Page) []byte {
	dst = append(dst, `{"messages":[`...)
	for i, m := range page.Messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = message.AppendEnvelope(dst, m)
	}
	dst = append(dst, `],`...)
	top := page.Top.AppendJSON(nil)
	dst = append(dst, top[1:len(top)-1]...)
	if next, more := nextPage(q, page); more {
		dst = append(append(append(dst, `,"next":"`...), next.String()...), '"')
	}
	if page.Gap != "" {
		gap := message.Gap{Channel: name, From: *q.Since, Now: page.Top, Reason: page.Gap}
		dst = gap.AppendJSON(append(dst, `,"gap":`...))
	}
	return append(dst, '}')
}
