package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// The catalogue of metrics, but for those of requests, which package query
// measures itself. Names and labels are a contract.
var (
	buildInfo = describe("build_info", "Always 1; the labels tell the version.", "version", "goversion")

	sourceState      = describe("source_state", "1 for what is being done with the source.", "state")
	lagSeconds       = describe("lag_seconds", "Seconds since the index was last known to equal the source; 0 while it does.")
	positionAge      = describe("position_age_seconds", "Seconds since the position last moved.")
	heartbeatAge     = describe("heartbeat_age_seconds", "Seconds since the source was last heard of.")
	sourceTx         = describe("source_transactions_total", "Transactions read from the binlog.")
	sourceBytes      = describe("source_bytes_total", "Bytes read from the binlog.")
	sourceRows       = describe("source_rows_total", "Rows of the relation's table read from the binlog.", "relation", "op")
	sourceSkipped    = describe("source_skipped_rows_total", "Rows that are no edge.", "relation", "reason")
	sourceReconnects = describe("source_reconnects_total", "Times that following the source broke off.", "reason")
	snapshotRows     = describe("snapshot_rows", "Rows read from the relation's table, by the snapshot and by rescans.", "relation")

	rescansTotal  = describe("rescans_total", "Times that the relation's table was read again.", "relation")
	rescanRows    = describe("rescan_rows", "Rows read by the rescan that runs, or the last.", "relation")
	rescanRunning = describe("rescan_running", "1 while the relation's table is being read again.", "relation")

	relationState = describe("relation_state", "1 for the relation's state.", "relation", "state")
	relationKeys  = describe("relation_keys", "Keys that have values.", "relation")
	relationEdges = describe("relation_edges", "Edges.", "relation")
	relationRows  = describe("relation_rows", "Rows that the edges come from.", "relation")
	relationBytes = describe("relation_bytes", "Memory held by the relation's postings.", "relation")
	changesTotal  = describe("changes_total", "Changes made to the index.", "relation", "op")
	driftEdges    = describe("drift_edges_total", "Edges that were found to differ from the source.", "relation")

	checkpointAge      = describe("checkpoint_age_seconds", "Seconds since the last checkpoint.")
	checkpointDuration = describe("checkpoint_duration_seconds", "Seconds that the last checkpoint took.")
	checkpointBytes    = describe("checkpoint_bytes", "Bytes that the last checkpoint wrote.")
	checkpointsTotal   = describe("checkpoints_total", "Checkpoints written.")
	checkpointFailures = describe("checkpoint_failures_total", "Checkpoints that failed.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kith_"+name, help, labels, nil)
}

// newRegistry returns a registry of everything but requests.
func newRegistry(s *service) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{s},
	)
	return r
}

// collector reads the metrics from where they are counted.
type collector struct{ *service }

// Describe tells nothing: the set of metrics is not checked beforehand.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	m := emitter(ch)
	m.gauge(buildInfo, 1, versionText(), runtime.Version())
	c.collectSource(m)
	c.collectRelations(m)
	c.collectCheckpoints(m)
}

func (c *collector) collectSource(m emitter) {
	status := c.follower.Status()
	for _, stage := range []canal.Stage{canal.Connecting, canal.Snapshot, canal.Following, canal.Stopped} {
		m.gauge(sourceState, oneIf(status.Stage == stage), string(stage))
	}
	m.gauge(lagSeconds, c.follower.Lag().Seconds())
	if !status.PositionAt.IsZero() {
		m.gauge(positionAge, age(status.PositionAt).Seconds())
	}
	if !status.HeardAt.IsZero() {
		m.gauge(heartbeatAge, age(status.HeardAt).Seconds())
	}
	m.counter(sourceTx, status.Transactions)
	m.counter(sourceBytes, status.Bytes)
	for reason, n := range status.Reconnects {
		m.counter(sourceReconnects, n, reason)
	}
	for i, r := range c.index.Status() {
		rows := status.Rows[i]
		m.counter(sourceRows, rows.Inserted, r.Name, "insert")
		m.counter(sourceRows, rows.Updated, r.Name, "update")
		m.counter(sourceRows, rows.Deleted, r.Name, "delete")
		m.counter(sourceSkipped, rows.Null, r.Name, "null")
		m.counter(sourceSkipped, rows.Negative, r.Name, "negative")
		m.gauge(snapshotRows, float64(rows.Snapshot), r.Name)
		rescan := status.Rescans[i]
		m.counter(rescansTotal, rescan.Ended, r.Name)
		m.gauge(rescanRows, float64(rescan.Rows), r.Name)
		m.gauge(rescanRunning, oneIf(rescan.Running), r.Name)
	}
}

func (c *collector) collectRelations(m emitter) {
	for _, r := range c.index.Status() {
		for _, state := range []indexer.State{indexer.Loading, indexer.Live, indexer.Stale, indexer.Halted} {
			m.gauge(relationState, oneIf(r.State == state), r.Name, state.String())
		}
		m.gauge(relationKeys, float64(r.Keys), r.Name)
		m.gauge(relationEdges, float64(r.Edges), r.Name)
		m.gauge(relationRows, float64(r.Rows), r.Name)
		m.gauge(relationBytes, float64(r.Bytes), r.Name)
		m.counter(driftEdges, r.Totals.Drifted, r.Name)
		m.counter(changesTotal, r.Totals.Added, r.Name, "add")
		m.counter(changesTotal, r.Totals.Removed, r.Name, "remove")
		m.counter(changesTotal, r.Totals.Cleared, r.Name, "clear")
	}
}

func (c *collector) collectCheckpoints(m emitter) {
	status := c.applier.CheckpointStatus()
	if !status.At.IsZero() {
		m.gauge(checkpointAge, age(status.At).Seconds())
	}
	m.gauge(checkpointDuration, status.Duration.Seconds())
	m.gauge(checkpointBytes, float64(status.Bytes))
	m.counter(checkpointsTotal, status.Written)
	m.counter(checkpointFailures, status.Failures)
}

// emitter sends metrics to a collection.
type emitter chan<- prometheus.Metric

func (m emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (m emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	m <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
