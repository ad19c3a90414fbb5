package config

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hidden stands where a secret was.
const hidden = "xxxxx"

// Show writes the settings that hold as YAML, each with where it came from.
// Secrets are left out, so the output can be pasted into a report.
func (c *Config) Show(w io.Writer) error {
	var b strings.Builder
	group := ""
	for _, s := range settings {
		key, indent := s.key, ""
		if g, rest, ok := strings.Cut(s.key, "."); ok {
			if g != group {
				fmt.Fprintf(&b, "%s:\n", g)
			}
			group, key, indent = g, rest, "  "
		}
		c.showSetting(&b, indent+key, s)
	}
	all := c.Rules.All()
	fmt.Fprintf(&b, "# every other channel: %s\n", formatRule(all[len(all)-1]))
	fmt.Fprintf(&b, "# open mode (anyone may join and publish): %t\n", c.OpenMode())
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Config) showSetting(b *strings.Builder, key string, s *setting) {
	from := cmp.Or(c.from[s.key], "default")
	texts := s.value.show(c)
	if s.key == "node" && c.from[s.key] == "" {
		texts = []string{""} // each start makes another name
	}
	if s.value.secret {
		texts = slices.Repeat([]string{hidden}, len(texts))
	}
	if s.key == "rules" && len(texts) > 0 {
		fmt.Fprintf(b, "%s: # %s\n", key, from)
		for _, t := range texts {
			fmt.Fprintf(b, "  - %s\n", t)
		}
		return
	}
	fmt.Fprintf(b, "%s: %s # %s\n", key, yamlValue(s.value.list, texts), from)
}

// plainWord is what YAML reads as a text without quotes.
var plainWord = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$`)

func yamlValue(list bool, texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = t
		if !plainWord.MatchString(t) {
			quoted[i] = strconv.Quote(t)
		}
	}
	if list {
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return quoted[0]
}
