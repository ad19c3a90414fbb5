// Package ws is the server side of WebSocket (RFC 6455): the handshake, frames
// in, frames out, the close handshake. It carries bytes for the doors and knows none
// of their protocols.
//
// It knows one extension, permessage-deflate, where Config.Deflate says so, and
// without a window that is kept from one message to the next: a shared frame is
// made once for all receivers, and a compressor per session would cost more memory
// than all the rest of it. It refuses to queue: what the socket does not take is
// the session's to keep.
//
// What an idle connection costs is a Conn, its socket and nothing else. On
// Linux a plain TCP connection has no goroutine and no buffer; a few pollers
// watch all of them. Elsewhere, and over TLS, one shallow goroutine waits per
// connection, without a buffer.
//
// Goroutines: one per poller, started by New; workers that run Handlers, one
// reader per connection without a poller, and short-lived ones that finish a
// control frame which a full socket did not take, all started on demand.
// Server.Close ends all of them and waits.
package ws
