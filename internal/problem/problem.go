// Package problem is what an HTTP request gets back when it is refused: one
// table from the kinds of faults to status codes, and one JSON shape,
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

	"magpie/internal/fault"
)

// Problem is an answer that refuses a request. Faults become one by the table;
// a door makes its own for what only HTTP has a word for.
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

// row is how HTTP says a kind of fault. A fault that says how long to wait has
// Retry-After instead of the row's header field.
type row struct {
	status        int
	code          string // stable word; "" stands for the kind itself
	header, value string // a header field of the answer; empty for none
}

// table has a row for every kind of fault.
var table = map[fault.Kind]row{
	fault.BadChannel:   {status: http.StatusBadRequest},
	fault.BadPosition:  {status: http.StatusBadRequest},
	fault.BadParameter: {status: http.StatusBadRequest},
	fault.BadName:      {status: http.StatusBadRequest},
	fault.Limit:        {status: http.StatusBadRequest},
	fault.TooMany:      {status: http.StatusTooManyRequests},
	fault.TooBig:       {status: http.StatusRequestEntityTooLarge},
	fault.Conflict:     {status: http.StatusConflict},
	fault.NoPresence:   {status: http.StatusNotFound},
	fault.TokenNeeded:  {http.StatusUnauthorized, "", "WWW-Authenticate", "Bearer"},
	fault.BadToken:     {http.StatusUnauthorized, "", "WWW-Authenticate", "Bearer"},
	fault.TokenExpired: {http.StatusUnauthorized, "", "WWW-Authenticate", "Bearer"},
	fault.Revoked:      {http.StatusUnauthorized, "", "WWW-Authenticate", "Bearer"},
	fault.BadKey:       {status: http.StatusUnauthorized},
	fault.Forbidden:    {status: http.StatusForbidden},
	fault.Unavailable:  {status: http.StatusServiceUnavailable},
	fault.Shutdown:     {status: http.StatusServiceUnavailable},
	fault.Internal:     {status: http.StatusInternalServerError},

	fault.Handshake:         {status: http.StatusBadRequest},
	fault.HandshakeMethod:   {http.StatusMethodNotAllowed, badHandshake, "Allow", http.MethodGet},
	fault.HandshakeHTTP:     {status: http.StatusHTTPVersionNotSupported, code: badHandshake},
	fault.HandshakeVersion:  {http.StatusUpgradeRequired, badHandshake, "Sec-WebSocket-Version", "13"},
	fault.HandshakeShutdown: {status: http.StatusServiceUnavailable, code: badHandshake},
	fault.HandshakeInternal: {status: http.StatusInternalServerError, code: badHandshake},
}

// badHandshake is the one word that clients read for all of these.
const badHandshake = string(fault.Handshake)

// Of returns the problem that err is. An error that is neither a problem nor a
// fault is a defect of ours and shows nothing of itself.
func Of(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	f := fault.Of(err)
	r := table[f.Kind]
	p := &Problem{r.status, cmp.Or(r.code, string(f.Kind)), f.Sentence(), r.header, r.value}
	if f.Wait > 0 {
		p.Header, p.Value = "Retry-After", strconv.Itoa(int((f.Wait+time.Second-1)/time.Second))
	}
	return p
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

// Handle makes an http.Handler of one that returns errors. Defects of ours are
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
