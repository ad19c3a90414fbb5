package redis

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// libraryVersion grows when the library's meaning changes. A node leaves a
// newer library alone, so that an upgrade may go node by node.
const libraryVersion = 1

// functionName is what users call: FCALL magpie_publish 1 CHANNEL PAYLOAD [KEY].
// Redis allows letters, digits and _ in it.
func functionName(prefix string) string { return libraryName(prefix) + "_publish" }

func libraryName(prefix string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, prefix)
}

// libraryText writes the Redis Function library: the same core as all scripts
// with this configuration baked in.
func libraryText(c Config, header string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!lua name=%s\n-- magpie library version %d\n", libraryName(c.Prefix), libraryVersion)
	b.WriteString(header)
	b.WriteString(lua("core"))
	fmt.Fprintf(&b, "\nlocal prefix, name, max_payload, window = '%s', '%s', %d, %d\nlocal rune = '%s'\nlocal rules = {\n",
		c.Prefix, functionName(c.Prefix), c.MaxPayload, c.IdempotencyWindow.Milliseconds(), luaRune)
	for _, r := range c.Rules.All() {
		fmt.Fprintf(&b, "  {%s, %d, %d},\n", luaGlob(r.Match), r.Log.Size, r.Log.Age.Milliseconds())
	}
	b.WriteString("}\n")
	b.WriteString(lua("function"))
	return b.String()
}

// luaRune matches one character of UTF-8.
const luaRune = `[%z\1-\127\194-\244][\128-\191]*`

// luaGlob turns a glob into a Lua expression for the same pattern.
func luaGlob(glob string) string {
	var b strings.Builder
	b.WriteString("'^")
	for _, c := range []byte(glob) {
		switch {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString("' .. rune .. '")
		case c < 0x80 && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'):
			b.WriteByte('%')
			b.WriteByte(c)
		case c >= 0x80:
			fmt.Fprintf(&b, `\%d`, c) // always three digits: no digit after it can join
		default:
			b.WriteByte(c)
		}
	}
	b.WriteString("$'")
	return b.String()
}

var libraryVersionLine = regexp.MustCompile(`(?m)^-- magpie library version (\d+)$`)

// loadFunction puts the library into Redis, on every master that answers. An
// equal or a newer one stays; with onlyAbsent any does, so that nodes with
// different rules do not take turns. A Redis without functions serves
// everything else.
func (e *Engine) loadFunction(ctx context.Context, onlyAbsent bool) {
	header := luaSingle
	if e.cluster != nil {
		header = luaCluster
	}
	text := libraryText(e.cfg, header)
	for _, m := range e.masters() {
		if m.silence() == nil {
			m.loadFunction(ctx, text, onlyAbsent)
		}
	}
}

func (m *master) loadFunction(ctx context.Context, text string, onlyAbsent bool) {
	e := m.e
	err := e.do(ctx, "", func(ctx context.Context) error {
		present, err := m.libraryCode(ctx)
		if err != nil || present != "" && (onlyAbsent || present == text || versionOf(present) > libraryVersion) {
			return err
		}
		return m.client.Do(ctx, m.client.B().FunctionLoad().Replace().FunctionCode(text).Build()).Error()
	})
	switch {
	case err == nil || e.closed.Load():
	case strings.Contains(strings.ToLower(err.Error()), "unknown command"), strings.Contains(err.Error(), "NOPERM"):
		e.noFunction.Do(func() {
			e.cfg.Log.Info("this Redis has no functions for us: FCALL "+functionName(e.cfg.Prefix)+" is not there, all else works", "redis", m.addr)
		})
	default:
		e.cfg.Log.Warn("could not load the Redis Function "+functionName(e.cfg.Prefix), "redis", m.addr, "error", err)
		time.AfterFunc(libraryRetry, e.askFunction)
	}
}

// libraryRetry is long: FCALL is for publishers, not for delivery.
const libraryRetry = 30 * time.Second

func versionOf(code string) int {
	m := libraryVersionLine.FindStringSubmatch(code)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// libraryCode returns the text of the library in Redis, or "".
func (m *master) libraryCode(ctx context.Context) (string, error) {
	cmd := m.client.B().FunctionList().Libraryname(libraryName(m.e.cfg.Prefix)).Withcode().Build()
	libs, err := m.client.Do(ctx, cmd).ToArray()
	if err != nil || len(libs) == 0 {
		return "", ignoreNil(err)
	}
	lib, err := libs[0].AsMap()
	if err != nil {
		return "", err
	}
	code := lib["library_code"]
	return code.ToString()
}

func ignoreNil(err error) error {
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}
