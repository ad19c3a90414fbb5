package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"magpie/internal/channel"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/metrics"
	"magpie/internal/node"
	"magpie/internal/problem"
)

// ServerConfig is what NewServer needs.
type ServerConfig struct {
	Gate   *node.Gate
	Peers  *node.Peers
	Access door.Access
	Log    *slog.Logger
	// Open lets everyone call who reaches the server, without a key.
	Open bool
}

// Server is the API by which other servers steer this one: POST /api/METHOD,
// with bodies and answers as in Centrifugo's HTTP API.
type Server struct {
	ServerConfig
	// BadKeys counts requests without a key that is accepted.
	BadKeys metrics.Counter
	calls   map[string]*Calls // by method; never changed
}

// Calls counts one method's calls.
type Calls struct{ Good, Failed metrics.Counter }

// NewServer returns the API.
func NewServer(c ServerConfig) *Server {
	s := &Server{ServerConfig: c, calls: map[string]*Calls{}}
	for _, name := range Methods() {
		s.calls[name] = &Calls{}
	}
	return s
}

// Routes are the paths of the server API.
func (s *Server) Routes() []door.Route {
	routes := []door.Route{
		door.Local("POST", "/api", s.lines),
		door.Local("POST", "/api/{method...}", s.unknown),
	}
	for _, name := range Methods() {
		routes = append(routes, door.Local("POST", "/api/"+name, s.method(name)))
	}
	return routes
}

// Calls returns the counters of all methods. Callers must not change the map.
func (s *Server) Calls() map[string]*Calls { return s.calls }

// method is one method of the API. The result becomes JSON. body is one JSON
// object, or empty.
type method func(s *Server, ctx context.Context, body []byte) (any, error)

// single are the methods that a batch may hold, too.
var single = map[string]method{
	"publish":        with((*Server).publish),
	"broadcast":      with((*Server).broadcast),
	"subscribe":      with((*Server).subscribe),
	"unsubscribe":    with((*Server).unsubscribe),
	"disconnect":     with((*Server).disconnect),
	"refresh":        with((*Server).refresh),
	"revoke":         with((*Server).revoke),
	"presence":       with((*Server).presence),
	"presence_stats": with((*Server).presenceStats),
	"history":        with((*Server).history),
	"history_remove": with((*Server).historyRemove),
	"channels":       with((*Server).channels),
	"info":           with((*Server).info),
}

const batchMethod = "batch"

// Methods names all methods: what may follow /api/.
func Methods() []string {
	return append(slices.Sorted(maps.Keys(single)), batchMethod)
}

// with makes a method of a function that takes its request decoded.
func with[T any](f func(*Server, context.Context, T) (any, error)) method {
	return func(s *Server, ctx context.Context, body []byte) (any, error) {
		var request T
		if err := decode(body, &request); err != nil {
			return nil, err
		}
		return f(s, ctx, request)
	}
}

// callTimeout bounds one call, whatever it asks for.
const callTimeout = 30 * time.Second

// method returns the handler of POST /api/NAME. Requests that are not for
// this API (no key, not JSON, another site's page) are refused with an HTTP
// status; what a call itself fails with is an answer of status 200.
func (s *Server) method(name string) problem.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.admit(r); err != nil {
			return err
		}
		body, err := s.body(w, r)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		if name == batchMethod {
			return s.answerBatch(w, r, ctx, body)
		}
		result, failed := s.call(ctx, name, body)
		return s.answer(w, r, reply{result, failed}, failed)
	}
}

// unknown answers calls of methods that there are none of.
func (s *Server) unknown(http.ResponseWriter, *http.Request) error {
	return problem.New(http.StatusNotFound, "method_not_found", "The methods are "+strings.Join(Methods(), ", ")+".")
}

// reply is the answer of one call.
type reply struct {
	Result any    `json:"result,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// nothing is the result of calls that only do something.
type nothing struct{}

func (s *Server) call(ctx context.Context, name string, body []byte) (any, *Error) {
	result, err := single[name](s, ctx, body)
	if err == nil {
		s.calls[name].Good.Add(1)
		return result, nil
	}
	s.calls[name].Failed.Add(1)
	return nil, s.told(name, err)
}

// told is the answer for an error; the log says what is our own fault.
func (s *Server) told(name string, err error) *Error {
	e, known := errorOf(err)
	if !known {
		s.Log.Error("call failed", "method", name, "error", err)
	}
	return e
}

// errorMode is the header by which some libraries ask for errors as HTTP
// statuses ("transport") rather than in an answer of status 200.
const errorMode = "X-Centrifugo-Error-Mode"

func (s *Server) answer(w http.ResponseWriter, r *http.Request, v any, failed *Error) error {
	var out bytes.Buffer
	if err := encodeJSON(&out, v); err != nil {
		return err
	}
	if failed != nil && r.Header.Get(errorMode) == "transport" {
		door.SetHeaders(w.Header(), "application/json")
		w.WriteHeader(statuses[failed.Code])
	}
	return door.AnswerJSON(w, out.Bytes())
}

// encodeJSON writes one line. Payloads stay as readable as they came.
func encodeJSON(out *bytes.Buffer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// admit refuses requests that have no business here. In the order of the
// checks nothing is told to a page of another site, and nothing but yes or no
// to who has no key.
func (s *Server) admit(r *http.Request) error {
	if err := s.Access.Origins.Check(r); err != nil {
		return err
	}
	q, err := door.ParseQuery(r)
	if err != nil {
		return err
	}
	if q.Has("api_key") || q.Has("apikey") {
		return problem.New(http.StatusBadRequest, "key_in_url", "A key in a URL ends up in logs: send it as X-API-Key, and replace this one.")
	}
	if !s.Open || door.Key(r) != "" {
		if _, err := s.Access.Server(r); err != nil {
			if fault.Of(err).Setting != "max_api_calls" { // then the key is good
				s.BadKeys.Add(1)
			}
			return err
		}
	}
	// Only a page of this server, or one that was let through a preflight,
	// can make a browser send this type: no form and no image can.
	if door.Type(r) != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "bad_content_type", "Send the call as JSON, with Content-Type: application/json.")
	}
	return door.CheckEncoding(r)
}

// bodyLimit bounds a call in bytes: a broadcast to its most channels, with
// the longest names and a payload that escapes made six times as long.
func (s *Server) bodyLimit() int64 {
	return int64(6*s.Gate.Limits().Payload) + maxBroadcast*(channel.MaxName+3) + 1<<20
}

func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := s.bodyLimit()
	return door.Body(w, r, limit, fault.Newf(fault.TooBig, "A call has at most %d bytes here; make several.", limit))
}

// decode reads one JSON object; no body is an empty one. Fields that this
// version does not know are left alone, as they are by the servers that the
// callers' libraries were written for.
func decode(body []byte, into any) error {
	if !utf8.Valid(body) {
		return bad("the body is not UTF-8")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	err := json.Unmarshal(body, into)
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed) && typed.Field == "":
		return bad("the body must be a JSON object")
	case errors.As(err, &typed):
		// The library names the embedded struct, too; callers know only the field.
		return bad(strings.TrimPrefix(typed.Field, "target.") + " must be " + kindOf(typed.Type))
	case errors.As(err, &syntax):
		return bad(fmt.Sprintf("the body is not JSON (byte %d)", syntax.Offset))
	}
	return bad("the body is not JSON")
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	case reflect.Uint64, reflect.Uint32:
		return "a whole number, not negative"
	}
	return "a whole number"
}
