// Package socket is what the transports share below their protocols: the set of
// a server's connections (who reads them, how many there are, how all end),
// pollers that watch many idle sockets with one goroutine and one buffer,
// writes that do not block, and writes that wait without holding a buffer.
//
// It knows no protocol and keeps no bytes. It does not decide when a connection
// ends: it reports what was read, and the end, and leaves Drop to the owner.
//
// Goroutines: on Linux one per core, started by New; elsewhere, and for
// connections that cannot be polled, one that reads per connection; those of
// Conns.Go. Conns.Close waits for all of them.
package socket
