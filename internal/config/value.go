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
type value struct {
	kind   string // for the reference page and --help
	list   bool
	secret bool // never shown
	// read checks what was written and keeps it. Its errors are joined where
	// several entries of a list are wrong.
	read func(*Config, raw) error
	// show writes the value in the form that read takes, one text per entry.
	show func(*Config) []string
}

const trueOrFalse = "true or false" // the kind of a setting that is a flag without a value

// one is a setting with a single value of type T.
func one[T any](kind string, at func(*Config) *T, parse func(string) (T, error), format func(T) string) value {
	return value{
		kind: kind,
		read: func(c *Config, r raw) error {
			if len(r.texts) != 1 {
				return errors.New("takes one value, not a list; keep one of them")
			}
			return keep(at(c), parse, r.texts[0])
		},
		show: func(c *Config) []string { return []string{format(*at(c))} },
	}
}

// keep stores what s says, and leaves what was there when s cannot be read.
func keep[T any](to *T, parse func(string) (T, error), s string) error {
	v, err := parse(s)
	if err == nil {
		*to = v
	}
	return err
}

func text(at func(*Config) *string, accept check) value {
	return one("text", at, accept, itself)
}

func itself(s string) string { return s }

func choice(at func(*Config) *string, allowed ...string) value {
	all := strings.Join(allowed, ", ")
	return one(all, at, func(s string) (string, error) {
		for _, a := range allowed {
			if strings.EqualFold(s, a) {
				return a, nil
			}
		}
		return "", fmt.Errorf("%q is none of %s; write one of them", s, all)
	}, itself)
}

func boolean(at func(*Config) *bool) value {
	return one(trueOrFalse, at, parseBool, strconv.FormatBool)
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
	return within("number", at, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			err = fmt.Errorf("%q is not a whole number; write one from %d to %d", s, least, most)
		}
		return n, err
	}, strconv.Itoa, least, most)
}

func size(at func(*Config) *int, least, most int) value {
	return within("size", at, parseSize, formatSize, least, most)
}

func duration(at func(*Config) *time.Duration, least, most time.Duration) value {
	return within("duration", at, ParseDuration, FormatDuration, least, most)
}

// within is a setting with one value that has bounds.
func within[N int | time.Duration](kind string, at func(*Config) *N, parse func(string) (N, error), format func(N) string, least, most N) value {
	return one(kind, at, func(s string) (N, error) {
		n, err := parse(s)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("%s is outside %s to %s; write a value in between", format(n), format(least), format(most))
		}
		return n, err
	}, format)
}

// list is a setting with any number of texts. Environment and flags separate
// them by commas; the file has a list.
func list(at func(*Config) *[]string, accept check) value {
	return value{
		kind: "list", list: true,
		read: func(c *Config, r raw) error {
			var kept []string
			var errs []error
			for _, t := range entries(r) {
				v, err := accept(t)
				kept, errs = append(kept, v), append(errs, err)
			}
			*at(c) = kept
			return errors.Join(errs...)
		},
		show: func(c *Config) []string { return *at(c) },
	}
}

// secrets is a list that is never shown. One that is given and holds nothing is
// a secret that did not arrive, not a wish for none.
func secrets(at func(*Config) *[]string, accept check) value {
	v := list(at, accept)
	v.secret = true
	read := v.read
	v.read = func(c *Config, r raw) error {
		if len(r.texts) > 0 && len(entries(r)) == 0 {
			return errors.New("is empty; give a secret, or leave the setting out")
		}
		return read(c, r)
	}
	return v
}

func entries(r raw) (all []string) {
	if r.node != nil && r.node.Kind == yaml.SequenceNode {
		return r.texts // a list in the file needs no separator, so entries may hold commas
	}
	for _, t := range r.texts {
		for e := range strings.SplitSeq(t, ",") {
			if e = strings.TrimSpace(e); e != "" {
				all = append(all, e)
			}
		}
	}
	return all
}
