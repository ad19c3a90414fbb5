package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the settings.
type Problem struct {
	Source string // where it was written: file:line, environment variable or flag; may be empty
	Text   string // one sentence that says what to do
}

func (p Problem) String() string {
	if p.Source == "" {
		return p.Text
	}
	return p.Source + ": " + p.Text
}

// Problems is every Problem of one Load, in the order file, environment,
// flags, then what is wrong between settings. It is the error of Load.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) addf(source, format string, args ...any) {
	*p = append(*p, Problem{Source: source, Text: fmt.Sprintf(format, args...)})
}
