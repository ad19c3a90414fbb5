package api

import (
	"net/http"
	"sync/atomic"

	"magpie/internal/problem"
)

// Health answers whether the process lives and whether it can deliver.
type Health struct {
	// Engine says whether messages are delivered; nil: always ready.
	Engine   interface{ Ready() error }
	draining atomic.Bool
}

// Drain makes the node not ready for good.
func (h *Health) Drain() { h.draining.Store(true) }

// Live answers GET /livez: the process runs and serves HTTP.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) error {
	return answerJSON(w, []byte(`{"live":true}`))
}

// Ready answers GET /readyz: 200 while a message that is published now would
// be delivered, else 503 with the reason.
func (h *Health) Ready(w http.ResponseWriter, _ *http.Request) error {
	if err := h.State(); err != nil {
		return err
	}
	return answerJSON(w, []byte(`{"ready":true}`))
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
	if err := h.Engine.Ready(); err != nil {
		return notReady(err.Error())
	}
	return nil
}

func notReady(why string) error {
	return &problem.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: why, Header: "Retry-After", Value: "1"}
}
