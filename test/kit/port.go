package kit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Ports for servers are below those that systems take for outgoing connections
// (from 32768 on): a connection of another test cannot take the port of a
// server that is not started yet, or is killed and comes back. The same holds
// for the port that a node of a Redis Cluster takes 10,000 above its own.
const firstPort, portCount = 12_000, 10_000

var nextPort atomic.Int64

func init() { nextPort.Store(rand.Int64N(portCount)) }

// FreeAddr returns an address of this machine where nobody listens. It gives
// no address twice.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%portCount)
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
