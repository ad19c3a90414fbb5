package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/topology"
)

// libraryVersion grows when the library's meaning changes. A node leaves a
// newer library alone, so that an upgrade may go node by node.
const libraryVersion = 3

// libraryRetry is long: FCALL is for publishers, not for delivery.
const libraryRetry = 30 * time.Second

// FunctionName is what users call: FCALL magpie_publish 1 CHANNEL PAYLOAD [KEY].
func FunctionName(prefix string) string { return libraryName(prefix) + "_publish" }

// libraryName is the prefix in what Redis allows there: letters, digits and _.
// Two prefixes may have the same: the later one is refused (ErrTaken).
func libraryName(prefix string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, prefix)
}

// Library is the Redis Function that users publish with: the pieces that all
// scripts are made of. All databases of a Redis share its functions, so what
// differs with the database is not in its text but in a key of each. A cluster
// has one database and many masters: there it is in the text. Its one goroutine
// is Run.
type Library struct {
	Env
	text     string
	settings string // what the key holds
	absent   sync.Once
	trouble  throttle.Throttle
	kick     chan struct{}
}

// NewLibrary writes the library. Load and Run put it into Redis.
func NewLibrary(e Env) *Library {
	settings := settingsOf(e)
	return &Library{Env: e, text: write(e, settings), settings: settings, kick: make(chan struct{}, 1)}
}

// settingsOf is what the function has to know, as JSON: rules are glob, size,
// age and bytes of a log, the first that matches holds.
func settingsOf(e Env) string {
	rules := [][4]any{}
	for _, r := range e.Rules.All() {
		rules = append(rules, [4]any{r.Match, r.Log.Size, r.Log.Age.Milliseconds(), r.Log.Bytes})
	}
	text, err := json.Marshal(map[string]any{
		"database": e.Names.Database(), "max_payload": e.MaxPayload, "window": e.IdempotencyWindow.Milliseconds(), "rules": rules,
	})
	if err != nil {
		panic(err) // strings and whole numbers always have a JSON form
	}
	return string(text)
}

func write(e Env, settings string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!lua name=%s\n-- magpie library version %d\n", libraryName(e.Names.Prefix), libraryVersion)
	b.WriteString(header(e.Redis.Sharded))
	b.WriteString(lua(publishing...))
	fmt.Fprintf(&b, "\nlocal prefix, name = '%s', '%s'\n", e.Names.Prefix, FunctionName(e.Names.Prefix))
	if e.Redis.Sharded {
		fmt.Fprintf(&b, "local fixed = %s\n", luaString(settings))
	} else {
		fmt.Fprintf(&b, "local fixed, settings_key = nil, '%s'\n", e.Names.Function())
	}
	b.WriteString(lua("function"))
	return b.String()
}

// luaString is a text as Lua reads it: every byte that is no letter or digit
// by its three digits.
func luaString(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	b.WriteByte('\'')
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
			if err := l.Load(ctx, true); err != nil {
				l.Log.Error("FCALL publishes for another deployment", "error", err)
			}
		}
	}
}

// ErrTaken: another deployment on this Redis has the function's name.
var ErrTaken = errors.New("another deployment on this Redis has a prefix of the same function name")

// Load puts the library into Redis, on every master that answers. An equal or
// a newer one stays; with onlyAbsent any does, so that nodes with different
// rules do not take turns. A Redis without functions serves everything else.
// The only error is ErrTaken.
func (l *Library) Load(ctx context.Context, onlyAbsent bool) error {
	for _, m := range l.Redis.Topology.Masters() {
		if m.Silence() == nil {
			if err := l.loadOn(ctx, m, onlyAbsent); errors.Is(err, ErrTaken) {
				return err
			}
		}
	}
	return nil
}

func (l *Library) loadOn(ctx context.Context, m *topology.Master, onlyAbsent bool) error {
	err := l.Redis.Do(ctx, "", func(ctx context.Context) error { return l.load(ctx, m.Client, onlyAbsent) })
	name := FunctionName(l.Names.Prefix)
	switch {
	case err == nil:
		if text := l.trouble.End(); text != "" {
			l.Log.Info("could not load the Redis Function "+name+": "+text, "redis", m.Addr)
		}
	case errors.Is(err, engine.ErrClosed), errors.Is(err, ErrTaken):
	case topology.NoCommand(err), strings.Contains(err.Error(), "NOPERM"):
		l.absent.Do(func() {
			l.Log.Info("this Redis has no functions for us: FCALL "+name+" is not there, all else works", "redis", m.Addr)
		})
	default:
		if l.trouble.Allow() {
			l.Log.Warn("could not load the Redis Function "+name, "redis", m.Addr, "times", l.trouble.Times(), "error", err)
		}
		time.AfterFunc(libraryRetry, l.Check)
	}
	return err
}

// load puts the library and its settings to one master.
func (l *Library) load(ctx context.Context, c rueidis.Client, onlyAbsent bool) error {
	present, err := l.present(ctx, c)
	if err != nil {
		return err
	}
	if other := prefixOf(present); other != "" && other != l.Names.Prefix {
		return engine.Unavailable("%w: %s is the function of the prefixes %q and %q; choose another prefix, or run FUNCTION DELETE %s if the other one is gone",
			ErrTaken, FunctionName(l.Names.Prefix), other, l.Names.Prefix, libraryName(l.Names.Prefix))
	}
	newer := versionOf(present) > libraryVersion
	if !l.Redis.Sharded {
		set := c.B().Set().Key(l.Names.Function()).Value(l.settings)
		command := set.Build
		if onlyAbsent || newer {
			command = set.Nx().Build
		}
		if err := c.Do(ctx, command()).Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	switch {
	case present == "":
		return c.Do(ctx, c.B().FunctionLoad().FunctionCode(l.text).Build()).Error()
	case onlyAbsent, present == l.text, newer:
		return nil
	}
	return c.Do(ctx, c.B().FunctionLoad().Replace().FunctionCode(l.text).Build()).Error()
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

// prefixOf is the prefix that a library is of, or "".
func prefixOf(code string) string {
	if m := libraryPrefixLine.FindStringSubmatch(code); m != nil {
		return m[1]
	}
	return ""
}

var libraryPrefixLine = regexp.MustCompile(`(?m)^local prefix, name.* = '([^']*)'`)

var libraryVersionLine = regexp.MustCompile(`(?m)^-- magpie library version (\d+)$`)

func versionOf(code string) int {
	m := libraryVersionLine.FindStringSubmatch(code)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
