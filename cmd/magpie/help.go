package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magpie/internal/config"
)

// Which settings a command's help lists, in its annotation helpSettings: not
// there, all of them; else the flags' names with commas between them. All
// settings are flags of every command that reads them, listed or not.
const helpSettings = "settings"

// helpWidth is what a terminal of the usual kind and a mail both show.
const helpWidth = 100

// usage is what --help prints behind a command's description.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() && (!cmd.HasAvailableSubCommands() || !cmd.HasParent()) {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "  (%s is the same)\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	b.WriteString(subcommands(cmd))
	rows, left := flagRows(cmd)
	b.WriteString("\nFlags:\n" + columns(rows))
	if left > 0 {
		fmt.Fprintf(&b, "\nThe other %d settings are flags here too; magpie serve --help lists them all.\n", left)
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

func subcommands(cmd *cobra.Command) string {
	var rows [][2]string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			rows = append(rows, [2]string{"  " + sub.Name(), sub.Short})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "\nCommands:\n" + columns(rows) + "\n" + cmd.CommandPath() + " COMMAND --help has more about each.\n"
}

// flagRows are the flags to list, and how many settings are left out.
func flagRows(cmd *cobra.Command) (rows [][2]string, left int) {
	only, some := cmd.Annotations[helpSettings]
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden:
		case some && config.IsSetting(f) && !slices.Contains(strings.Split(only, ","), f.Name):
			left++
		default:
			rows = append(rows, flagRow(f))
		}
	})
	return rows, left
}

func flagRow(f *pflag.Flag) [2]string {
	name := "      --" + f.Name
	if f.Shorthand != "" {
		name = "  -" + f.Shorthand + ", --" + f.Name
	}
	kind, text := pflag.UnquoteUsage(f)
	if kind != "" && f.Value.Type() != "bool" {
		name += " " + kind
	}
	switch f.Name {
	case "help":
		text = "print this"
	case "version":
		text = "print which Magpie this is"
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
	default:
		before, found := strings.CutSuffix(text, ")")
		text = before + " (default " + f.DefValue + ")"
		if found {
			text = before + "; default " + f.DefValue + ")"
		}
	}
	return [2]string{name, text}
}

// columns sets names left and what they mean right of them, in lines of at
// most helpWidth.
func columns(rows [][2]string) string {
	left := 0
	for _, r := range rows {
		left = max(left, len(r[0]))
	}
	var b strings.Builder
	for _, r := range rows {
		line := fmt.Sprintf("%-*s ", left, r[0])
		for word := range strings.FieldsSeq(r[1]) {
			if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > helpWidth {
				b.WriteString(line + "\n")
				line = strings.Repeat(" ", left+1)
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
