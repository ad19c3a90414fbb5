package api

import (
	"cmp"
	"net/http"
	"sync/atomic"

	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

// Health answers whether the process lives and whether it can deliver.
type Health struct {
	// Engine says whether messages are delivered; nil: always ready.
	Engine   interface{ Ready() error }
	draining atomic.Bool
}

// Routes are the paths of the health checks.
func (h *Health) Routes() []door.Route {
	return []door.Route{door.Local("GET", "/livez", h.live), door.Local("GET", "/readyz", h.ready)}
}

// Public are the health checks for strangers: whether the node is ready, and not
// why it is not.
func (h *Health) Public() *PublicHealth { return &PublicHealth{h} }

// PublicHealth is a Health without its reasons.
type PublicHealth struct{ h *Health }

// Routes are the paths of the health checks.
func (p *PublicHealth) Routes() []door.Route {
	return []door.Route{door.Local("GET", "/livez", p.h.live), door.Local("GET", "/readyz", p.ready)}
}

func (p *PublicHealth) ready(w http.ResponseWriter, r *http.Request) error {
	if p.h.State() != nil {
		return notReady("This node is not ready. Why is to be read at its internal_addr and in its log.")
	}
	return p.h.ready(w, r)
}

// Drain makes the node not ready for good.
func (h *Health) Drain() { h.draining.Store(true) }

// Draining tells whether Drain was called.
func (h *Health) Draining() bool { return h.draining.Load() }

// live answers GET /livez: the process runs and serves HTTP.
func (h *Health) live(w http.ResponseWriter, _ *http.Request) error {
	return door.AnswerJSON(w, []byte("{\"live\":true}\n"))
}

// ready answers GET /readyz: 200 while a message that is published now would
// be delivered, else 503 with the reason.
func (h *Health) ready(w http.ResponseWriter, _ *http.Request) error {
	if err := h.State(); err != nil {
		return err
	}
	return door.AnswerJSON(w, []byte("{\"ready\":true}\n"))
}

// State returns nil while the node is ready, else the reason. It does not
// wait.
func (h *Health) State() error {
	if h.draining.Load() {
		return notReady("This node is shutting down.")
	}
	if h.Engine == nil {
		return nil
	}
	if f := fault.Of(h.Engine.Ready()); f != nil {
		if f.Kind == fault.Unavailable {
			return notReady(cmp.Or(f.Message, "Redis does not answer.")) // the log has addresses
		}
		return notReady(f.Sentence())
	}
	return nil
}

func notReady(why string) error {
	return &problem.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: why, Header: "Retry-After", Value: "1"}
}
