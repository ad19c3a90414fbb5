// Package problem is what an HTTP request gets back when it is refused: one
// table from errors to status codes and stable words, and one JSON shape,
// {"error":{"code":"…","message":"…"}}. Messages are sentences that say what
// to do; they never hold a stack, a secret or the engine's own words.
//
// It starts no goroutine.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/message"
)

// Problem is an error with its own place in the table. Sentinels of other
// packages are in the table below.
type Problem struct {
	Status  int
	Code    string // stable word
	Message string
	// Header and Value are one header field of the answer; empty for none.
	Header, Value string
}

func (p *Problem) Error() string { return p.Message }

// New returns a problem without a header field.
func New(status int, code, message string) *Problem {
	return &Problem{Status: status, Code: code, Message: message}
}

// ErrTooBig: a payload over the limit.
var ErrTooBig = errors.New("payload too big")

var table = []struct {
	err     error
	problem Problem // an empty Message: the error's own words are made for the client
}{
	{channel.ErrName, Problem{Status: http.StatusBadRequest, Code: "bad_channel"}},
	{message.ErrPosition, Problem{Status: http.StatusBadRequest, Code: "bad_position"}},
	{ErrTooBig, Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_big"}},
	{auth.ErrNoToken, Problem{Status: http.StatusUnauthorized, Code: "token_needed", Header: "WWW-Authenticate", Value: "Bearer"}}, // before ErrToken, which it is too
	{auth.ErrToken, Problem{Status: http.StatusUnauthorized, Code: "bad_token", Header: "WWW-Authenticate", Value: "Bearer"}},
	{auth.ErrExpired, Problem{Status: http.StatusUnauthorized, Code: "token_expired", Header: "WWW-Authenticate", Value: "Bearer"}},
	{auth.ErrUnavailable, Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Header: "Retry-After", Value: "1"}},
	{auth.ErrName, Problem{Status: http.StatusBadRequest, Code: "bad_name"}},
	{auth.ErrKey, Problem{Status: http.StatusUnauthorized, Code: "bad_key"}},
	{auth.ErrForbidden, Problem{Status: http.StatusForbidden, Code: "forbidden"}},
}

// kinds are the faults' places in the table.
var kinds = map[fault.Kind]struct {
	status int
	code   string // "": the kind itself
}{
	fault.BadChannel:   {http.StatusBadRequest, ""},
	fault.BadPosition:  {http.StatusBadRequest, ""},
	fault.BadParameter: {http.StatusBadRequest, ""},
	fault.BadName:      {http.StatusBadRequest, ""},
	fault.TooBig:       {http.StatusRequestEntityTooLarge, ""},
	fault.Limit:        {http.StatusBadRequest, ""},
	fault.Conflict:     {http.StatusConflict, ""},
	fault.NoPresence:   {http.StatusNotFound, ""},
	fault.TokenNeeded:  {http.StatusUnauthorized, ""},
	fault.BadToken:     {http.StatusUnauthorized, ""},
	fault.TokenExpired: {http.StatusUnauthorized, ""},
	fault.BadKey:       {http.StatusUnauthorized, ""},
	fault.Forbidden:    {http.StatusForbidden, ""},
	fault.Unavailable:  {http.StatusServiceUnavailable, ""},
	fault.Shutdown:     {http.StatusServiceUnavailable, ""},
	fault.Internal:     {http.StatusInternalServerError, ""},

	fault.Handshake:         {http.StatusBadRequest, ""},
	fault.HandshakeMethod:   {http.StatusMethodNotAllowed, badHandshake},
	fault.HandshakeHTTP:     {http.StatusHTTPVersionNotSupported, badHandshake},
	fault.HandshakeVersion:  {http.StatusUpgradeRequired, badHandshake},
	fault.HandshakeShutdown: {http.StatusServiceUnavailable, badHandshake},
	fault.HandshakeInternal: {http.StatusInternalServerError, badHandshake},
}

// badHandshake is the one word that clients read for all of these.
const badHandshake = string(fault.Handshake)

// ofFault is a fault as HTTP says it.
func ofFault(f *fault.Fault) *Problem {
	k := kinds[f.Kind]
	p := New(k.status, cmp.Or(k.code, string(f.Kind)), f.Sentence())
	switch {
	case f.Wait > 0:
		p.Header, p.Value = "Retry-After", strconv.Itoa(int((f.Wait+time.Second-1)/time.Second))
	case f.Kind == fault.TokenNeeded, f.Kind == fault.BadToken, f.Kind == fault.TokenExpired:
		p.Header, p.Value = "WWW-Authenticate", "Bearer"
	case f.Kind == fault.HandshakeMethod:
		p.Header, p.Value = "Allow", http.MethodGet
	case f.Kind == fault.HandshakeVersion:
		p.Header, p.Value = "Sec-WebSocket-Version", "13"
	}
	return p
}

// Of finds the problem for an error. What is in no table is a fault of ours
// and shows nothing of itself.
func Of(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return ofFault(f)
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			found := row.problem
			if found.Message == "" {
				found.Message = sentence(err, row.err)
			}
			return &found
		}
	}
	return New(http.StatusInternalServerError, "internal", "Something went wrong here; the server's log says what.")
}

// sentence gives the innermost error that still wraps the sentinel: what
// outer layers put in front is for logs.
func sentence(err, sentinel error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner == sentinel || !errors.Is(inner, sentinel) {
			return err.Error()
		}
		err = inner
	}
}

// Body is the answer's JSON.
func (p *Problem) Body() []byte {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	b, _ := json.Marshal(map[string]detail{"error": {p.Code, p.Message}}) // two strings: cannot fail
	return b
}

// Write answers a request with the problem that err is.
func Write(w http.ResponseWriter, err error) {
	p := Of(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Header != "" {
		h.Set(p.Header, p.Value)
	}
	w.WriteHeader(p.Status)
	w.Write(append(p.Body(), '\n'))
}

// Handler answers requests and may refuse them with an error.
type Handler func(http.ResponseWriter, *http.Request) error

// Handle makes an http.Handler of one that returns errors. Faults of ours are
// logged; refusals are the client's business.
func Handle(log *slog.Logger, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if Of(err).Status == http.StatusInternalServerError {
			log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		Write(w, err)
	})
}
