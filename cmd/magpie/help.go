package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magpie/internal/config"
)

// Which settings a command's help lists, in its annotation helpSettings: not
// there, all of them; else the flags' names with commas between them. All
// settings are flags of every command that reads them, listed or not.
const helpSettings = "settings"

// helpWidth fits a usual terminal and a mail.
const helpWidth = 100

// boolValue stands behind some of pflag's flags that need no value.
const boolValue = "[=true|false]"

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
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
		fmt.Fprintf(&b, "\n%s COMMAND --help has more about each.\n", cmd.CommandPath())
	}
	left := hideSettings(cmd)
	flags := cmd.LocalFlags().FlagUsagesWrapped(helpWidth)
	b.WriteString("\nFlags:\n" + strings.ReplaceAll(flags, boolValue, strings.Repeat(" ", len(boolValue))))
	if left > 0 {
		fmt.Fprintf(&b, "\nThe other %d settings are flags here too; magpie serve --help lists them all.\n", left)
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// hideSettings hides the flags that cmd's help does not list, and returns how
// many. It is called when a command prints its help and does nothing else.
func hideSettings(cmd *cobra.Command) (hidden int) {
	only, some := cmd.Annotations[helpSettings]
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help":
			f.Usage = "print this"
		case f.Name == "version":
			f.Usage = "print which Magpie this is"
		case some && config.IsSetting(f) && !slices.Contains(strings.Split(only, ","), f.Name):
			f.Hidden = true
			hidden++
		}
	})
	return hidden
}
