//! What a run counts, in Prometheus' names and units. Fed by the run's events, so that numbers and story agree.

mod server;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contract::{Bound, EventKind, MetricsSpec};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use server::serve;

/// For how long the metrics of a run are served once it is over.
pub(crate) fn kept_alive(spec: &MetricsSpec) -> std::time::Duration {
    std::time::Duration::from_secs(spec.keep_alive_secs)
}

type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    topic: String,
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BoundLabels {
    by: String,
}

/// How far one partition is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionLag {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Offsets that are left, up to the last known end.
    pub(crate) records: u64,
    /// Whether that is the end now.
    pub(crate) is_known: bool,
    /// Offsets between the log's start and the reader: what retention may still take.
    pub(crate) margin: u64,
}

/// The metrics of one run.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    spec: MetricsSpec,
    ready: AtomicBool,
    records: Counter,
    bytes: Counter,
    progress: FloatGauge,
    record_rate: FloatGauge,
    byte_rate: FloatGauge,
    lag: Gauge,
    unknown: Gauge,
    partition_lag: Family<PartitionLabels, Gauge>,
    other_lag: Gauge,
    margin: Family<PartitionLabels, Gauge>,
    remaining: Gauge,
    bound: Family<BoundLabels, Gauge>,
    gaps: Counter,
    lost: Counter,
    timelines: Counter,
    warnings: Counter,
    missing: Counter,
    dropped: Counter,
    commits: Counter,
    points: Counter,
    last_commit: FloatGauge,
    last_point: FloatGauge,
    overdue: Gauge,
}

impl Metrics {
    /// Metrics of a run that has not begun.
    #[must_use]
    pub fn new(spec: &MetricsSpec, kind: &str, name: &str) -> Self {
        let mut all = Registry::with_prefix("kafka_backup");
        let labels = [("kind", kind.to_owned()), ("name", name.to_owned()), ("version", crate::VERSION.to_owned())];
        all.register("run", "The run", Info::new(labels.to_vec()));
        macro_rules! add {
            ($kind:ty, $name:literal, $help:literal) => {{
                let metric = <$kind>::default();
                all.register($name, $help, metric.clone());
                metric
            }};
            ($kind:ty, $name:literal, $help:literal, $unit:expr) => {{
                let metric = <$kind>::default();
                all.register_with_unit($name, $help, $unit, metric.clone());
                metric
            }};
        }
        Self {
            records: add!(Counter, "records", "Records moved by this run"),
            bytes: add!(Counter, "moved", "Bytes of record batches moved by this run", Unit::Bytes),
            progress: add!(FloatGauge, "progress", "Share of the work that is done", Unit::Ratios),
            record_rate: add!(FloatGauge, "records_per_second", "Records moved per second, over the last seconds"),
            byte_rate: add!(FloatGauge, "bytes_per_second", "Bytes moved per second, over the last seconds"),
            lag: add!(Gauge, "lag_records", "Offsets (backup) or records (restore) that are left"),
            unknown: add!(
                Gauge,
                "unknown_partitions",
                "Partitions of which nobody tells now where they end; lags count them up to the last known end"
            ),
            partition_lag: add!(
                Family<PartitionLabels, Gauge>,
                "partition_lag_records",
                "Offsets that are left in the partitions that are furthest behind"
            ),
            other_lag: add!(Gauge, "other_partitions_lag_records", "Offsets that are left in all other partitions"),
            margin: add!(
                Family<PartitionLabels, Gauge>,
                "retention_margin_records",
                "Offsets between the log's start and the reader, in the partition that is behind and where they are fewest"
            ),
            remaining: add!(
                Gauge,
                "remaining",
                "Time that is left at the present pace, -1 when unknown",
                Unit::Seconds
            ),
            bound: add!(Family<BoundLabels, Gauge>, "limited_by", "1 for what limits the run"),
            gaps: add!(Counter, "gaps", "Gaps: offsets that the source no longer had"),
            lost: add!(Counter, "gap_offsets", "Offsets inside gaps"),
            timelines: add!(Counter, "timelines", "Partitions whose log was cut below what was archived"),
            warnings: add!(Counter, "warnings", "Warnings"),
            missing: add!(Counter, "missing_topics", "Topics of the set that could not be read any more"),
            dropped: add!(Counter, "dropped_lines", "Lines of the output that nobody read in time"),
            commits: add!(Counter, "commits", "Log entries or states saved"),
            points: add!(Counter, "recovery_points", "Recovery points made"),
            last_commit: add!(FloatGauge, "last_commit_timestamp", "When progress was last saved", Unit::Seconds),
            overdue: add!(
                Gauge,
                "recovery_point_overdue",
                "How long a continuous run has had something new and made no recovery point, once that is three checkpoints; else 0",
                Unit::Seconds
            ),
            last_point: add!(FloatGauge, "last_recovery_point_timestamp", "When a point was last made", Unit::Seconds),
            ready: AtomicBool::new(false),
            spec: spec.clone(),
            registry: Mutex::new(all),
        }
    }

    /// Milliseconds between two updates.
    pub(crate) fn update_interval_ms(&self) -> u64 {
        self.spec.update_interval_ms
    }

    /// Whether the run has begun its work.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to memory cannot fail.
        let _ = encode(&mut out, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        out
    }

    /// Takes in an event. `now` is seconds since 1970.
    pub fn take(&self, event: &EventKind, now: f64) {
        match event {
            EventKind::Started { .. } => self.ready.store(true, Ordering::Relaxed),
            EventKind::Progress { records, bytes, percent, pace, .. } => {
                raise(&self.records, *records);
                raise(&self.bytes, *bytes);
                self.progress.set(percent / 100.0);
                self.record_rate.set(pace.records_per_sec);
                self.byte_rate.set(pace.bytes_per_sec);
                self.lag.set(pace.lag.cast_signed());
                self.unknown.set(pace.unknown_partitions.cast_signed());
                self.remaining.set(pace.remaining_secs.map_or(-1, u64::cast_signed));
                for (bound, name) in BOUNDS {
                    let labels = BoundLabels { by: name.to_owned() };
                    self.bound.get_or_create(&labels).set(i64::from(bound == pace.limited_by));
                }
            }
            EventKind::Gap { from, to, .. } => {
                self.gaps.inc();
                self.lost.inc_by(u64::try_from(to - from).unwrap_or(0));
            }
            EventKind::Timeline { .. } => drop(self.timelines.inc()),
            EventKind::Warning { .. } => drop(self.warnings.inc()),
            EventKind::Committed { sealed, .. } => {
                self.commits.inc();
                self.last_commit.set(now);
                if *sealed {
                    self.points.inc();
                    self.last_point.set(now);
                }
            }
            EventKind::Dropped { lines, .. } => drop(self.dropped.inc_by(*lines)),
            EventKind::Member { member } if member.change.is_missing() => drop(self.missing.inc()),
            EventKind::Planned { .. }
            | EventKind::Waiting { .. }
            | EventKind::Member { .. }
            | EventKind::Group { .. }
            | EventKind::OffsetsSaved { .. }
            | EventKind::Checked { .. }
            | EventKind::Finished { .. } => {}
        }
    }

    /// For how long a recovery point is overdue, 0 when it is not.
    pub(crate) fn take_overdue(&self, seconds: u64) {
        self.overdue.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Takes in how far each partition is behind. Only so many get a label of their own.
    pub(crate) fn take_lags(&self, mut lags: Vec<PartitionLag>) {
        let most = self.spec.max_partition_labels as usize;
        self.margin.clear();
        if let Some(lag) = lags.iter().filter(|lag| lag.records > 0).min_by_key(|lag| lag.margin) {
            let labels = PartitionLabels { topic: lag.topic.clone(), partition: lag.partition };
            self.margin.get_or_create(&labels).set(lag.margin.cast_signed());
        }
        // Of these is not known whether anything is left.
        lags.retain(|lag| lag.is_known || lag.records > 0);
        lags.sort_by(|a, b| {
            b.records.cmp(&a.records).then_with(|| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)))
        });
        let others: u64 = lags.iter().skip(most).map(|lag| lag.records).sum();
        self.other_lag.set(others.cast_signed());
        self.partition_lag.clear();
        for PartitionLag { topic, partition, records, .. } in lags.into_iter().take(most) {
            self.partition_lag.get_or_create(&PartitionLabels { topic, partition }).set(records.cast_signed());
        }
    }
}

const BOUNDS: [(Bound, &str); 6] = [
    (Bound::Idle, "idle"),
    (Bound::Broker, "broker"),
    (Bound::Throttle, "throttle"),
    (Bound::Quota, "quota"),
    (Bound::Store, "store"),
    (Bound::Cpu, "cpu"),
];

/// Brings a counter up to a total.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Pace;

    #[test]
    fn names_have_units_and_labels_have_a_limit() {
        let spec = MetricsSpec { max_partition_labels: 2, ..MetricsSpec::default() };
        let metrics = Metrics::new(&spec, "backup", "orders");
        let pace = Pace { lag: 9, unknown_partitions: 1, limited_by: Bound::Store, ..Pace::default() };
        metrics.take(
            &EventKind::Progress {
                records: 7,
                bytes: 70,
                percent: 50.0,
                topic: None,
                whole_at: None,
                overdue: None,
                pace,
            },
            1.0,
        );
        metrics.take(&EventKind::Gap { topic: "t".into(), partition: 0, from: 3, to: 8, reason: "r".into() }, 1.0);
        metrics.take(&EventKind::Committed { entry: 1, sealed: true, point: None, made: None }, 1_700_000_000.0);
        let lag = |partition, records| PartitionLag {
            topic: "t".into(),
            partition,
            records,
            is_known: true,
            margin: 100 - records,
        };
        let unknown = |partition, records| PartitionLag { is_known: false, ..lag(partition, records) };
        metrics.take_lags(vec![lag(0, 1), lag(1, 5), unknown(2, 3), lag(3, 1)]);
        let text = metrics.text();
        for line in [
            "kafka_backup_records_total 7",
            "kafka_backup_moved_bytes_total 70",
            "kafka_backup_progress_ratios 0.5",
            "kafka_backup_limited_by{by=\"store\"} 1",
            "kafka_backup_limited_by{by=\"cpu\"} 0",
            "kafka_backup_gap_offsets_total 5",
            "kafka_backup_last_recovery_point_timestamp_seconds 1700000000.0",
            "kafka_backup_unknown_partitions 1",
            "kafka_backup_partition_lag_records{topic=\"t\",partition=\"1\"} 5",
            "kafka_backup_other_partitions_lag_records 2",
            "kafka_backup_retention_margin_records{topic=\"t\",partition=\"1\"} 95",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert_eq!(text.matches("partition_lag_records{").count(), 2);
        // A lag of 0 is said only of a partition whose end is known.
        metrics.take_lags(vec![lag(0, 0), unknown(1, 0)]);
        let text = metrics.text();
        assert!(text.contains("partition_lag_records{topic=\"t\",partition=\"0\"} 0"), "{text}");
        assert!(!text.contains("partition_lag_records{topic=\"t\",partition=\"1\"}"), "{text}");
    }
}
