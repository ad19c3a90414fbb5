package topology

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

// What Magpie cannot do without. INFO, SCRIPT, FUNCTION, XINFO, CONFIG, CLIENT and
// HELLO are not among it: a managed Redis often has none of them.
var (
	needed = []string{
		"EVALSHA", "PUBSUB", "TIME", "GET", "SET", "DEL", "EXISTS", "PEXPIRE", "PTTL", "HGET", "HSET", "HMGET", "HGETALL", "HDEL",
		"XADD", "XRANGE", "XREVRANGE", "XTRIM", "ZADD", "ZCARD", "ZRANGEBYSCORE", "ZREM", "ZREVRANGE", "ZSCORE",
	}
	neededAlone     = []string{"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE"}
	neededInCluster = []string{"SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "SUBSCRIBE"}
	neededByStreams = []string{"XREADGROUP", "XAUTOCLAIM", "XGROUP", "XACK", "XPENDING"}
)

// whichUnknown calls each command without arguments: one that is there answers
// that they are missing, and none of these does anything without.
const whichUnknown = `local list = {}
for _, name in ipairs(ARGV) do
  local reply = redis.pcall(name)
  if type(reply) == 'table' and reply.err and string.find(string.lower(reply.err), 'unknown', 1, true) then list[#list + 1] = name end
end
return list`

// CheckCommands answers an error when a server lacks commands that Magpie needs,
// among them those for streams. What keeps it from asking is not its matter.
func CheckCommands(ctx context.Context, c rueidis.Client, addr string, sharded, streams bool) error {
	commands := append([]string{}, needed...)
	if sharded {
		commands = append(commands, neededInCluster...)
	} else {
		commands = append(commands, neededAlone...)
	}
	if streams {
		commands = append(commands, neededByStreams...)
	}
	missing, err := c.Do(ctx, c.B().Eval().Script(whichUnknown).Numkeys(0).Arg(commands...).Build()).AsStrSlice()
	if NoCommand(err) {
		missing = []string{"EVAL"}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("Redis at %s does not know %s, without which Magpie cannot work: its service or a rename-command took that away; use a Redis that has it", addr, strings.Join(missing, ", "))
}

// NoCommand tells whether Redis does not know a command.
func NoCommand(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}
