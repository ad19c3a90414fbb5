package app

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"magpie/internal/problem"
)

// overflowTime is how long a connection may take that there is no descriptor
// for: longer than an honest client needs to send a request, and short, as a
// few of them fill the reserve.
const overflowTime = time.Second

// full is the answer to whoever comes when all descriptors are used up.
var full = &problem.Problem{
	Status: http.StatusServiceUnavailable, Code: "unavailable",
	Message: "This server has no room for more connections now; come back later.",
	Header:  "Retry-After", Value: "5",
}

// newOverflow is the server of connections that there is no descriptor for. It
// answers those who watch the node, and refuses all others.
func (a *App) newOverflow() *http.Server {
	refuse := problem.Handle(a.log, func(http.ResponseWriter, *http.Request) error { return full })
	s := &http.Server{
		Handler:           a.ownNamesOnly(router(a.log, refuse, a.publicRoutes()...)),
		ReadHeaderTimeout: overflowTime,
		ReadTimeout:       overflowTime,
		WriteTimeout:      2 * overflowTime,
		MaxHeaderBytes:    maxHeader,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2: one request, one answer
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				a.listener.Refill()
			}
		},
	}
	if a.cert != nil {
		s.TLSConfig = a.cert.config() // its own: the library changes it for HTTP/2
	}
	s.SetKeepAlivesEnabled(false)
	return s
}

// serve runs a server until its listener or the server is closed.
func (a *App) serve(s *http.Server, l net.Listener) {
	var err error
	if a.cfg.TLS() {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		select {
		case a.failed <- err:
		default: // the other server has told why already
		}
	}
}
