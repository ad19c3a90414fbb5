package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

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

//go:embed *.tmpl
var pageFiles embed.FS

// pages are the longer texts that commands print: help.tmpl, hints.tmpl and
// bench.tmpl.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"join": strings.Join,
	"us":   func(n int64) string { return short(time.Duration(n) * time.Microsecond) },
	"kb":   func(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1024) },
	"mb":   func(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20)) },
}).ParseFS(pageFiles, "*.tmpl"))

// usage is what --help prints behind a command's description.
func usage(cmd *cobra.Command) error {
	hidden := hideSettings(cmd)
	flags := cmd.LocalFlags().FlagUsagesWrapped(helpWidth)
	return pages.ExecuteTemplate(cmd.OutOrStderr(), "help.tmpl", struct {
		*cobra.Command
		FlagLines string
		Hidden    int
	}{cmd, strings.ReplaceAll(flags, boolValue, strings.Repeat(" ", len(boolValue))), hidden})
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
