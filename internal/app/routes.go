package app

import (
	"log/slog"
	"net/http"
	"time"

	"magpie/internal/door"
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
