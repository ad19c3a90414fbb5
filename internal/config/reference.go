package config

import (
	"fmt"
	"io"
	"strings"

	"magpie/internal/channel"
)

// Reference writes docs/configuration.md. The page is made from the table of
// settings alone, so it is the same on every machine.
func Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("| setting in the file | flag | environment | default | takes |\n|---|---|---|---|---|\n")
	for i := range settings {
		s := &settings[i]
		fmt.Fprintf(&b, "| [`%s`](#%s) | `--%s` | `%s` | %s | %s |\n",
			s.key, anchor(s.key), s.flag(), s.env(), code(s.def), s.value.kind())
	}
	b.WriteString("\n## Each one\n")
	for i := range settings {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n", settings[i].key, settings[i].help)
	}
	fmt.Fprintf(&b, referenceRules, formatRule(channel.Default("WHO")))
	_, err := io.WriteString(w, b.String())
	return err
}

// anchor is how Markdown renderers name a heading.
func anchor(key string) string { return strings.ReplaceAll(key, ".", "") }

func code(s string) string {
	if s == "" {
		return "none"
	}
	return "`" + s + "`"
}

const referenceHead = `# Settings

<!-- Made by "magpie config doc". Change internal/config/settings.go, then run: make docs -->

Magpie needs no settings to start. Each one can be given in four places; the first that has it wins:

1. a flag: ` + "`magpie serve --addr :8080`" + `
2. an environment variable: ` + "`MAGPIE_ADDR=:8080`" + `; one that is set to nothing counts as not set
3. a YAML file, named with ` + "`--config FILE` or `MAGPIE_CONFIG`" + `
4. the default

A name that does not exist is an error, and so is a value that cannot be meant. Everything that is wrong is reported at
once, with the place where it stands, and the server does not start. ` + "`magpie config check`" + ` looks without starting,
` + "`magpie config show`" + ` prints what holds and where it came from, without the secrets.

A *size* is a number of bytes or a number with KB, MB or GB (64KB is 65536 bytes). A *duration* is a number with ms, s, m,
h or d, such as 25s or 1d12h. A *list* is a YAML list in the file; a flag may be repeated, and flags and variables take
several entries with commas between them.

Changes take effect with a restart.

## All of them

`

const referenceRules = `
## Rules

A rule says what holds in the channels whose name matches. The first rule in the list that matches holds; what it leaves
out it takes from the default.

` + "```yaml" + `
rules:
  - match: "news:*"        # * is any run of characters, ? any one
    publish: server        # only holders of an API key
    log: {size: 10000, age: 7d}
  - match: "room:*"
    join_leave: true       # subscribers are told who comes and goes
    publish: subscribers
` + "```" + `

| in a rule | takes | meaning |
|---|---|---|
| ` + "`match`" + ` | glob | which channels; needed |
| ` + "`log.size`" + ` | number | messages that the log keeps; 0: no log, messages are delivered at most once |
| ` + "`log: off`" + ` | | the same as a size of 0 |
| ` + "`log.age`" + ` | duration | older messages are dropped |
| ` + "`recover`" + ` | true or false | Centrifuge clients come back to what they missed, asked or not; needs a log |
| ` + "`delta`" + ` | true or false | Centrifuge clients may ask for differences instead of whole payloads |
| ` + "`presence`" + ` | true or false | the channel knows who is there |
| ` + "`join_leave`" + ` | true or false | subscribers are told who comes and goes, at the cost of a message each |
| ` + "`subscribe`, `publish`, `history`, `members`" + ` | who | who may listen, publish, read the log, see who is there |

Who is one of

| | lets in |
|---|---|
| ` + "`anyone`" + ` | guests too |
| ` + "`users`" + ` | whoever has a valid token that names a user, and servers |
| ` + "`subscribers`" + ` | sessions that are in the channel now, and servers; not for ` + "`subscribe`" + ` |
| ` + "`server`" + ` | holders of an API key |
| ` + "`nobody`" + ` | nobody, not even servers |

Some names promise something that no rule takes back. A channel whose name begins with ` + "`$`" + ` wants a subscription token (or a
connection token that names it). ` + "`name#42,43`" + ` is for the users 42 and 43. A channel under ` + "`personal_channel`" + ` is its user's: nobody
else listens, reads or sees who is there, and only the user and servers publish, unless the rule lets anyone publish. The rule
is asked as well; servers ask for no name's leave. [Identity](identity.md) has the tokens.

Whoever may subscribe can come back to what was missed: recovering from a position reads the log, whatever ` + "`history`" + ` says about
asking for it. Give such a channel no log where that must not be.

A refusal names the rule and the setting. One rule is built in behind yours: ` + "`typing:*`" + ` has no log and no presence.

The default, for every channel that no rule matches (WHO is ` + "`anyone`" + ` in open mode and ` + "`users`" + ` otherwise):

` + "```yaml" + `
%s
` + "```" + `

As a variable: ` + "`MAGPIE_RULES='[{match: \"news:*\", publish: server}]'`" + `.

## Who gets in

Without anything to check tokens with (` + "`token_secret`, `token_public_keys`, `token_jwks`" + `) on a loopback address (localhost,
127.0.0.1, ::1) anyone who reaches the address may join and publish; this is *open mode*, for the first minute. A proxy in
front of such an address lets the whole world in: set a token secret first. On any other address the server does not start
without one of the three, unless ` + "`--open`" + ` says so in so many words.

## Exit codes

| code | meaning |
|---|---|
| 0 | done; also after SIGINT or SIGTERM with a clean shutdown |
| 1 | could not do it: the address is taken, Redis cannot be reached, the other side refused |
| 2 | the command line or a setting is wrong; nothing was started |
| 130, 143 | a second SIGINT or SIGTERM cut the shutdown short |
`
