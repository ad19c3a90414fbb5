package topology

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/throttle"
	"magpie/internal/fault"
)

// reason is why Redis refuses something.
type reason struct {
	word  string // Redis's own, which is looked for
	label string // of metrics
	said  string // to the client, behind "Redis": no address, no name of ours
	text  string // to the operator
	all   bool   // it is about everything that Redis is asked, until it ends
}

// Labels that are asked for.
const (
	Busy    = "busy"     // a script runs for long
	Replica = "readonly" // a replica
)

// reasons are those that have words here. Older versions have theirs inside a
// script's error, so it is looked for anywhere.
var reasons = []reason{
	{"LOADING", "loading", "is still loading its data (LOADING)", "it is still loading its data", true},
	{"READONLY", Replica, "is a read-only replica and refuses writes (READONLY)", "it is a read-only replica; point Magpie to the master", true},
	{"OOM", "oom", "is out of memory and refuses writes (OOM)", "it is out of memory; raise its maxmemory or shorten the logs", true},
	{"MISCONF", "misconf", "cannot save to disk and refuses writes (MISCONF)", "it cannot save to disk and refuses writes; look at its log", true},
	{"NOREPLICAS", "noreplicas", "has too few replicas and refuses writes (NOREPLICAS)", "too few replicas are connected (min-replicas-to-write)", true},
	{"BUSY ", Busy, "is kept busy by a script (BUSY)", "a script keeps it busy; end that with SCRIPT KILL", true},
	{"MASTERDOWN", "masterdown", "has lost its master (MASTERDOWN)", "its link to the master is down", true},
	{"CLUSTERDOWN", "clusterdown", "is a cluster that is down (CLUSTERDOWN)", "its cluster is down", true},
	{"NOAUTH", "noauth", "wants a password that this server does not have (NOAUTH)", "it wants a password; put it into the URL as redis://:PASSWORD@HOST", true},
	{"WRONGPASS", "wrongpass", "does not accept this server's user and password (WRONGPASS)", "it does not accept this user and password", true},
	{"max number of clients", "maxclients", "has no free connection (maxclients)", "it has no free connection (maxclients)", true},
	{"NOPERM", "noperm", "does not allow this server what it needs for this (NOPERM)", "its ACL does not allow this user what Magpie needs; see docs/redis.md", false},
	{"WRONGTYPE", "wrongtype", "has something else where this channel's log should be (WRONGTYPE)", "a key of a channel holds something that is not Magpie's; delete it", false},
	{"DB index is out of range", "database", "does not have this server's database", "it has no database of the number in the URL; give one that it has (its setting databases), or leave the number out", true},
}

// other is every reason without a word here.
var other = reason{label: "other", said: "refuses this; the server's log says why", text: "it refuses that"}

// find returns the reason of an error; known says that it is one of reasons.
func find(err error) (why reason, known bool) {
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.word) {
			return r, true
		}
	}
	return other, false
}

// Explain returns a plain sentence for a Redis error, or "".
func Explain(err error) string {
	if err == nil {
		return ""
	}
	if why, known := find(err); known {
		return why.text
	}
	return ""
}

// Reason is the word of metrics for an error that Redis answered with.
func Reason(err error) string {
	why, _ := find(err)
	return why.label
}

// RefusesName tells whether Redis refuses a name that a command has, and not the
// command.
func RefusesName(err error) bool {
	return Answered(err) && strings.Contains(err.Error(), "NOPERM") && strings.Contains(err.Error(), "channel")
}

// Refusals counts what Redis refuses, and tells of it.
type Refusals struct {
	// Counted, when set, is told the reason of each. It does not block. It is set
	// before Connect.
	Counted func(reason string)

	log   *slog.Logger // set by New
	lines throttle.Kinds
}

// Count counts a refusal that has a line in the log elsewhere.
func (r *Refusals) Count(err error) {
	if r.Counted != nil {
		r.Counted(Reason(err))
	}
}

// Refused is the fault that an error of the Redis at addr is: its sentence has
// the reason, its cause the address, too.
func Refused(addr string, err error) *fault.Fault {
	why, _ := find(err)
	cause := fmt.Errorf("Redis at %s: %s (%w)", addr, why.text, err)
	return &fault.Fault{Kind: fault.Unavailable, Wait: time.Second, Message: "Redis " + why.said + "; try again.", Cause: cause}
}

// unanswered is the fault of a call that Redis had not answered when this node
// left it because of err. Redis may have done what it was asked.
func unanswered(addr string, err error) *fault.Fault {
	f := Refused(addr, err)
	f.Message += " " + fault.OutOrNot
	return f
}

// Tell counts a refusal and tells of it: when it begins, and at growing
// intervals.
func (r *Refusals) Tell(addr string, err error) {
	r.Count(err)
	why, _ := find(err)
	if line := r.lines.Of(why.label); line.Allow() {
		r.log.Warn("Redis refuses what it is asked", "redis", addr, "reason", why.label, "times", line.Times(), "meaning", why.text, "error", err)
	}
}

// Ended notes that Redis takes what it is asked: what it refused all with is
// over, and what it refused with this label.
func (r *Refusals) Ended(addr, label string) {
	for _, why := range reasons {
		if !why.all && why.label != label {
			continue
		}
		if text := r.lines.Of(why.label).End(); text != "" {
			r.log.Info("Redis refuses what it is asked: "+text, "redis", addr, "reason", why.label)
		}
	}
}

// ordinary tells whether an error is no refusal but a step on the way, or one of
// something that a Redis need not have.
func ordinary(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	return !ok || reply.IsNoScript() || Moving(err) || strings.Contains(err.Error(), "unknown command") || strings.Contains(err.Error(), "'function")
}

// refusal is the fault that an error of Redis's own is.
func (r *Redis) refusal(err error) error {
	if !ordinary(err) {
		r.Refusals.Tell(r.Addr, err)
	}
	return Refused(r.Addr, err)
}
