package app

import (
	"log/slog"
	"net/http"
	"time"

	"magpie/internal/door"
	"magpie/internal/problem"
	"magpie/internal/transport/arrival"
)

// routed is whatever answers paths: every door, the API, health.
type routed interface{ Routes() []door.Route }

// router answers the paths of the doors, and hands the others to rest.
func router(log *slog.Logger, rest http.Handler, doors ...routed) *door.Router {
	router := door.NewRouter(log, rest)
	for _, d := range doors {
		router.Add(d.Routes()...)
	}
	return router
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
// While the node is draining a connection is used once more only: whoever keeps
// it, such as a proxy, makes the next one elsewhere.
func bound(next http.Handler, draining func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only a ResponseWriter without deadlines (tests) can refuse.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(requestTimeout))
		_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
		if draining() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// oneLength refuses requests that have Transfer-Encoding and Content-Length. Where
// there may have been both, the connection ends with the answer (RFC 9112 section
// 6.3), so that nothing of the body is ever taken for a request.
func oneLength(log *slog.Logger, next http.Handler) http.Handler {
	refused := problem.Handle(log, func(http.ResponseWriter, *http.Request) error {
		return problem.New(http.StatusBadRequest, "two_lengths", "Send either Content-Length or Transfer-Encoding, not both.")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := next
		if len(r.TransferEncoding) > 0 {
			lengths := arrival.LengthsOf(r.Context())
			if lengths != arrival.OneLength {
				w.Header().Set("Connection", "close")
			}
			if lengths == arrival.TwoLengths {
				handler = refused
			}
		}
		handler.ServeHTTP(w, r)
	})
}
