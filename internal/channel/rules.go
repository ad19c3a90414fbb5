package channel

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Allowed says who may do something in a channel.
type Allowed string

// From the widest to the narrowest. Servers (holders of an API key) may do
// all that is not Nobody's.
const (
	Anyone      Allowed = "anyone"      // guests too
	Users       Allowed = "users"       // whoever shows a valid token that names a user
	Subscribers Allowed = "subscribers" // sessions that are subscribed to the channel now
	Server      Allowed = "server"      // API keys only
	Nobody      Allowed = "nobody"
)

// Log says what a channel's log keeps. Size 0 means no log: messages are
// delivered at most once (D9).
type Log struct {
	Size  int           // messages
	Age   time.Duration // older messages are dropped
	Bytes int           // of payloads, publishers and tags together; the newest message stays whatever it has; 0: no bound
}

// JoinLeave says which subscribers are told who comes and goes.
type JoinLeave string

const (
	JoinLeaveOff   JoinLeave = "false" // nobody
	JoinLeaveOn    JoinLeave = "true"  // who asks for it
	JoinLeaveForce JoinLeave = "force" // all, asked or not
)

// Told says whether anybody is.
func (j JoinLeave) Told() bool { return j == JoinLeaveOn || j == JoinLeaveForce }

// Rule holds for the channels whose name matches.
type Rule struct {
	Match string // glob: * is any run of characters, ? any one character
	Log   Log

	// Presence: the channel knows who is there. JoinLeave: its subscribers are
	// told who comes and goes, at the cost of a message each. Delta: clients may
	// ask for differences instead of whole payloads. Recover: clients are made to
	// recover what they missed, asked or not; it needs a log.
	Presence  bool
	JoinLeave JoinLeave
	Delta     bool
	Recover   bool

	// Who may do what. Members is who may see who is there.
	Subscribe Allowed
	Publish   Allowed
	History   Allowed
	Members   Allowed
}

// defaultBytes is what a thousand messages of 4 KB have. Chat messages and
// notifications are shorter, so for them the number decides; of the largest
// messages, which would be 64 MB, a log holds the newest 64. A Redis of 1 GB has room for
// 250 logs that are full.
const defaultBytes = 4 << 20

// Default is the rule for channels that no other rule matches. allowed says who
// may do everything in them: Anyone in open mode, Users otherwise.
func Default(allowed Allowed) Rule {
	return Rule{
		Match:     "*",
		Log:       Log{Size: 1000, Age: 24 * time.Hour, Bytes: defaultBytes},
		Presence:  true,
		JoinLeave: JoinLeaveOff,
		Delta:     true,
		Recover:   true,
		Subscribe: allowed,
		Publish:   allowed,
		History:   allowed,
		Members:   allowed,
	}
}

// Typing is the rule for what is stale in a moment: who is typing where. It
// stands behind the configured rules and before Default.
func Typing(allowed Allowed) Rule {
	r := Default(allowed)
	r.Match, r.Log, r.Presence, r.Delta, r.Recover = "typing:*", Log{}, false, false, false
	return r
}

// Rules is an ordered list; the first rule that matches a name holds.
// It never changes after NewRules and is safe for concurrent use.
type Rules struct {
	list []Rule
}

// NewRules checks the rules and puts fallback behind them, whose Match must
// be "*". The error names the first broken rule and says all that is wrong with it. A rule
// without a log comes out without Recover: there is nothing to recover from.
func NewRules(list []Rule, fallback Rule) (*Rules, error) {
	for i, r := range list {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rule %d (match %q): %w", i+1, r.Match, err)
		}
	}
	all := append(append([]Rule(nil), list...), fallback)
	for i := range all {
		all[i].Recover = all[i].Recover && all[i].Log.Size > 0
	}
	return &Rules{list: all}, nil
}

// For returns the rule that holds in the named channel. It never returns nil;
// callers must not change what they get.
func (r *Rules) For(name string) *Rule {
	for i := range r.list {
		if Match(r.list[i].Match, name) {
			return &r.list[i]
		}
	}
	return &r.list[len(r.list)-1]
}

// All returns the rules in order, the fallback last. Callers must not change
// the slice.
func (r *Rules) All() []Rule { return r.list }

// ForGuests returns the match of every rule that lets a client without a token
// do something, in order. The fallback is listed as "*".
func (r *Rules) ForGuests() []string {
	var open []string
	for _, rule := range r.list {
		if slices.Contains([]Allowed{rule.Subscribe, rule.Publish, rule.History, rule.Members}, Anyone) {
			open = append(open, rule.Match)
		}
	}
	return open
}

// check joins all that is wrong with the rule.
func (r Rule) check() error {
	errs := []error{CheckGlob(r.Match)}
	if r.Log.Size < 0 || r.Log.Size > MaxLog {
		errs = append(errs, fmt.Errorf("log size %d is outside 0 to %d messages", r.Log.Size, MaxLog))
	}
	if r.Log.Bytes < 0 || r.Log.Bytes > MaxLogBytes {
		errs = append(errs, fmt.Errorf("log bytes %d are outside 0 (no bound) to %d", r.Log.Bytes, MaxLogBytes))
	}
	if r.Log.Size > 0 && r.Log.Age < time.Second {
		errs = append(errs, fmt.Errorf("log age %s is under 1s; leave the log out with size 0", r.Log.Age))
	}
	if r.Subscribe == Subscribers {
		errs = append(errs, errors.New("subscribe: subscribers would let nobody in; write anyone, users, server or nobody"))
	}
	for _, one := range []struct {
		setting string
		allowed Allowed
	}{{"subscribe", r.Subscribe}, {"publish", r.Publish}, {"history", r.History}, {"members", r.Members}} {
		switch one.allowed {
		case Anyone, Users, Subscribers, Server, Nobody:
		default:
			errs = append(errs, fmt.Errorf("%s: %q is none of anyone, users, subscribers, server, nobody", one.setting, one.allowed))
		}
	}
	return errors.Join(errs...)
}

// MaxLog is the longest log a rule may ask for, in messages: a reader that
// missed all of it must still be served from one node's memory.
const MaxLog = 1_000_000

// MaxLogBytes is the largest bound of a log in bytes: 1 TB. Scripts count in
// whole numbers up to 2^53.
const MaxLogBytes = 1 << 40
