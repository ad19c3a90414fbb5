// Package api is Magpie's HTTP API: publishing and reading history for
// scripts and pages, the server API (POST /api/METHOD) for other servers, and
// health.
//
// It keeps nothing between requests. The only goroutines it starts are the
// workers of a parallel batch, which end before its answer.
package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"magpie/internal/auth"
	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
)

// Config is what New needs.
type Config struct {
	Gate   *node.Gate
	Access door.Access
}

// API answers requests of servers.
type API struct{ Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Limits of one request.
const (
	engineTimeout  = 5 * time.Second
	maxIdempotency = 255 // bytes of an Idempotency-Key
)

// Routes are the paths for scripts and pages.
func (a *API) Routes() []door.Route {
	return []door.Route{
		door.Post("/publish/{channel...}", a.publish, a.Access),
		door.Post("/publish", a.publish, a.Access), // without a channel: it says so
		door.Get("/history/{channel...}", a.history, a.Access),
		door.Post("/guest", a.guest, a.Access),
		door.Local("GET", "/openapi.json", openAPI),
	}
}

// publish answers POST /publish/{channel}: the body is the payload, whatever
// its type. The answer comes after the engine has the message (D4):
// {"offset":…,"epoch":…}, with "duplicate":true when the Idempotency-Key was
// seen before.
func (a *API) publish(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("channel") == "" {
		return problem.New(http.StatusBadRequest, "bad_channel", "name the channel: POST /publish/chat")
	}
	who, err := a.caller(w, r)
	if err != nil {
		return err
	}
	if _, err := door.Query(r, "token"); err != nil {
		return err
	}
	if err := door.CheckEncoding(r); err != nil {
		return err
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxIdempotency {
		return problem.New(http.StatusBadRequest, "bad_key", fmt.Sprintf("An Idempotency-Key has at most %d bytes.", maxIdempotency))
	}
	payload, err := a.body(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), engineTimeout)
	defer cancel()
	p := engine.Publication{Channel: r.PathValue("channel"), Payload: payload, Via: message.ViaHTTP, IdempotencyKey: key}
	res, err := a.Gate.Publish(ctx, node.CallerActor(who), p)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return door.Answer(w, published{Offset: res.Position.Offset, Epoch: res.Position.Epoch, Duplicate: res.Duplicate})
}

// published is the acknowledgement. In a channel without a log the offset is
// 0 and the epoch empty.
type published struct {
	Offset    uint64 `json:"offset"`
	Epoch     string `json:"epoch"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// caller finds out who asks: an API key, a token, or a guest. Requests that a
// page of another site makes a browser send are refused first.
func (a *API) caller(w http.ResponseWriter, r *http.Request) (auth.Identity, error) {
	if err := a.Access.Admit(w, r); err != nil {
		return auth.Identity{}, err
	}
	return a.Access.Caller(r)
}

func (a *API) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := a.Gate.Limits().Payload
	return door.Body(w, r, int64(limit), &fault.Fault{Kind: fault.TooBig, Setting: "max_payload",
		Message: fmt.Sprintf("payload too big: %d bytes are the most for one message here (setting max_payload)", limit)})
}
