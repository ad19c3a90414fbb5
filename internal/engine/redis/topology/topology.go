// Package topology knows where names live in Redis and how to reach them. A
// name is a channel, a key or a Pub/Sub name. It lives on one master, and so a
// channel lies whole on one: its keys, its live messages and the subscriptions
// to both of its names. What one Redis promises on one connection holds for a
// channel in a cluster, too.
//
// It refuses to retry what may have been done: a call fails at once while its
// master is known to be silent, and after callTimeout else.
//
// Its one goroutine is the caller's of Topology.Run.
package topology

import (
	"context"

	"github.com/redis/rueidis"
)

// Topology is where names live: standalone or cluster.
type Topology interface {
	// Home is the master where a name lives. It is nil while no master has it.
	Home(name string) *Master
	// Masters are all that there are now.
	Masters() []*Master
	// Whole answers nil while every name has a home.
	Whole() error
	// Look asks for a look soon at where names live. It does not wait.
	Look()
	// Run looks from time to time until ctx ends, and tells what it sees.
	Run(ctx context.Context, told func(Change))

	// accepts refuses a server, by its INFO, that is none of this topology.
	accepts(info string) error
	// unnamed leaves connections without a name.
	unnamed()
	// open learns who the masters are.
	open(ctx context.Context, client rueidis.Client) error
	// close lets go of all masters, after all who use them have ended.
	close()
}

// Change says where names live from now on. It is told although nothing may
// have changed.
type Change struct {
	Masters []*Master // that have names
	// Gone are masters that have no names any more. Who is told closes them
	// when it has done with them.
	Gone []*Master
	// Moving tells whether a name's keys are being moved to another master. nil: none is.
	Moving func(name string) bool
}
