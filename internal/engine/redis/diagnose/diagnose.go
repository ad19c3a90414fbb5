// Package diagnose looks at a Redis as an operator would, for magpie doctor.
//
// It writes nothing to Redis and leaves no goroutine.
package diagnose

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/names"
	"magpie/internal/engine/redis/topology"
)

// Level says how much a Finding matters.
type Level int

// The levels, from harmless to "it will not work".
const (
	Fine Level = iota
	Notable
	Wrong
)

// Finding is one thing that was seen, as a sentence. Unless it is Fine
// the sentence says what to do.
type Finding struct {
	Level Level
	Text  string
}

// Subject is what Look looks at: a Redis, for servers of this configuration.
type Subject struct {
	URL, Prefix string
	Streams     bool // some are ingested
}

// Look looks at a Redis: reachable, new enough, writable, keeping what it is
// told. It blocks until ctx ends at most, and no Finding holds the URL's password.
func Look(ctx context.Context, s Subject) []Finding {
	target, err := topology.ParseURL(s.URL)
	if err != nil {
		return []Finding{{Wrong, err.Error()}}
	}
	option, name := target.Option, target.Name
	option.DisableCache = true
	option.DisableRetry = true
	option.ForceSingleClient = true
	option.Dialer = net.Dialer{Timeout: 5 * time.Second}
	client, err := rueidis.NewClient(option)
	if err != nil {
		if strings.Contains(err.Error(), "DB index is out of range") {
			return []Finding{{Wrong, fmt.Sprintf("%s is there, but it has no database %d; give one that it has (its setting databases), or leave the number out", name, option.SelectDB)}}
		}
		return []Finding{{Wrong, cannot(name, err)}}
	}
	defer client.Close()
	d := diagnosis{client: client, name: name, clustered: target.Cluster}
	if !d.reach(ctx) {
		return d.findings
	}
	if err := topology.CheckCommands(ctx, client, name, target.Cluster, s.Streams); err != nil {
		d.addf(Wrong, "%s", err)
	}
	if d.info != "" {
		d.role()
	}
	if target.Cluster {
		d.cluster(ctx)
	}
	if d.info != "" {
		d.memory()
		d.durability(ctx)
	}
	d.functions(ctx)
	own := names.Names{Prefix: s.Prefix, DB: option.SelectDB, Sharded: target.Cluster}
	d.keys(ctx, own)
	if others := Neighbours(ctx, client, own); len(others) > 0 {
		d.addf(Notable, "another Magpie uses it (%s): a plain PUBLISH reaches both, whatever the database; see docs/redis.md for how to keep them apart", strings.Join(others, "; "))
	}
	return d.findings
}

type diagnosis struct {
	client   rueidis.Client
	name     string
	info     string
	findings []Finding

	clustered bool // the URL says so
}

func (d *diagnosis) addf(l Level, format string, args ...any) {
	d.findings = append(d.findings, Finding{l, fmt.Sprintf(format, args...)})
}

func cannot(name string, err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "NOAUTH"), strings.Contains(text, "WRONGPASS"):
		return name + " wants another user or password; write them into the URL: redis://user:password@host:port"
	case strings.Contains(text, "NOPERM"):
		return name + " does not let this user do what Magpie needs; see the rights in docs/redis.md (" + text + ")"
	default:
		return name + " cannot be reached (" + text + "); start it, or mend the address in --redis (MAGPIE_REDIS)"
	}
}

// reach measures a round trip and reads INFO, by which the rest is decided.
func (d *diagnosis) reach(ctx context.Context) bool {
	start := time.Now()
	if err := d.client.Do(ctx, d.client.B().Ping().Build()).Error(); err != nil {
		d.addf(Wrong, "%s", cannot(d.name, err))
		return false
	}
	took := time.Since(start)
	text, err := d.client.Do(ctx, d.client.B().Info().Build()).ToString()
	if err != nil {
		d.addf(Notable, "%s refuses INFO: %s, and its version, its memory and its role cannot be seen (%v)", d.name, topology.WithoutInfo, err)
		return true
	}
	d.info = text
	version := d.field("redis_version")
	switch {
	case !topology.AtLeast(version, 6, 2):
		d.addf(Wrong, "%s is version %s and Magpie needs 6.2; update it", d.name, version)
	case took > 20*time.Millisecond:
		d.addf(Notable, "%s (version %s) answers after %s; every publish waits that long, so put it nearer", d.name, version, took.Round(time.Millisecond))
	default:
		d.addf(Fine, "%s answers in %s, version %s", d.name, took.Round(10*time.Microsecond), version)
	}
	return true
}

func (d *diagnosis) field(name string) string { return topology.InfoField(d.info, name) }

func (d *diagnosis) role() {
	if !d.clustered && d.field("role") == "slave" && d.field("slave_read_only") != "0" {
		d.addf(Wrong, "%s is a read-only replica; name its primary (%s:%s) in the URL", d.name, d.field("master_host"), d.field("master_port"))
	}
	if d.field("loading") == "1" {
		d.addf(Wrong, "%s is still loading its data; wait for it", d.name)
	}
	switch mode := d.field("redis_mode"); {
	case d.clustered && mode != "cluster":
		d.addf(Wrong, "%s is no cluster; begin its URL with redis:// or rediss://", d.name)
	case !d.clustered && mode == "cluster":
		d.addf(Wrong, "%s is part of a cluster; begin its URL with redis+cluster:// or rediss+cluster://", d.name)
	case mode == "sentinel":
		d.addf(Wrong, "%s is a Sentinel, which is not supported yet; name the Redis master itself", d.name)
	}
}

// cluster tells how the cluster is, as the node that answers sees it. What else
// is found is of this node alone.
func (d *diagnosis) cluster(ctx context.Context) {
	info, err := d.client.Do(ctx, d.client.B().ClusterInfo().Build()).ToString()
	switch {
	case err != nil:
		d.addf(Wrong, "%s does not tell about its cluster (%v)", d.name, err)
	case !topology.AtLeast(d.field("redis_version"), 7, 0):
		d.addf(Wrong, "%s is version %s, and in a cluster Magpie needs 7.0, for sharded Pub/Sub; update it", d.name, d.field("redis_version"))
	case topology.InfoField(info, "cluster_state") != "ok":
		d.addf(Wrong, "the cluster is down (%s of 16384 slots are served); see redis-cli --cluster check", topology.InfoField(info, "cluster_slots_ok"))
	default:
		d.addf(Fine, "the cluster serves all slots with %s masters; what follows is of one node alone", topology.InfoField(info, "cluster_size"))
	}
}

// memory looks for a Redis that throws away what it was told when it is full:
// then logs vanish without an error.
func (d *diagnosis) memory() {
	policy := d.field("maxmemory_policy")
	limit, _ := strconv.ParseUint(d.field("maxmemory"), 10, 64)
	used, _ := strconv.ParseUint(d.field("used_memory"), 10, 64)
	switch {
	case policy != "" && policy != "noeviction" && limit > 0:
		d.addf(Wrong, "with maxmemory-policy %s it deletes channels' logs when it is full; run: redis-cli CONFIG SET maxmemory-policy noeviction", policy)
	case policy != "" && policy != "noeviction":
		d.addf(Notable, "maxmemory-policy is %s; before you set a maxmemory, run: redis-cli CONFIG SET maxmemory-policy noeviction", policy)
	case limit > 0 && used > limit/10*9:
		d.addf(Wrong, "%d MB of %d MB are used; when it is full publishes are refused, so raise maxmemory or shorten the logs in rules", used>>20, limit>>20)
	default:
		d.addf(Fine, "it keeps what it is told (maxmemory-policy noeviction)")
	}
	if d.field("rdb_last_bgsave_status") == "err" && d.field("rdb_last_save_time") != "" {
		d.addf(Wrong, "its last snapshot failed, and it may refuse writes for that; read its log for the reason")
	}
}

// durability tells what a restart of Redis would cost.
func (d *diagnosis) durability(ctx context.Context) {
	if d.field("aof_enabled") == "1" {
		d.addf(Fine, "it writes an append-only file, so logs survive its restart")
		return
	}
	save, err := d.client.Do(ctx, d.client.B().ConfigGet().Parameter("save").Build()).AsStrMap()
	switch {
	case err != nil:
		d.addf(Notable, "it writes no append-only file, so a restart may lose the newest messages; whether it saves snapshots cannot be seen (no CONFIG right)")
	case save["save"] == "":
		d.addf(Notable, "it writes nothing to disk, so a restart loses all logs (clients are told); run: redis-cli CONFIG SET appendonly yes")
	default:
		d.addf(Notable, "it only writes snapshots, so a restart loses what came after the last one (clients are told); run: redis-cli CONFIG SET appendonly yes")
	}
}

func (d *diagnosis) functions(ctx context.Context) {
	err := d.client.Do(ctx, d.client.B().Arbitrary("FUNCTION", "STATS").Build()).Error()
	switch {
	case err == nil:
		d.addf(Fine, "it has functions, so FCALL publishes from any Redis client")
	case strings.Contains(err.Error(), "NOPERM"):
		d.addf(Notable, "this user may not use FUNCTION, so FCALL will not publish; grant +@scripting if you want it")
	default:
		d.addf(Notable, "it has no functions, so FCALL cannot publish; PUBLISH and XADD can (functions came with Redis 7)")
	}
}
