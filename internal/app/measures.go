package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"magpie/internal/api"
	"magpie/internal/build"
	"magpie/internal/door"
	"magpie/internal/engine/redis"
	"magpie/internal/metrics"
	"magpie/internal/node"
	"magpie/internal/protocol/centrifuge"
)

// measures is what /metrics shows. Names of channels and users are never
// labels: clients choose them.
type measures struct {
	registry *prometheus.Registry
	probe    prometheus.Histogram
	received *metrics.Counter
}

func newMeasures() *measures {
	m := &measures{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.probe = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "magpie_redis_probe_seconds", Help: "Time from a probe's PUBLISH to its arrival on the subscriber connection.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "magpie_build_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": build.Version()}})
	build.Set(1)
	m.registry.MustRegister(build)
	return m
}

// Routes are the paths of the metrics.
func (m *measures) Routes() []door.Route {
	return []door.Route{door.Local("GET", "/metrics", page(m.handler()))}
}

func (m *measures) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// watch shows the counters that hub and sessions keep.
func (m *measures) watch(c *core, health *api.Health) {
	h, n := c.hub, c.node
	m.counter("magpie_messages_received_total", "Messages from the engine for channels of this node.", &h.Metrics.Received)
	m.counter("magpie_messages_delivered_total", "Messages times receivers.", &h.Metrics.Deliveries)
	m.counter("magpie_messages_published_total", "Messages that came in through this node's doors and were acknowledged.", &c.gate.Metrics.Published)
	m.counter("magpie_messages_refused_total", "Messages that came in through this node's doors and were not.", &c.gate.Metrics.Refused)
	m.counter("magpie_log_fills_total", "Times the log was read because an offset was missing.", &h.Metrics.Fills)
	m.counter("magpie_gaps_total", "Times subscribers were told that messages are lost.", &h.Metrics.Gaps)
	m.counter("magpie_inbox_overflows_total", "Messages left to the log because a channel's inbox was full.", &h.Metrics.Overflows)
	m.counter("magpie_sessions_opened_total", "Sessions opened.", &n.Metrics.Opened)
	m.counter("magpie_requests_refused_total", "Requests of clients that made more than max_requests in a second.", &c.gate.Metrics.Hurried)
	m.counter("magpie_new_channels_refused_total", "Requests of clients that began more than max_new_channels in a minute.", &c.gate.Metrics.Unknown)
	m.counter("magpie_idempotency_keys_refused_total", "Publications of clients that used more than max_idempotency_keys.", &c.gate.Metrics.Keys)
	m.counter("magpie_sessions_refused_total", "Connections refused because their user had max_user_sessions on this node.", &n.Metrics.Refused)
	a := &c.addresses.Metrics
	m.counter("magpie_handshakes_refused_total", "Connections and streams refused because more than max_handshakes began in a second.", &a.AllHandshakes)
	m.counter("magpie_address_handshakes_refused_total", "Connections and streams refused because their address began more than max_address_handshakes in a second.", &a.Handshakes)
	m.counter("magpie_address_sessions_refused_total", "Connections and streams refused because their address had max_address_sessions on this node.", &a.Sessions)
	m.counter("magpie_guesses_total", "API keys and tokens that are wrong; expired ones do not count.", &a.Guessed)
	m.counter("magpie_guesses_refused_total", "Of them those of addresses that had shown more than max_guesses in a minute.", &a.Guesses)
	m.counter("magpie_session_flushers_total", "Times the kernel did not take a frame at once.", n.Flushed())
	m.gauge("magpie_sessions", "Open sessions.", func() float64 { return float64(n.Metrics.Sessions.Value()) })
	m.gauge("magpie_marks", "Revoked tokens and users kept away that this node knows of.", func() float64 { return float64(n.Marks()) })
	m.gauge("magpie_channels", "Channels this node listens to.", func() float64 { return float64(h.Metrics.Channels.Value()) })
	m.gauge("magpie_subscriptions", "Subscriptions of all sessions.", func() float64 { return float64(h.Metrics.Subscriptions.Value()) })
	m.gauge("magpie_ready", "1 while the node can deliver.", func() float64 {
		if health.State() != nil {
			return 0
		}
		return 1
	})
	m.registry.MustRegister(closings{n, prometheus.NewDesc("magpie_sessions_closed_total", "Sessions closed, by reason.", []string{"reason"}, nil)})
}

// calls shows what servers ask of this node and nodes of each other.
func (m *measures) calls(s *api.Server, n *node.Peers) {
	for name, calls := range s.Calls() {
		for result, c := range map[string]*metrics.Counter{"ok": &calls.Good, "error": &calls.Failed} {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "magpie_api_calls_total", Help: "Calls of the server API.",
				ConstLabels: prometheus.Labels{"method": name, "result": result},
			}, func() float64 { return float64(c.Value()) }))
		}
	}
	m.counter("magpie_api_bad_keys_total", "Calls of the server API without a key that is accepted.", &s.BadKeys)
	m.counter("magpie_node_orders_total", "Orders of servers that this node took, for sessions wherever they are.", &n.Metrics.Orders)
	m.counter("magpie_node_signals_dropped_total", "Signals of nodes that could not be read or found the queue full.", &n.Metrics.Dropped)
	m.counter("magpie_node_questions_partial_total", "Questions of this node that not all nodes answered in time.", &n.Metrics.Partial)
}

// redisEngine shows what a Redis engine knows of itself.
func (m *measures) redisEngine(e *redis.Engine) {
	m.gauge("magpie_redis_channels_unheard", "Channels this node listens to and does not hear: Redis refuses them, or the connection is down.",
		func() float64 { return float64(e.Unheard()) })
}

func (m *measures) counter(name, help string, c *metrics.Counter) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(c.Value()) }))
}

func (m *measures) gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// closings shows the ends of sessions by reason.
type closings struct {
	node *node.Node
	desc *prometheus.Desc
}

func (c closings) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c closings) Collect(out chan<- prometheus.Metric) {
	for reason, n := range c.node.Metrics.Closed() {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), string(reason))
	}
}

// messageIn counts a message that a WebSocket client sent.
func (m *measures) messageIn() func(int) {
	if m.received == nil { // all doors' sockets count together
		m.received = new(metrics.Counter)
		m.counter("magpie_websocket_messages_received_total", "Whole WebSocket messages read from clients.", m.received)
	}
	return func(int) { m.received.Add(1) }
}

// clients shows what the Centrifuge door does.
func (m *measures) clients(d *centrifuge.Door) {
	m.counter("magpie_centrifuge_commands_total", "Commands of Centrifuge clients.", &d.Metrics.Commands)
	m.counter("magpie_centrifuge_commands_refused_total", "Commands of Centrifuge clients that were answered with an error.", &d.Metrics.Refused)
	m.counter("magpie_centrifuge_sends_dropped_total", "Messages of Centrifuge clients to the server, which nobody takes.", &d.Metrics.Dropped)
	m.counter("magpie_centrifuge_emulated_requests_total", "Requests with commands of sessions over HTTP.", &d.Metrics.Emulated)
	m.counter("magpie_centrifuge_news_dropped_total", "Joins and leaves that could not be published.", &d.Metrics.News)
}

func (m *measures) redis() redis.Metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		m.registry.MustRegister(v)
		return v
	}
	count := func(name, help string) func() {
		c := new(metrics.Counter)
		m.counter(name, help, c)
		return func() { c.Add(1) }
	}
	m.registry.MustRegister(m.probe)
	refused := vec("magpie_redis_refused_total", "Commands and subscriptions that Redis refused, by reason.", "reason")
	dropped := vec("magpie_redis_plain_dropped_total", "Plain PUBLISHes that were not taken in, by reason.", "reason")
	ingested := vec("magpie_redis_ingested_total", "Entries read from ingested streams, by result.", "result")
	return redis.Metrics{
		PlainDropped:     func(reason string) { dropped.WithLabelValues(reason).Inc() },
		Ingested:         func(result string) { ingested.WithLabelValues(result).Inc() },
		Refused:          func(reason string) { refused.WithLabelValues(reason).Inc() },
		EnvelopeSkipped:  count("magpie_redis_envelopes_skipped_total", "Envelopes on live channels that could not be read."),
		SubscriberLost:   count("magpie_redis_subscriber_lost_total", "Times the subscriber connection to Redis ended."),
		PresenceRewrites: count("magpie_redis_presence_rewrites_total", "Times this node wrote its presence anew."),
		ProbeRoundTrip:   func(d time.Duration) { m.probe.Observe(d.Seconds()) },
	}
}
