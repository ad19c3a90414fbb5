package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"magpie/internal/channel"
	"magpie/internal/spelling"
)

// ruleText is a rule as it was written. What it leaves out it takes from the
// default, and that is known only when all settings are.
type ruleText struct {
	source string
	node   *yaml.Node
}

// rules is the value of the setting that is a list of rules. Environment and
// flag take the same YAML (or JSON) as the file.
var rules = value{kind: "list of rules", list: true, read: readRules, show: showRules}

func readRules(c *Config, r raw) error {
	node := r.node
	if node == nil {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(strings.Join(r.texts, "\n")), &doc); err != nil || len(doc.Content) == 0 {
			return errors.New(`the rules are not YAML; write a list such as [{match: "news:*", publish: server}]`)
		}
		node = doc.Content[0]
	}
	if node.Kind != yaml.SequenceNode {
		return errors.New(`the rules are not a list; start each one with "- match: …"`)
	}
	c.ruleTexts = c.ruleTexts[:0]
	for _, n := range node.Content {
		source := r.source
		if r.node != nil { // each rule has a line of its own in the file
			source = fmt.Sprintf("%s:%d", source[:strings.LastIndexByte(source, ':')], n.Line)
		}
		c.ruleTexts = append(c.ruleTexts, ruleText{source, n})
	}
	return nil
}

func showRules(c *Config) (texts []string) {
	all := c.Rules.All()
	for _, r := range all[:len(all)-1] {
		texts = append(texts, formatRule(r))
	}
	return texts
}

func formatRule(r channel.Rule) string {
	return fmt.Sprintf("{match: %q, log: {size: %d, bytes: %s, age: %s}, recover: %t, delta: %t, presence: %t, join_leave: %s, subscribe: %s, publish: %s, history: %s, members: %s}",
		r.Match, r.Log.Size, formatSize(r.Log.Bytes), FormatDuration(r.Log.Age), r.Recover, r.Delta, r.Presence, r.JoinLeave, r.Subscribe, r.Publish, r.History, r.Members)
}

// buildRules fills in what the rules leave out and reports what is wrong in
// any of them.
func (c *Config) buildRules() (p Problems) {
	everybody := channel.Users
	if c.OpenMode() {
		everybody = channel.Anyone
	}
	fallback := channel.Default(everybody)
	var own []channel.Rule
	for i, t := range c.ruleTexts {
		reader := ruleReader{rule: fallback, source: t.source, number: i + 1, problems: &p, seen: make(map[string]bool)}
		reader.read(t.node)
		reader.check(fallback)
		own = append(own, reader.rule)
	}
	if len(p) > 0 {
		return p
	}
	c.warnings = neverHold(c.ruleTexts, own)
	typing := channel.Typing(everybody)
	if !slices.ContainsFunc(own, func(r channel.Rule) bool { return r.Match == typing.Match }) {
		own = append(own, typing)
	}
	built, err := channel.NewRules(own, fallback)
	if err != nil {
		p.addf("rules", "%s", err)
	}
	c.Rules = built
	return p
}

// neverHold finds the rules behind one that matches all that they match.
func neverHold(texts []ruleText, own []channel.Rule) (w Problems) {
	for i, rule := range own {
		j := slices.IndexFunc(own[:i], func(earlier channel.Rule) bool { return channel.Covers(earlier.Match, rule.Match) })
		if j >= 0 {
			w.addf(texts[i].source, "rule %d (match %q) never holds: rule %d (match %q) comes first and matches all of its channels; put rule %d before it, or remove it",
				i+1, rule.Match, j+1, own[j].Match, i+1)
		}
	}
	return w
}

// ruleReader reads one rule.
type ruleReader struct {
	rule     channel.Rule // the default, with what was written in its place
	source   string
	number   int
	problems *Problems
	seen     map[string]bool // keys that were written
}

func (r *ruleReader) addf(format string, args ...any) {
	r.problems.addf(r.source, "rule %d: %s", r.number, fmt.Sprintf(format, args...))
}

func (r *ruleReader) read(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.addf(`it is not a rule; write {match: "news:*", publish: server}`)
		return
	}
	r.mapping("", n)
	if r.seen["recover"] && r.rule.Recover && r.rule.Log.Size == 0 {
		r.addf("recover: true needs a log; give it a log.size, or leave recover out")
	}
	if !r.seen["match"] {
		r.addf(`it has no match; write which channels it is for, such as match: "news:*"`)
	}
}

func (r *ruleReader) mapping(path string, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := path+n.Content[i].Value, n.Content[i+1]
		on, notOnOff := parseBool(v.Value)
		switch {
		case r.seen[key]:
			r.addf("%s is written twice; keep one", key)
		case key == "log" && v.Kind == yaml.MappingNode:
			r.mapping("log.", v)
		case key == "log" && notOnOff == nil && len(v.Value) > 1: // not log: 1, which could mean anything
			if !on {
				r.rule.Log.Size = 0
			}
		case key == "log":
			r.addf("log is no plain value; write log: {size: 1000, age: 24h}, or log: off for none")
		case v.Kind != yaml.ScalarNode:
			r.addf("%s takes one plain value; write %s: value", key, key)
		default:
			r.field(key, v.Value)
		}
		r.seen[key] = true
	}
}

var ruleKeys = []string{"match", "log", "log.size", "log.bytes", "log.age", "recover", "delta", "presence", "join_leave", "subscribe", "publish", "history", "members"}

// field keeps one value. What cannot be read stays at the default's value, so
// that check does not complain of it a second time.
func (r *ruleReader) field(key, s string) {
	to := map[string]any{
		"match": &r.rule.Match, "log.size": &r.rule.Log.Size, "log.bytes": &r.rule.Log.Bytes, "log.age": &r.rule.Log.Age,
		"recover": &r.rule.Recover, "delta": &r.rule.Delta, "presence": &r.rule.Presence, "join_leave": &r.rule.JoinLeave,
		"subscribe": &r.rule.Subscribe, "publish": &r.rule.Publish, "history": &r.rule.History, "members": &r.rule.Members,
	}[key]
	var err error
	switch to := to.(type) {
	case *string:
		*to = s
	case *int:
		parse := parseMessages
		if key == "log.bytes" {
			parse = parseSize
		}
		err = keep(to, parse, s)
	case *time.Duration:
		err = keep(to, ParseDuration, s)
	case *bool:
		err = keep(to, parseBool, s)
	case *channel.JoinLeave:
		err = keep(to, parseJoinLeave, s)
	case *channel.Allowed: // any word; check says which there are
		*to = channel.Allowed(strings.ToLower(s))
	default:
		r.addf("there is no %q in a rule; %s", key, suggestion("", spelling.Nearest(key, ruleKeys)))
	}
	if err != nil {
		r.addf("%s: %s", key, err)
	}
}

func parseJoinLeave(s string) (channel.JoinLeave, error) {
	if strings.EqualFold(s, string(channel.JoinLeaveForce)) {
		return channel.JoinLeaveForce, nil
	}
	on, err := parseBool(s)
	if err != nil {
		return "", fmt.Errorf("%q is none of true, false and force; write one of them", s)
	}
	if on {
		return channel.JoinLeaveOn, nil
	}
	return channel.JoinLeaveOff, nil
}

func parseMessages(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of messages; write one such as 1000, or 0 for no log", s)
	}
	return n, nil
}

// check asks the rule's own package, one rule at a time, so that all of them
// are reported.
func (r *ruleReader) check(fallback channel.Rule) {
	_, err := channel.NewRules([]channel.Rule{r.rule}, fallback)
	if err == nil {
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without its count of rules, which is not ours
	}
	for _, e := range each(err) {
		r.addf("%s", e)
	}
}
