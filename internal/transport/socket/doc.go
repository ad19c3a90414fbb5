// Package socket is what the transports share below their protocols: writes
// that do not block, writes that wait without holding a buffer, and pollers
// that watch many idle sockets with one goroutine and one buffer.
//
// It knows no protocol and keeps no bytes. It does not decide when a socket
// ends: it reports what was read, and the end, and leaves closing to the owner.
//
// Goroutines: on Linux one per Shard, started by NewShard and ended by
// Shard.Close. Elsewhere none.
package socket
