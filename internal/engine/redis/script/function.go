package script

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/topology"
)

// libraryVersion grows when the library's meaning changes. A node leaves a
// newer library alone, so that an upgrade may go node by node.
const libraryVersion = 1

// libraryRetry is long: FCALL is for publishers, not for delivery.
const libraryRetry = 30 * time.Second

// FunctionName is what users call: FCALL magpie_publish 1 CHANNEL PAYLOAD [KEY].
func FunctionName(prefix string) string { return libraryName(prefix) + "_publish" }

// libraryName is the prefix in what Redis allows there: letters, digits and _.
func libraryName(prefix string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, prefix)
}

// Library is the Redis Function that users publish with: the pieces that all
// scripts are made of, with this configuration in it. Its one goroutine is Run.
type Library struct {
	Env
	text   string
	absent sync.Once
	kick   chan struct{}
}

// NewLibrary writes the library. Load and Run put it into Redis.
func NewLibrary(e Env) *Library {
	return &Library{Env: e, text: write(e), kick: make(chan struct{}, 1)}
}

func write(e Env) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!lua name=%s\n-- magpie library version %d\n", libraryName(e.Names.Prefix), libraryVersion)
	b.WriteString(header(e.Redis.Sharded))
	b.WriteString(lua(publishing...))
	fmt.Fprintf(&b, "\nlocal prefix, name, max_payload, window = '%s', '%s', %d, %d\nlocal rune = '%s'\nlocal rules = {\n",
		e.Names.Prefix, FunctionName(e.Names.Prefix), e.MaxPayload, e.IdempotencyWindow.Milliseconds(), luaRune)
	for _, r := range e.Rules.All() {
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

// Check has Run look soon whether the library is still there, without waiting.
func (l *Library) Check() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Run puts the library back where it is absent, when Check asks for it, until
// ctx ends.
func (l *Library) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
			l.Load(ctx, true)
		}
	}
}

// Load puts the library into Redis, on every master that answers. An equal or
// a newer one stays; with onlyAbsent any does, so that nodes with different
// rules do not take turns. A Redis without functions serves everything else.
func (l *Library) Load(ctx context.Context, onlyAbsent bool) {
	for _, m := range l.Redis.Topology.Masters() {
		if m.Silence() == nil {
			l.load(ctx, m, onlyAbsent)
		}
	}
}

func (l *Library) load(ctx context.Context, m *topology.Master, onlyAbsent bool) {
	err := l.Redis.Do(ctx, "", func(ctx context.Context) error {
		present, err := l.present(ctx, m.Client)
		if err != nil || present != "" && (onlyAbsent || present == l.text || versionOf(present) > libraryVersion) {
			return err
		}
		return m.Client.Do(ctx, m.Client.B().FunctionLoad().Replace().FunctionCode(l.text).Build()).Error()
	})
	name := FunctionName(l.Names.Prefix)
	switch {
	case err == nil, errors.Is(err, engine.ErrClosed):
	case strings.Contains(strings.ToLower(err.Error()), "unknown command"), strings.Contains(err.Error(), "NOPERM"):
		l.absent.Do(func() {
			l.Log.Info("this Redis has no functions for us: FCALL "+name+" is not there, all else works", "redis", m.Addr)
		})
	default:
		l.Log.Warn("could not load the Redis Function "+name, "redis", m.Addr, "error", err)
		time.AfterFunc(libraryRetry, l.Check)
	}
}

// present returns the text of the library in Redis, or "".
func (l *Library) present(ctx context.Context, c rueidis.Client) (string, error) {
	libs, err := c.Do(ctx, c.B().FunctionList().Libraryname(libraryName(l.Names.Prefix)).Withcode().Build()).ToArray()
	if err != nil || len(libs) == 0 {
		return "", err
	}
	lib, err := libs[0].AsMap()
	if err != nil {
		return "", err
	}
	code := lib["library_code"]
	return code.ToString()
}

var libraryVersionLine = regexp.MustCompile(`(?m)^-- magpie library version (\d+)$`)

func versionOf(code string) int {
	m := libraryVersionLine.FindStringSubmatch(code)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
