package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// raw is a setting as one source wrote it.
type raw struct {
	source string     // for messages: file:line, variable or flag
	texts  []string   // one, or several where a list was written
	node   *yaml.Node // the file's own form; nil from environment and flags
}

// value reads, keeps and shows one setting of a Config.
type value interface {
	// read checks what was written and keeps it. Its errors are joined where
	// several entries of a list are wrong.
	read(*Config, raw) error
	// show writes the value in the form that read takes, one text per entry.
	show(*Config) []string
	kind() string // for the reference page and --help
	list() bool
}

// one is a setting with a single value of type T.
type one[T any] struct {
	at    func(*Config) *T
	parse func(string) (T, error)
	write func(T) string
	name  string
}

func (o one[T]) read(c *Config, r raw) error {
	if len(r.texts) != 1 {
		return errors.New("takes one value, not a list; keep one of them")
	}
	v, err := o.parse(r.texts[0])
	if err != nil {
		return err
	}
	*o.at(c) = v
	return nil
}

func (o one[T]) show(c *Config) []string { return []string{o.write(*o.at(c))} }
func (o one[T]) kind() string            { return o.name }
func (o one[T]) list() bool              { return false }

func text(at func(*Config) *string, check func(string) (string, error)) value {
	return one[string]{at, check, func(s string) string { return s }, "text"}
}

func choice(at func(*Config) *string, allowed ...string) value {
	parse := func(s string) (string, error) {
		for _, a := range allowed {
			if strings.EqualFold(s, a) {
				return a, nil
			}
		}
		return "", fmt.Errorf("%q is none of %s; write one of them", s, strings.Join(allowed, ", "))
	}
	return one[string]{at, parse, func(s string) string { return s }, strings.Join(allowed, ", ")}
}

func truth(at func(*Config) *bool) value {
	return one[bool]{at, parseBool, strconv.FormatBool, "true or false"}
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false; write one of the two", s)
}

func count(at func(*Config) *int, least, most int) value {
	parse := func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number; write one from %d to %d", s, least, most)
		}
		return n, between(n, least, most, strconv.Itoa)
	}
	return one[int]{at, parse, strconv.Itoa, "number"}
}

func size(at func(*Config) *int, least, most int) value {
	parse := func(s string) (int, error) {
		n, err := parseSize(s)
		if err != nil {
			return 0, err
		}
		return n, between(n, least, most, formatSize)
	}
	return one[int]{at, parse, formatSize, "size"}
}

func duration(at func(*Config) *time.Duration, least, most time.Duration) value {
	parse := func(s string) (time.Duration, error) {
		d, err := parseDuration(s)
		if err != nil {
			return 0, err
		}
		return d, between(d, least, most, formatDuration)
	}
	return one[time.Duration]{at, parse, formatDuration, "duration"}
}

func between[N int | time.Duration](n, least, most N, write func(N) string) error {
	if n < least || n > most {
		return fmt.Errorf("%s is outside %s to %s; write a value in between", write(n), write(least), write(most))
	}
	return nil
}

// many is a setting with any number of texts. Environment and flags separate
// them by commas; the file has a list.
type many struct {
	at    func(*Config) *[]string
	check func(string) (string, error)
}

func (m many) read(c *Config, r raw) error {
	var kept []string
	var errs []error
	for _, t := range m.entries(r) {
		v, err := m.check(t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kept = append(kept, v)
	}
	*m.at(c) = kept
	return errors.Join(errs...)
}

func (m many) entries(r raw) []string {
	if r.node != nil && r.node.Kind == yaml.SequenceNode {
		return r.texts // a list in the file needs no separator, so entries may hold commas
	}
	var entries []string
	for _, t := range r.texts {
		for e := range strings.SplitSeq(t, ",") {
			if e = strings.TrimSpace(e); e != "" {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

func (m many) show(c *Config) []string { return *m.at(c) }
func (m many) kind() string            { return "list" }
func (m many) list() bool              { return true }
