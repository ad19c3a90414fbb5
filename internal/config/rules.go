package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
type rules struct{}

func (rules) kind() string { return "list of rules" }
func (rules) list() bool   { return true }

func (rules) read(c *Config, r raw) error {
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

func (rules) show(c *Config) []string {
	all := c.Rules.All()
	texts := make([]string, len(all)-1)
	for i, r := range all[:len(all)-1] {
		texts[i] = formatRule(r)
	}
	return texts
}

func formatRule(r channel.Rule) string {
	return fmt.Sprintf("{match: %q, log: {size: %d, age: %s}, recover: %t, delta: %t, presence: %t, join_leave: %t, subscribe: %s, publish: %s, history: %s, members: %s}",
		r.Match, r.Log.Size, formatDuration(r.Log.Age), r.Recover, r.Delta, r.Presence, r.JoinLeave, r.Subscribe, r.Publish, r.History, r.Members)
}

// buildRules fills in what the rules leave out and reports what is wrong in
// any of them.
func (c *Config) buildRules() (p Problems) {
	everybody := channel.Users
	if c.OpenMode() {
		everybody = channel.Anyone
	}
	fallback := channel.Default(everybody)
	list := make([]channel.Rule, 0, len(c.ruleTexts))
	for i, t := range c.ruleTexts {
		rule := fallback
		reader := ruleReader{source: t.source, number: i + 1, problems: &p}
		reader.read(&rule, t.node)
		reader.check(rule, fallback)
		list = append(list, rule)
	}
	if len(p) > 0 {
		return p
	}
	c.warnings = neverHold(c.ruleTexts, list)
	typing := channel.Typing(everybody)
	if !slices.ContainsFunc(list, func(r channel.Rule) bool { return r.Match == typing.Match }) {
		list = append(list, typing)
	}
	built, err := channel.NewRules(list, fallback)
	if err != nil {
		p.addf("rules", "%s", err)
	}
	c.Rules = built
	return p
}

// neverHold finds the rules behind one that matches all that they match.
func neverHold(texts []ruleText, list []channel.Rule) (w Problems) {
	for i, rule := range list {
		for j, earlier := range list[:i] {
			if channel.Covers(earlier.Match, rule.Match) {
				w.addf(texts[i].source, "rule %d (match %q) never holds: rule %d (match %q) comes first and matches all of its channels; put rule %d before it, or remove it",
					i+1, rule.Match, j+1, earlier.Match, i+1)
				break
			}
		}
	}
	return w
}

type ruleReader struct {
	source   string
	number   int
	problems *Problems
}

func (r *ruleReader) addf(format string, args ...any) {
	r.problems.addf(r.source, "rule %d: %s", r.number, fmt.Sprintf(format, args...))
}

var ruleKeys = []string{"match", "log", "log.size", "log.age", "recover", "delta", "presence", "join_leave", "subscribe", "publish", "history", "members"}

func (r *ruleReader) read(rule *channel.Rule, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.addf(`it is not a rule; write {match: "news:*", publish: server}`)
		return
	}
	seen := make(map[string]bool)
	r.mapping(rule, "", n, seen)
	if seen["recover"] && rule.Recover && rule.Log.Size == 0 {
		r.addf("recover: true needs a log; give it a log.size, or leave recover out")
	}
	if !seen["match"] {
		r.addf(`it has no match; write which channels it is for, such as match: "news:*"`)
	}
}

func (r *ruleReader) mapping(rule *channel.Rule, path string, n *yaml.Node, seen map[string]bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := path+n.Content[i].Value, n.Content[i+1]
		switch {
		case seen[key]:
			r.addf("%s is written twice; keep one", key)
		case key == "log" && v.Kind == yaml.MappingNode:
			r.mapping(rule, "log.", v, seen)
		case key == "log" && isWord(v.Value):
			r.onOff(rule, v.Value)
		case key == "log":
			r.addf("log is no plain value; write log: {size: 1000, age: 24h}, or log: off for none")
		case v.Kind != yaml.ScalarNode:
			r.addf("%s takes one plain value; write %s: value", key, key)
		default:
			r.field(rule, key, v.Value)
		}
		seen[key] = true
	}
}

// isWord leaves numbers out: log: 1 could mean anything.
func isWord(s string) bool {
	_, err := parseBool(s)
	return err == nil && len(s) > 1
}

// onOff reads log: off, and log: on for the default's log.
func (r *ruleReader) onOff(rule *channel.Rule, s string) {
	if on, _ := parseBool(s); !on {
		rule.Log.Size = 0
	}
}

func (r *ruleReader) field(rule *channel.Rule, key, s string) {
	var err error
	switch key {
	case "match":
		rule.Match = s
	case "log.size":
		err = keep(&rule.Log.Size, messages, s)
	case "log.age":
		err = keep(&rule.Log.Age, parseDuration, s)
	case "recover":
		err = keep(&rule.Recover, parseBool, s)
	case "delta":
		err = keep(&rule.Delta, parseBool, s)
	case "presence":
		err = keep(&rule.Presence, parseBool, s)
	case "join_leave":
		err = keep(&rule.JoinLeave, parseBool, s)
	case "subscribe":
		rule.Subscribe = who(s)
	case "publish":
		rule.Publish = who(s)
	case "history":
		rule.History = who(s)
	case "members":
		rule.Members = who(s)
	default:
		r.addf("there is no %q in a rule; %s", key, suggestion("", spelling.Nearest(key, ruleKeys)))
		return
	}
	if err != nil {
		r.addf("%s: %s", key, err)
	}
}

// keep leaves what cannot be read at the default's value, so that the rule's
// own check does not complain of it a second time.
func keep[T any](to *T, parse func(string) (T, error), s string) error {
	v, err := parse(s)
	if err == nil {
		*to = v
	}
	return err
}

func messages(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of messages; write one such as 1000, or 0 for no log", s)
	}
	return n, nil
}

// who takes any word; the rule's own check says which there are.
func who(s string) channel.Who { return channel.Who(strings.ToLower(s)) }

// check asks the rule's own package, one rule at a time so that each is heard.
func (r *ruleReader) check(rule, fallback channel.Rule) {
	_, err := channel.NewRules([]channel.Rule{rule}, fallback)
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
