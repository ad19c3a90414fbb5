package diagnose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/names"
)

// Neighbours are the other Magpies that a Redis serves now, whatever their
// database: each node listens to its bus, and Pub/Sub has no databases. They share
// the plain names. Where PUBSUB is refused nobody is seen. It costs Redis a walk over
// the names of its subscriptions: it is for the start and for doctor.
func Neighbours(ctx context.Context, c rueidis.Client, own names.Names) (list []string) {
	what, pattern := "CHANNELS", "*:{}:bus*"
	if own.Sharded {
		what, pattern = "SHARDCHANNELS", "*:{bus}:bus*"
	}
	found, err := c.Do(ctx, c.B().Arbitrary("PUBSUB", what, pattern).Build()).AsStrSlice()
	if err != nil {
		return nil
	}
	for _, name := range found {
		m := busName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		db, _ := strconv.Atoi(m[2]) // absent: 0
		if m[1] == own.Prefix && db == own.DB {
			continue
		}
		if text := fmt.Sprintf("prefix %s in database %d", m[1], db); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return list
}

// busName is a name that names.Bus makes.
var busName = regexp.MustCompile(`^([A-Za-z0-9._:-]+):\{(?:bus)?\}:bus(?::[^@]*)?(?:@(\d+))?$`)
