package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"magpie/internal/channel"
	"magpie/internal/engine/redis"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	key    = "0123456789abcdef"
)

// load runs Load as the command does: flags parsed leniently, then scanned.
func load(t *testing.T, file string, environ, args []string) (*Config, error) {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	set.ParseErrorsAllowlist.UnknownFlags = true
	flags := Bind(set)
	flags.CheckRedis = redis.CheckURL
	if file != "" {
		name := filepath.Join(t.TempDir(), "magpie.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", name}, args...)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	flags.Scan(args)
	return Load(flags, environ)
}

func mustLoad(t *testing.T, file string, environ, args []string) *Config {
	t.Helper()
	c, err := load(t, file, environ, args)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// lines returns the problems as one text each, without the temporary path.
func lines(err error) []string {
	var p Problems
	if !errors.As(err, &p) {
		return nil
	}
	var all []string
	for _, one := range p {
		if strings.HasPrefix(one.Source, string(filepath.Separator)) {
			one.Source = filepath.Base(one.Source)
		}
		all = append(all, one.String())
	}
	return all
}

// A server that was told nothing is open, on this machine only, and says 1000
// messages and a day of log.
func TestDefaultsAreAFirstMinute(t *testing.T) {
	c := mustLoad(t, "", nil, nil)
	if c.Addr != "localhost:8080" || c.Redis != "" || c.Prefix != "magpie" || !c.OpenMode() || c.Open {
		t.Fatalf("defaults: %+v", c)
	}
	if c.Limits != (Limits{64 << 10, 1 << 20, 128, 100, 1000, 600, 2000, 50, 5000, 60, 10_000, 10_000}) {
		t.Fatalf("limits: %+v", c.Limits)
	}
	want := Times{25 * time.Second, 10 * time.Second, 10 * time.Second, 0, 15 * time.Second, 5 * time.Minute, 5 * time.Millisecond}
	if c.Times != want {
		t.Fatalf("times: %+v", c.Times)
	}
	if r := c.Rules.For("chat"); r.Subscribe != channel.Anyone || r.Log.Size != 1000 {
		t.Fatalf("fallback rule: %+v", r)
	}
	if c.Node == "" || c.Node == mustLoad(t, "", nil, nil).Node {
		t.Fatalf("node name %q is empty or not unique", c.Node)
	}
}

// Where balancers may be in front, a node that stops gives them time; on an
// address of this machine nobody waits. What is given holds everywhere.
func TestDrainDelayFollowsTheAddress(t *testing.T) {
	for addr, want := range map[string]time.Duration{
		"localhost:8080": 0, "127.0.0.2:80": 0, "[::1]:80": 0, ":8080": 5 * time.Second, "10.0.0.1:80": 5 * time.Second,
	} {
		args := []string{"--open", "--addr", addr}
		if got := mustLoad(t, "", nil, args).Times.DrainDelay; got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
		if got := mustLoad(t, "", nil, append(args, "--drain-delay", "3s")).Times.DrainDelay; got != 3*time.Second {
			t.Errorf("%s: %v, and 3s was given", addr, got)
		}
		if got := mustLoad(t, "", []string{"MAGPIE_DRAIN_DELAY=0"}, args).Times.DrainDelay; got != 0 {
			t.Errorf("%s: %v, and 0 was given", addr, got)
		}
	}
}

// A table of more settings is a table that nobody reads.
func TestFewerThan60Settings(t *testing.T) {
	if len(settings) >= 60 {
		t.Fatalf("%d settings", len(settings))
	}
	seen := make(map[string]bool)
	for _, s := range settings {
		for _, name := range []string{"key " + s.key, "flag " + s.flag(), "env " + s.env()} {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if !strings.HasSuffix(s.help, ".") {
			t.Errorf("%s: the help is no sentence", s.key)
		}
		if injected.MatchString(s.env()) {
			t.Errorf("%s looks like a variable that platforms inject", s.env())
		}
	}
}

func TestFlagsWinOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := "addr: localhost:1001\nprefix: filed\nmax_subscriptions: 7\n"
	env := []string{"MAGPIE_ADDR=localhost:1002", "MAGPIE_PREFIX=envied"}
	c := mustLoad(t, file, env, []string{"--addr", "localhost:1003"})
	if c.Addr != "localhost:1003" || c.Prefix != "envied" || c.Limits.Subscriptions != 7 || c.Log.Level != "info" {
		t.Fatalf("%+v", c)
	}
}

// MAGPIE_CONFIG names a file, but not when --config does.
func TestFileFromEnvironment(t *testing.T) {
	name := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(name, []byte("prefix: filed"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"MAGPIE_CONFIG=" + name}
	if c := mustLoad(t, "", env, nil); c.Prefix != "filed" {
		t.Fatalf("prefix %q", c.Prefix)
	}
	if c := mustLoad(t, "prefix: flagged", env, nil); c.Prefix != "flagged" {
		t.Fatalf("prefix %q", c.Prefix)
	}
}

// One run tells everything that is wrong, in every source, with its place and
// the name that was meant.
func TestEveryProblemAtOnce(t *testing.T) {
	file := "adr: localhost:1\nlog_level: loud\ningest:\n  stream: [jobs]\nprefix: 1 x\nprefix: y\n"
	env := []string{"MAGPIE_MAX_PAYLOADS=1MB", "MAGPIE_PING_INTERVAL=25", "HOME=/", "OTHER=1"}
	_, err := load(t, file, env, []string{"--address", ":1", "-addr", "x", "--outbox=1TB", "--api-key", "has space"})
	want := []string{
		`magpie.yaml:1: there is no setting "adr"; did you mean addr?`,
		`magpie.yaml:4: there is no setting "ingest.stream"; did you mean ingest.streams?`,
		`magpie.yaml:6: prefix is set twice, first in`,
		`magpie.yaml:5: prefix: "1 x" cannot begin a key`,
		`magpie.yaml:2: log_level: "loud" is none of debug, info, warn, error`,
		`MAGPIE_MAX_PAYLOADS: there is no such setting; did you mean MAGPIE_MAX_PAYLOAD?`,
		`MAGPIE_PING_INTERVAL: "25" has no unit; write 25s`,
		`--address: there is no such flag; did you mean --addr?`,
		`-addr: there is no such flag; did you mean --addr?`,
		`--api-key: an API key holds a space`,
		`--outbox: "1TB" is not a size`,
	}
	got := lines(err)
	if len(got) != len(want) {
		t.Fatalf("%d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("problem %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

func TestBrokenValues(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--addr=8080", "is not host:port"},
		{"--addr=http://localhost:8080", "is not host:port"},
		{"--addr=localhost:http", "ends in no port number"},
		{"--addr=localhost:70000", "ends in no port number"},
		{"--addr=localhost:080", "ends in no port number"},
		{"--addr=a/b:80", "is not the name or IP address"},
		{"--addr=", "is not host:port"},
		{"--redis=localhost:6379", "begins with none of redis://"},
		{"--redis=http://localhost:6379", "begins with none of redis://"},
		{"--redis=redis://a,b", "its URL begins with redis+cluster:"},
		{"--redis=redis://h?foo=1", `unknown parameter "foo"`},
		{"--redis=redis-sentinel://h:26379/mymaster", "Redis Sentinel is not supported yet"},
		{"--redis=redis-cluster://h:7000", "its URL begins with redis+cluster:"},
		{"--api-key=fifteen-letters", "has 15 characters and needs 16"},
		{"--api-key=sixteen-lettersé", "a character outside ASCII"},
		{"--redis=redis://", "names no host"},
		{"--redis=unix://", "names no socket"},
		{"--node=a b", "cannot name a node"},
		{"--open=maybe", "neither true nor false"},
		{"--token-secret=short", "has 5 bytes and needs 32"},
		{"--token-secret=", "is empty; give a secret, or leave the setting out"},
		{"--token-secret= ,", "is empty; give a secret, or leave the setting out"},
		{"--api-key=", "is empty; give a secret, or leave the setting out"},
		{"--allowed-origins=example.com", "is not an origin"},
		{"--allowed-origins=https://a.*.example.com", "holds a * where none can be"},
		{"--allowed-origins=https://example.com/app", "is more than an origin; write https://example.com"},
		{"--allowed-origins=https://user@example.com", "is more than an origin; write https://example.com"},
		{"--tls-cert=x.pem", "needs its key"},
		{"--proxy-protocol", "name the proxies in trusted_proxies"},
		{"--trusted-proxies=10.0.0.0/33", "write an address, such as 10.0.0.7"},
		{"--tls-key=x.pem", "needs its certificate"},
		{"--max-payload=0", "outside 1 to 64MB"},
		{"--max-payload=65GB", "outside 1 to 64MB"},
		{"--max-payload=99999999999GB", "more than any machine has"},
		{"--max-payload=-1", "is not a size"},
		{"--outbox=64KB", "cannot hold a message of 64KB"},
		{"--max-subscriptions=many", "is not a whole number"},
		{"--drain-timeout=-1s", "is negative"},
		{"--drain-timeout=soon", "is not a duration"},
		{"--pong-timeout=1ms", "outside 100ms to 1h"},
		{"--ingest-streams=jobs", "reads from Redis and there is none"},
		{"--ingest-channels={x}", "match pattern holds"},
		{"--rules={match: x}", "are not a list"},
		{"--rules=[", "are not YAML"},
		{"--config=/no/such/file", "no such file or directory"},
	} {
		_, err := load(t, "", nil, []string{test.arg})
		if got := lines(err); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, test.want) }) {
			t.Errorf("%s\n got %q\nwant %q", test.arg, got, test.want)
		}
	}
}

// Flags that nobody defined are found wherever they stand, but a value that
// begins with dashes is no flag, and neither is what follows "--".
func TestUnknownFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // the sources of all problems
	}{
		{[]string{"--opne"}, "--opne"},
		{[]string{"--open", "--opne", "--adr=x", "-o"}, "--opne --adr -o"},
		{[]string{"--prefix=a", "--opne"}, "--opne"},
		{[]string{"--token-issuer", "--opne", "--token-secret", secret}, ""},
		{[]string{"--open", "--", "--opne"}, ""},
		{[]string{"--", "-h", "--help"}, ""},
	} {
		_, err := load(t, "", nil, test.args)
		var sources []string
		if p, ok := errors.AsType[Problems](err); ok {
			for _, one := range p {
				sources = append(sources, one.Source)
			}
		}
		if got := strings.Join(sources, " "); got != test.want {
			t.Errorf("%q: problems with %q, want %q", test.args, got, test.want)
		}
	}
}

// Bounds are allowed themselves; words in any case; empty entries are none.
func TestValuesAtTheEdge(t *testing.T) {
	c := mustLoad(t, "prefix:\nlog_level: ~\n", []string{"MAGPIE_PREFIX=", "MAGPIE_PONG_TIMEOUT= "}, nil)
	if c.Prefix != DefaultPrefix || c.Log.Level != "info" || c.Times.PongTimeout != 10*time.Second {
		t.Errorf("what is set to nothing is not at its default: %+v", c)
	}
	c = mustLoad(t, "", []string{"MAGPIE_PREFIX= padded ", "MAGPIE_API_KEY=" + key + ", ,"}, []string{"--max-payload=1", "--outbox=1GB", "--log-level=WARN", "--coalesce", " 1s ", "--node= n1 "})
	if c.Limits.MaxPayload != 1 || c.Limits.Outbox != 1<<30 || c.Log.Level != "warn" || c.Times.Coalesce != time.Second || c.Prefix != "padded" || c.Node != "n1" || len(c.APIKeys) != 1 {
		t.Errorf("%+v", c)
	}
}

// Twice the same flag is an accident, unless the setting is a list.
func TestRepeatedFlags(t *testing.T) {
	if _, err := load(t, "", nil, []string{"--prefix=a", "--prefix=b"}); err == nil {
		t.Error("two prefixes were taken")
	}
	c := mustLoad(t, "", nil, []string{"--api-key=" + key + "a," + key + "b", "--api-key", key + "c"})
	if !slices.Equal(c.APIKeys, []string{key + "a", key + "b", key + "c"}) {
		t.Errorf("keys %q", c.APIKeys)
	}
}

// What was started on a laptop must not become an open server by changing
// its address alone.
func TestOpenModeOnlyOnLoopbackOrWhenAsked(t *testing.T) {
	for _, test := range []struct {
		args    []string
		open    bool
		refused bool
	}{
		{[]string{"--addr=localhost:0"}, true, false},
		{[]string{"--addr=LOCALHOST:0"}, true, false},
		{[]string{"--addr=127.9.9.9:0"}, true, false},
		{[]string{"--addr=[::1]:0"}, true, false},
		{[]string{"--addr=[::ffff:127.0.0.1]:0"}, true, false},
		{[]string{"--addr=:8080"}, false, true},
		{[]string{"--addr=0.0.0.0:8080"}, false, true},
		{[]string{"--addr=[::]:8080"}, false, true},
		{[]string{"--addr=localhost.example.com:8080"}, false, true},
		{[]string{"--addr=10.0.0.1:8080", "--api-key=" + key}, false, true},
		{[]string{"--addr=:8080", "--open"}, true, false},
		{[]string{"--addr=:8080", "--token-secret=" + secret}, false, false},
		{[]string{"--token-secret=" + secret}, false, false},
		{[]string{"--token-secret=" + secret, "--open"}, true, false},
	} {
		c, err := load(t, "", nil, test.args)
		if (err != nil) != test.refused {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if err != nil {
			got := lines(err)
			if len(got) != 1 || !strings.Contains(got[0], "--token-secret") || !strings.Contains(got[0], "--open") {
				t.Errorf("%q: the refusal names no way out: %q", test.args, got)
			}
			continue
		}
		if c.OpenMode() != test.open {
			t.Errorf("%q: open mode %t", test.args, c.OpenMode())
		}
		who := channel.Users
		if test.open {
			who = channel.Anyone
		}
		if got := c.Rules.For("x").Publish; got != who {
			t.Errorf("%q: the default lets %s publish, want %s", test.args, got, who)
		}
	}
}

// A setting that is broken must be reported as that alone: neither as missing
// nor together with others that would be fine beside a good one.
func TestBrokenSettingIsReportedOnce(t *testing.T) {
	for _, test := range []struct {
		file string
		args []string
		want string
	}{
		{"", []string{"--addr=:80", "--token-secret=short"}, "needs 32"},
		{"", []string{"--addr=:80", "--token-jwks=x.json"}, "is no URL"},
		{"", []string{"--addr=:80", "--open=maybe"}, "neither true nor false"},
		{"addr: :80", []string{"--addr=80"}, "is not host:port"},
		{"", []string{"--outbox=1TB", "--max-payload=4MB"}, "is not a size"},
		{"", []string{"--outbox=100KB", "--max-payload=1TB"}, "is not a size"},
		{"", []string{"--redis=localhost", "--ingest-streams=jobs"}, "begins with none of redis://"},
		{"redis: [a, b]", []string{"--ingest-streams=jobs"}, "takes one value"},
		{"", []string{"--token-secret=short", "--token-issuer=me"}, "needs 32"},
	} {
		_, err := load(t, test.file, nil, test.args)
		if got := lines(err); len(got) != 1 || !strings.Contains(got[0], test.want) {
			t.Errorf("%q: %q, want only %q", test.args, got, test.want)
		}
	}
	// A later source mends it, and is then checked like any other.
	_, err := load(t, "addr: 8080", nil, []string{"--addr=:80"})
	if got := lines(err); len(got) != 2 || !strings.Contains(got[1], "nobody has to show a token") {
		t.Errorf("%q", got)
	}
}

// Kubernetes sets these in every pod beside a service called magpie. A server
// that stumbled over them would start everywhere but there.
func TestVariablesThatPlatformsInject(t *testing.T) {
	mustLoad(t, "", []string{
		"MAGPIE_SERVICE_HOST=10.0.0.1", "MAGPIE_SERVICE_PORT=80", "MAGPIE_SERVICE_PORT_HTTP=80",
		"MAGPIE_PORT=tcp://10.0.0.1:80", "MAGPIE_PORT_80_TCP=tcp://10.0.0.1:80",
		"MAGPIE_PORT_80_TCP_PROTO=tcp", "MAGPIE_PORT_80_TCP_PORT=80", "MAGPIE_PORT_80_TCP_ADDR=10.0.0.1",
		"MAGPIE_REDIS_SERVICE_HOST=10.0.0.2", "MAGPIE_REDIS_PORT_6379_TCP=tcp://10.0.0.2:6379",
		"MAGPIE_URL=http://localhost:8080", "MAGPIE_REDIS=",
	}, nil)
}

// An outbox holds two of the longest messages, by itself or by refusal.
func TestOutboxGrowsWithThePayload(t *testing.T) {
	if c := mustLoad(t, "", nil, []string{"--max-payload=4MB"}); c.Limits.Outbox != 8<<20 {
		t.Fatalf("outbox %d", c.Limits.Outbox)
	}
	if c := mustLoad(t, "", nil, []string{"--outbox=128KB"}); c.Limits.Outbox != 128<<10 {
		t.Fatalf("outbox %d", c.Limits.Outbox)
	}
	_, err := load(t, "", nil, []string{"--outbox=131071"})
	if got := lines(err); len(got) != 1 || !strings.Contains(got[0], "raise it to 128KB") {
		t.Fatalf("%q", got)
	}
}

func TestRulesInheritTheDefault(t *testing.T) {
	file := `
rules:
  - match: "news:*"
    publish: server
    log: {size: 5}
  - {match: "typing:*", log: {size: 0}, presence: no}
`
	c := mustLoad(t, file, nil, nil)
	news, typing := c.Rules.For("news:sport"), c.Rules.For("typing:a")
	want := channel.Default(channel.Anyone)
	want.Match, want.Publish, want.Log.Size = "news:*", channel.Server, 5
	if *news != want {
		t.Errorf("news: %+v", news)
	}
	if typing.Log.Size != 0 || typing.Presence || typing.Subscribe != channel.Anyone {
		t.Errorf("typing: %+v", typing)
	}
	c = mustLoad(t, file, []string{`MAGPIE_RULES=[{"match": "a", "log": {"age": "7d"}}]`}, []string{"--token-secret", secret})
	if r := c.Rules.For("a"); r.Log.Age != 7*24*time.Hour || r.Publish != channel.Users {
		t.Errorf("from the environment: %+v", r)
	}
	if r := c.Rules.For("news:sport"); r.Match != "*" {
		t.Errorf("the file's rules outlived the environment's: %+v", r)
	}
}

// A rule for typing:* is built in, until there is one of the user's.
func TestBuiltInRule(t *testing.T) {
	if r := mustLoad(t, "", nil, nil).Rules.For("typing:a"); r.Match != "typing:*" || r.Log.Size != 0 || r.Presence {
		t.Errorf("built in: %+v", r)
	}
	c := mustLoad(t, `rules: [{match: a}, {match: "typing:*", log: {size: 5}}]`, nil, nil)
	if r := c.Rules.For("typing:a"); r.Log.Size != 5 || len(c.Rules.All()) != 3 {
		t.Errorf("the user's own: %+v of %d", r, len(c.Rules.All()))
	}
}

func TestEveryBrokenRuleIsReported(t *testing.T) {
	file := `rules:
  - publish: server
  - match: "a{b}"
  - {match: x, publish: admin}
  - {match: x, log: {sise: 1, age: 1, size: many}}
  - {match: x, log: 5}
  - {match: x, presense: true, match: y}
  - just text
  - {match: x, log: {age: 1ms}}
  - {match: "news:*", publish: servers, log: {size: -1, agee: 7d}}
`
	_, err := load(t, file, nil, nil)
	want := []string{
		"magpie.yaml:2: rule 1: it has no match",
		"magpie.yaml:3: rule 2: a match pattern holds",
		`magpie.yaml:4: rule 3: publish: "admin" is none of anyone`,
		`magpie.yaml:5: rule 4: there is no "log.sise" in a rule; did you mean log.size?`,
		`magpie.yaml:5: rule 4: log.age: "1" has no unit`,
		`magpie.yaml:5: rule 4: log.size: "many" is not a number`,
		`magpie.yaml:6: rule 5: log is no plain value`,
		`magpie.yaml:7: rule 6: there is no "presense" in a rule; did you mean presence?`,
		`magpie.yaml:7: rule 6: match is written twice`,
		`magpie.yaml:8: rule 7: it is not a rule`,
		`magpie.yaml:9: rule 8: log age 1ms is under 1s`,
		`magpie.yaml:10: rule 9: there is no "log.agee" in a rule; did you mean log.age?`,
		`magpie.yaml:10: rule 9: log size -1 is outside`,
		`magpie.yaml:10: rule 9: publish: "servers" is none of anyone`,
	}
	got := lines(err)
	if len(got) != len(want) {
		t.Fatalf("%d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("problem %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// A rule that an earlier one hides is allowed, and told.
func TestRulesThatNeverHold(t *testing.T) {
	file := `rules:
  - match: "*"
  - match: "room:*"
  - match: "*"
`
	w := mustLoad(t, file, nil, nil).Warnings()
	if len(w) != 2 || !strings.Contains(w[0].String(), `magpie.yaml:3: rule 2 (match "room:*") never holds: rule 1 (match "*") comes first`) || !strings.Contains(w[1].Text, "rule 3") {
		t.Errorf("%v", w)
	}
	if w := mustLoad(t, `rules: [{match: "room:a*"}, {match: "room:*"}, {match: "typing:*"}]`, nil, nil).Warnings(); len(w) != 0 {
		t.Errorf("%v", w)
	}
}

// Y5: keys that sign for other applications too.
func TestAKeySetWithoutAnAudienceIsTold(t *testing.T) {
	for _, x := range []struct {
		args []string
		told int
	}{
		{[]string{"--token-jwks", "https://id.example.com/jwks"}, 1},
		{[]string{"--token-jwks", "https://id.example.com/jwks", "--token-audience", "chat"}, 0},
		{[]string{"--token-secret", secret}, 0},
		{nil, 0},
	} {
		if w := mustLoad(t, "", nil, x.args).Warnings(); len(w) != x.told || x.told == 1 && !strings.Contains(w[0].String(), "set token_audience") {
			t.Errorf("%v: %v", x.args, w)
		}
	}
}

// The internal listener is this machine's unless it says otherwise.
func TestInternalAddress(t *testing.T) {
	for given, want := range map[string]string{"": "", ":9090": "localhost:9090", "0.0.0.0:9090": "0.0.0.0:9090", "[::]:9090": "[::]:9090", "10.0.0.5:9090": "10.0.0.5:9090"} {
		if got := mustLoad(t, "", nil, []string{"--internal-addr", given}).Internal; got != want {
			t.Errorf("%q: %q", given, got)
		}
	}
	for _, args := range [][]string{{"--internal-addr", "9090"}, {"--internal-addr", "localhost:8080"}, {"--public-metrics"}} {
		if _, err := load(t, "", nil, args); err == nil {
			t.Errorf("%v passed", args)
		}
	}
}

// The name that a node makes up at its start is nobody's setting.
func TestShowLeavesTheRandomNameOut(t *testing.T) {
	var out bytes.Buffer
	c := mustLoad(t, "", nil, nil)
	if err := c.Show(&out); err != nil || c.Node == "" || !strings.Contains(out.String(), `node: "" # default`) {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestFileThatIsNoFileOfSettings(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"addr: [\n", "is not YAML"},
		{"- a\n- b\n", "top level is not a list of settings"},
		{"addr: x:1\n---\nprefix: a\n", "more than one YAML document"},
		{"addr: {a: b}\n", "something other than plain values"},
		{"api_key: [[a], " + key + "]\n", "something other than plain values"},
		{"ingest: yes\n", "write streams and channels below it"},
		{"a: &a b\naddr: *a\n", "something other than plain values"},
		{strings.Repeat("#", maxFile+1), "longer than 1MB"},
	} {
		_, err := load(t, test.file, nil, nil)
		if got := lines(err); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, test.want) }) {
			t.Errorf("%.40q\n got %q\nwant %q", test.file, got, test.want)
		}
	}
	mustLoad(t, "# nothing but a comment\n", nil, nil)
	mustLoad(t, "redis:\ningest.channels:\n", nil, nil)
}

// Secrets must reach neither the output of show nor the text of an error.
func TestSecretsStaySecret(t *testing.T) {
	args := []string{"--redis=redis://user:hunter2@localhost:6379/0", "--api-key=hunter2" + key, "--token-secret=hunter2" + secret}
	c := mustLoad(t, "", nil, args)
	var out bytes.Buffer
	if err := c.Show(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "api_key: [xxxxx] # --api-key\n") || !strings.Contains(out.String(), "prefix: magpie # default\n") {
		t.Errorf("show:\n%s", &out)
	}
	if !strings.Contains(c.Redis, "hunter2") || c.APIKeys[0] != "hunter2"+key {
		t.Error("show changed the settings themselves")
	}
	for _, arg := range []string{
		"--redis=redis://:hunter2@%zz", "--redis=redis+cluster://user:hunter2@a:1,b:x", "--redis=redis+cluster://user:hunter2@", "--redis=hunter2@localhost", "--redis=redis://user:hunter2@", "--redis=redis://user:hunter2@host:port", "--redis=redis://user:1?hunter2@host",
		"--token-secret=hunter2", "--api-key=hunter2 x", "--api-key=hunter2\x00",
	} {
		_, err := load(t, "", nil, []string{arg})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// A password is secret wherever in the URL it stands.
func TestRedactedURL(t *testing.T) {
	for _, url := range []string{"redis://h?PASSWORD=hunter2&db=1", "redis://h?sentinel_pass=hunter2", "redis://:hunter2@h:port", "redis+cluster://user:hunter2@a:1,b:2,c", "rediss+cluster://:hunter2@[::1]:7000,[::1]:7001", "redis+cluster://u:hunter2@a,b", "redis://hunter2@h"} {
		if got := RedactURL(url); strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", url, got)
		}
	}
}

// What show prints is a file that gives the same settings again.
func TestShowCanBeReadBack(t *testing.T) {
	file := `
addr: "[::1]:9"
redis: redis://localhost:6379/1
node: n1
allowed_origins: ["https://A.example.com:443", "http://b:80", "http://b:443/", "https://*.bücher.example", "tauri://localhost", "*"]
max_payload: 3000
idempotency_window: 36h
ingest: {streams: ["jobs, all"], channels: ["news:*"]}
rules: [{match: "news:*", log: {size: 3, age: 90s}}]
`
	var first, second bytes.Buffer
	if err := mustLoad(t, file, nil, nil).Show(&first); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, first.String(), nil, nil)
	if err := c.Show(&second); err != nil {
		t.Fatal(err)
	}
	strip := func(s string) string {
		var b strings.Builder
		for l := range strings.Lines(s) {
			before, _, _ := strings.Cut(l, " # ")
			b.WriteString(strings.TrimSpace(before) + "\n")
		}
		return b.String()
	}
	if strip(first.String()) != strip(second.String()) {
		t.Fatalf("first:\n%s\nsecond:\n%s", &first, &second)
	}
	if !slices.Equal(c.AllowedOrigins, []string{"https://a.example.com", "http://b", "http://b:443", "https://*.xn--bcher-kva.example", "tauri://localhost", "*"}) || c.Ingest.Streams[0] != "jobs, all" {
		t.Fatalf("%+v", c)
	}
}

func TestReferenceNamesEverySetting(t *testing.T) {
	var page bytes.Buffer
	if err := Reference(&page); err != nil {
		t.Fatal(err)
	}
	for i := range settings {
		for _, name := range []string{"`" + settings[i].key + "`", "`--" + settings[i].flag() + "`", "`" + settings[i].env() + "`"} {
			if !strings.Contains(page.String(), name) {
				t.Errorf("the page lacks %s", name)
			}
		}
	}
	if strings.Contains(page.String(), mustLoad(t, "", nil, nil).Node) {
		t.Error("the page depends on this machine")
	}
}

func FuzzFile(f *testing.F) {
	f.Add("addr: localhost:1\ningest: {streams: [a]}\nrules: [{match: x, log: {size: 1}}]\n")
	f.Add("a: &a [*a]\n")
	f.Add("rules: [{match: &x y, publish: *x}]")
	f.Fuzz(func(t *testing.T, text string) {
		raws, problems := parseFile("f.yaml", []byte(text))
		l := newLoader()
		l.layer(raws, problems)
		l.finish()
		if len(l.problems) == 0 && l.config.Rules == nil {
			t.Fatal("no problems and no rules")
		}
		for _, p := range l.problems {
			if p.Text == "" {
				t.Fatal("a problem without a text")
			}
		}
	})
}
