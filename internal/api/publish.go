// Package api is Magpie's HTTP API: publishing and reading history for
// scripts and pages, the server API (POST /api/METHOD) for other servers, and
// health.
//
// It keeps nothing between requests. The only goroutines it starts are the
// workers of a parallel batch, which end before its answer.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/problem"
	"magpie/internal/session"
)

// Config is what New needs.
type Config struct {
	Node    *session.Node
	Auth    *auth.Authorizer
	Origins auth.Origins
}

// API answers requests of servers.
type API struct{ Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Limits of one request.
const (
	bodyTimeout    = 10 * time.Second // a body that comes slower is given up
	engineTimeout  = 5 * time.Second
	maxIdempotency = 255 // bytes of an Idempotency-Key
)

// Publish answers POST /publish/{channel}: the body is the payload, whatever
// its type. The answer comes after the engine has the message (D4):
// {"offset":…,"epoch":…}, with "duplicate":true when the Idempotency-Key was
// seen before.
func (a *API) Publish(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("channel") == "" {
		return fault.New(fault.BadChannel, "name the channel: POST /publish/chat")
	}
	who, err := a.who(w, r)
	if err != nil {
		return err
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return problem.New(http.StatusUnsupportedMediaType, "bad_encoding", "Send the payload as it is, without Content-Encoding.")
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
	if who.Kind == auth.User {
		p.By = &message.Publisher{User: who.User, ConnInfo: who.Info}
	}
	res, err := a.Node.Publish(ctx, who, p)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return answer(w, published{Offset: res.Position.Offset, Epoch: res.Position.Epoch, Duplicate: res.Duplicate})
}

// published is the acknowledgement. In a channel without a log the offset is
// 0 and the epoch empty.
type published struct {
	Offset    uint64 `json:"offset"`
	Epoch     string `json:"epoch"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// who finds out who asks: an API key, a token, or a guest. Requests that a
// page of another site makes a browser send are refused first.
func (a *API) who(w http.ResponseWriter, r *http.Request) (auth.Identity, error) {
	a.allow(w, r)
	if err := a.Origins.Check(r); err != nil {
		return auth.Identity{}, err
	}
	if key := keyOf(r); key != "" {
		return a.Auth.Key(key)
	}
	token, err := Token(r)
	if err != nil {
		return auth.Identity{}, err
	}
	return a.Auth.Identify(r.Context(), token)
}

// allow lets pages of allowed origins read the answer.
func (a *API) allow(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	if origin, ok := a.Origins.Allows(r); ok {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
}

// Token returns the request's token: the Authorization header's, or ?token=
// for clients that cannot set headers (EventSource, WebSocket in a browser). A
// header for somebody else, such as a proxy's Basic, is passed over; a token
// without Bearer is an error, or its sender would be taken for a guest.
func Token(r *http.Request) (string, error) {
	h := r.Header.Get("Authorization")
	scheme, rest, two := strings.Cut(h, " ")
	switch {
	case two && strings.EqualFold(scheme, "Bearer"):
		return strings.TrimSpace(rest), nil
	case !two && strings.Count(h, ".") == 2:
		return "", fault.New(fault.BadToken, "Authorization must be Bearer TOKEN")
	}
	return r.URL.Query().Get("token"), nil
}

func (a *API) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(a.Node.MaxPayload())
	tooBig := &fault.Fault{Kind: fault.TooBig, Setting: "max_payload",
		Message: fmt.Sprintf("payload too big: %d bytes are the most for one message here (setting max_payload)", limit)}
	if r.ContentLength > limit {
		return nil, tooBig
	}
	payload, err := readAll(w, r, limit)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooBig
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "bad_body", "The body broke off or came too slowly; nothing was published.")
	}
	return payload, nil
}

// readAll reads a body within bodyTimeout. The deadline ends with a body that
// is here: it would end the request's context, and those of all later requests
// on the connection. What breaks off keeps it, so that nobody waits for the rest.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // tests' writers have none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
	}
	return body, err
}

func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return answerJSON(w, b)
}

func answerJSON(w http.ResponseWriter, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(append(b, '\n')) // a client that has gone needs no answer
	return nil
}

// Preflight answers OPTIONS for pages of allowed origins (CORS).
func (a *API) Preflight(w http.ResponseWriter, r *http.Request) error {
	origin, ok := a.Origins.Allows(r)
	if !ok {
		return &fault.Fault{Kind: fault.Forbidden, Setting: "allowed_origins",
			Message: "not allowed: pages of this origin may not call; add it to allowed_origins"}
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, X-API-Key")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
