package config

import (
	_ "embed" // for reference.md
	"fmt"
	"io"
	"strings"

	"magpie/internal/channel"
)

// referenceText is the page with {{places}} for what the table of settings
// gives.
//
//go:embed reference.md
var referenceText string

// Reference writes docs/configuration.md. The page is made from its text and
// the table of settings alone, so it is the same on every machine.
func Reference(w io.Writer) error {
	var table, each strings.Builder
	table.WriteString("| setting in the file | flag | environment | default | takes |\n|---|---|---|---|---|\n")
	for _, s := range settings {
		def := "none"
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		anchor := strings.ReplaceAll(s.key, ".", "") // how Markdown renderers name a heading
		fmt.Fprintf(&table, "| [`%s`](#%s) | `--%s` | `%s` | %s | %s |\n", s.key, anchor, s.flag(), s.env(), def, s.value.kind)
		fmt.Fprintf(&each, "\n### `%s`\n\n%s\n", s.key, s.help)
	}
	page := strings.NewReplacer("{{table}}", table.String(), "{{each}}", each.String(), "{{default rule}}", formatRule(channel.Default("WHO")))
	_, err := page.WriteString(w, referenceText)
	return err
}
