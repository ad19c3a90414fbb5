package app

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"magpie/internal/api"
	"magpie/internal/problem"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/protocol/raw"
	"magpie/internal/protocol/sse"
)

// doors is everything that answers requests.
type doors struct {
	log     *slog.Logger
	api     *api.API
	server  *api.Server
	health  *api.Health
	raw     *raw.Door
	sse     *sse.Door
	cf      *centrifuge.Door
	pages   http.Handler
	metrics http.Handler
}

// routes answers all paths.
func (d doors) routes() http.Handler {
	mux := http.NewServeMux()
	table := d.table()
	for path, methods := range table {
		mux.Handle(path, problem.Handle(d.log, methods.serve))
	}
	// The mux would send these to /publish/, and many clients drop the body on
	// the way; here they are told to name a channel.
	mux.Handle("/publish", problem.Handle(d.log, table["/publish/{channel...}"].serve))
	mux.Handle("/", d.pages)
	return bound(mux)
}

// table is the whole table of paths, but for the pages.
func (d doors) table() map[string]methods {
	table := map[string]methods{
		"/websocket":              {"*": d.raw.Serve}, // refuses other methods itself, as a handshake
		"/sse":                    {"GET": d.sse.Serve},
		"/publish/{channel...}":   {"POST": d.api.Publish, "OPTIONS": d.api.Preflight},
		"/history/{channel...}":   {"GET": d.api.History, "OPTIONS": d.api.Preflight},
		"/connection/websocket":   {"*": d.cf.WebSocket},
		"/connection/http_stream": {"POST": d.cf.HTTPStream, "OPTIONS": d.api.Preflight},
		"/connection/sse":         {"GET": d.cf.Events},
		"/emulation":              {"POST": d.cf.Emulation, "OPTIONS": d.api.Preflight},
		"/guest":                  {"POST": d.api.Guest, "OPTIONS": d.api.Preflight},
		"/livez":                  {"GET": d.health.Live},
		"/readyz":                 {"GET": d.health.Ready},
		"/metrics":                {"GET": page(d.metrics)},
		"/openapi.json":           {"GET": api.OpenAPI},
		"/api":                    {"POST": d.server.Lines},
		"/api/{method...}":        {"POST": d.server.Unknown},
	}
	for _, name := range api.Methods() {
		table["/api/"+name] = methods{"POST": d.server.Method(name)}
	}
	return table
}

// requestTimeout is how long a request may take to come in, its body included,
// also where nobody reads that: the library would wait for it without end.
// answerTimeout is how long a client may take to read an answer. Bodies that
// are read and streams have bounds of their own, WebSockets theirs after the
// upgrade.
const (
	requestTimeout = 15 * time.Second
	answerTimeout  = 60 * time.Second
)

// bound keeps a client that sends nothing more, or asks for much and reads
// nothing, from holding a connection and an answer in memory for ever. The
// bounds are set anew for each request, as a connection is used for several.
func bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only a ResponseWriter without deadlines (tests) can refuse.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(requestTimeout))
		_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
		next.ServeHTTP(w, r)
	})
}

// methods are the handlers of one path. What is not there is refused: the
// library would hand TRACE to anyone.
type methods map[string]problem.Handler

func (m methods) serve(w http.ResponseWriter, r *http.Request) error {
	if h := m["*"]; h != nil {
		return h(w, r)
	}
	h := m[r.Method]
	if h == nil && r.Method == http.MethodHead {
		h = m[http.MethodGet]
	}
	if h == nil {
		message := "This path answers " + m.names() + "."
		if strings.HasPrefix(r.URL.Path, "/publish") {
			message = "Publish with POST, as in: curl -d '{\"content\":\"hi\"}' URL/publish/chat"
		}
		return &problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: message, Header: "Allow", Value: m.names()}
	}
	return h(w, r)
}

func (m methods) names() string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func page(h http.Handler) problem.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}
