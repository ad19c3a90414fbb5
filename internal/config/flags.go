package config

import (
	"strings"

	"github.com/spf13/pflag"

	"magpie/internal/spelling"
)

// Flags is what the command line said. Bind makes it; Load reads it after the
// command line was parsed.
type Flags struct {
	// CheckRedis is the engine's own check of a Redis URL; nil: any is accepted.
	// Its errors must hold nothing of the URL's password.
	CheckRedis func(url string) error

	set     *pflag.FlagSet
	given   []*flagValue
	file    string
	unknown []string // with their dashes
}

// Bind adds --config and one flag per setting to set. What they are given is
// only collected; Load checks it together with the other sources.
func Bind(set *pflag.FlagSet) *Flags {
	f := &Flags{set: set}
	set.StringVar(&f.file, "config", "", "YAML `file` with settings (MAGPIE_CONFIG)")
	for _, s := range settings {
		v := &flagValue{setting: s}
		f.given = append(f.given, v)
		flag := set.VarPF(v, v.flag(), "", v.help+" ("+v.env()+")")
		if v.value.kind == trueOrFalse {
			flag.NoOptDefVal = "true"
		}
	}
	return f
}

// IsSetting tells whether a flag is a setting's: one that Bind made, and not
// --config.
func IsSetting(f *pflag.Flag) bool {
	_, ok := f.Value.(*flagValue)
	return ok
}

// Scan finds the flags in args that nobody defined, so that Load can report all
// of them. The flag set itself would stop at the first.
func (f *Flags) Scan(args []string) {
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		name := strings.TrimLeft(args[i], "-")
		dashes := len(args[i]) - len(name)
		if dashes == 0 || name == "" {
			continue
		}
		name, _, hasValue := strings.Cut(name, "=")
		written := args[i][:dashes] + name
		switch flag := f.set.Lookup(name); {
		case flag == nil || dashes != 2: // -addr is a row of one-letter flags, and there are none
			f.unknown = append(f.unknown, written)
		case !hasValue && flag.NoOptDefVal == "":
			i++ // the next one is this flag's value, even if it starts with --
		}
	}
}

// read returns the settings that were given, and reports the flags that nobody
// defined.
func (f *Flags) read() (map[string]raw, Problems) {
	all := make(map[string]raw)
	for _, v := range f.given {
		if len(v.texts) > 0 {
			all[v.key] = raw{source: "--" + v.flag(), texts: v.texts}
		}
	}
	var p Problems
	var known []string // the command's own flags too
	f.set.VisitAll(func(flag *pflag.Flag) { known = append(known, flag.Name) })
	for _, name := range f.unknown {
		p.addf(name, "there is no such flag; %s", suggestion("--", spelling.Nearest(strings.TrimLeft(name, "-"), known)))
	}
	return all, p
}

// suggestion ends the sentence about an unknown name.
func suggestion(before, nearest string) string {
	if nearest == "" {
		return "remove it, or see docs/configuration.md for those there are"
	}
	return "did you mean " + before + nearest + "?"
}

// flagValue keeps what was written, once for each time the flag was given.
type flagValue struct {
	*setting
	texts []string
}

func (v *flagValue) Set(s string) error {
	v.texts = append(v.texts, strings.TrimSpace(s))
	return nil
}

// String is what --help shows as the default.
func (v *flagValue) String() string { return v.def }

func (v *flagValue) Type() string {
	switch kind := v.value.kind; {
	case kind == trueOrFalse:
		return "bool" // pflag's name for a flag that needs no value
	case strings.Contains(kind, ", "):
		return "word"
	default:
		return kind
	}
}
