//! From a resource to the specification of a run. Pure, and total for resources that validation accepts: a value without
//! a meaning is an error, never dropped and never taken for another.
//!
//! Secrets become paths `<secret>/<key>` below the runner's secrets folder, volumes become `<claim>/<folder>` below its
//! volumes folder: the pod mounts them there.

mod cluster;
mod offsets;
mod retention;
mod storage;
mod validation;

pub mod strimzi;

mod parts;
mod pod;

pub mod job;

use contract::{
    BackupSpec, CircuitBreakerSpec, Compression, ExistingTopics, GroupRestore, InspectSpec, KafkaSpec, MetricsSpec,
    OffsetSaving, PatternSyntax, PointLine, RateLimit, Repartitioning, RestoreSpec, RunRef, RunSpec, SetOwner,
    StartOffset, StoreSpec, Strategy, WhenNewer,
};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::finding::{Finding, Level};
use crate::inspection::{InspectionLevel, KafkaBackupInspectionSpec};
use crate::oso::{
    self, CircuitBreaker, KafkaBackup, KafkaBackupSpec, KafkaRestoreSpec, Metrics, PointInTime, RateLimiting, Storage,
    VolumePlace,
};

pub use offsets::{mapping_path, offset_reset, offset_rollback, offset_store, offset_volume};
pub use retention::{prune, retention, strimzi_prune, strimzi_retention};
pub use storage::folder;
pub use validation::validation;

/// Least bytes of a segment that run specifications take.
const LEAST_SEGMENT: u64 = 1 << 20;
/// Partitions at once when nothing is said.
const PARTITIONS: u32 = 4;
/// Level where the codec has none of its own.
const ANY_LEVEL: i32 = 3;

/// Whose run it is, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// The claimed run.
    pub run: Option<RunRef>,
}

/// Whether a run that is not continuous adds to the points of earlier ones; else each is full. A snapshot it is in any case.
fn is_incremental(spec: &KafkaBackupSpec) -> bool {
    spec.stop_at_current_offsets && spec.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.enabled)
}

/// Whether the runs of a KafkaBackup extend one set.
#[must_use]
pub fn extends_set(spec: &KafkaBackupSpec) -> bool {
    spec.continuous || is_incremental(spec)
}

/// The run of a KafkaBackup.
///
/// # Errors
/// A value that validation refuses.
pub fn backup(identity: Identity, spec: &KafkaBackupSpec) -> Result<RunSpec, Finding> {
    let checkpoint = spec.checkpoint.as_ref();
    let compression = compression(&spec.compression)?;
    let backup = BackupSpec {
        topics: spec.topics.clone(),
        on_missing_topic: spec.on_missing_topic,
        exclude: Vec::new(),
        pattern_syntax: PatternSyntax::Glob,
        include_internal_topics: false,
        internal_topics: Vec::new(),
        groups: Vec::new(),
        exclude_groups: Vec::new(),
        incremental: is_incremental(spec),
        continuous: spec.continuous,
        start_offset: StartOffset::Earliest,
        poll_interval_ms: spec.poll_interval_ms,
        topic_refresh_secs: TOPIC_REFRESH_SECS,
        rate_limit: rates(spec.rate_limiting.as_ref()),
        max_concurrent_partitions: Some(
            spec.rate_limiting.as_ref().map_or(PARTITIONS, |limits| limits.max_concurrent_partitions),
        ),
        checkpoint_folder: checkpoint.and_then(|checkpoint| checkpoint.storage.as_ref()).map(volume),
        compression,
        compression_level: if compression == Compression::Zstd { spec.compression_level } else { ANY_LEVEL },
        segment_max_bytes: spec.segment_max_bytes.max(LEAST_SEGMENT),
        segment_max_interval_ms: spec.segment_max_interval_ms,
        checkpoint_interval_secs: checkpoint_secs(spec),
        open_transaction_wait_secs: TRANSACTION_WAIT_SECS,
        include_offset_headers: spec.include_offset_headers,
        source_cluster_id: spec.source_cluster_id.clone(),
        consumer_group_snapshot: spec.consumer_group_snapshot,
        on_gap: spec.on_gap,
        on_missing_segments: spec.on_missing_segments,
        adopt: false,
    };
    let kafka = cluster::cluster(&spec.kafka_cluster)?;
    let storage = storage::storage("spec.storage", &spec.storage)?;
    Ok(RunSpec {
        metrics: metrics(spec.metrics.as_ref()),
        backup: Some(backup),
        ..run(identity, kafka, storage, spec.circuit_breaker.as_ref())
    })
}

fn compression(name: &str) -> Result<Compression, Finding> {
    match name {
        "none" => Ok(Compression::None),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(unknown("spec.compression", name, "none, lz4, zstd")),
    }
}

/// A value for which lowering has no meaning.
fn unread(field: &str, value: &str, rule: &str, fix: &str) -> Finding {
    Finding {
        level: Level::Error,
        field: field.to_owned(),
        value: Some(format!("{value:?}")),
        rule: rule.to_owned(),
        fix: fix.to_owned(),
    }
}

/// A word that is none of `names`.
fn unknown(field: &str, value: &str, names: &str) -> Finding {
    unread(field, value, &format!("must be one of {names}"), "write one of them")
}

/// Seconds between two looks for new topics.
const TOPIC_REFRESH_SECS: u64 = 30;
/// Seconds between two saves of progress when nothing is said.
const CHECKPOINT_SECS: u64 = 30;

/// Seconds between two saves of a backup's progress; `None` when it is not saved.
#[must_use]
pub fn checkpoint_secs(spec: &KafkaBackupSpec) -> Option<u64> {
    match &spec.checkpoint {
        None => Some(CHECKPOINT_SECS),
        Some(checkpoint) => checkpoint.enabled.then_some(checkpoint.interval_secs),
    }
}
/// Seconds for which open transactions are waited for.
const TRANSACTION_WAIT_SECS: u64 = 60;

/// The run of a KafkaRestore. `storage` is where its recovery point lies: `backupRef.storage`, or that of the
/// KafkaBackup that `backupRef` names. `owner` is whose set it must be.
///
/// # Errors
/// A value that validation refuses.
pub fn restore(
    identity: Identity,
    spec: &KafkaRestoreSpec,
    storage: &Storage,
    owner: Option<SetOwner>,
) -> Result<RunSpec, Finding> {
    let (start_time, end_time) = spec.pitr.as_ref().map_or(Ok((None, None)), window)?;
    let state = spec.state_storage.as_ref().map(|state| storage::storage("spec.stateStorage", state)).transpose()?;
    let restore = RestoreSpec {
        from: spec.backup_ref.from().to_owned(),
        owner,
        topics: spec.topics.clone(),
        exclude: Vec::new(),
        pattern_syntax: PatternSyntax::Glob,
        topic_mapping: spec.topic_mapping.clone(),
        source_partitions: Vec::new(),
        partition_mapping: spec.partition_mapping.iter().map(mapped_partition).collect::<Result<_, _>>()?,
        repartitioning: spec.repartitioning.iter().map(repartitioned).collect::<Result<_, _>>()?,
        lineages: std::collections::BTreeMap::new(),
        timelines: std::collections::BTreeMap::new(),
        groups: groups(spec)?,
        state_storage: state,
        start_time,
        end_time,
        before_end_secs: None,
        existing_topics: if spec.purge_topics { ExistingTopics::Purge } else { ExistingTopics::Refuse },
        create_topics: spec.create_topics,
        default_replication_factor: spec.default_replication_factor,
        produce_acks: spec.produce_acks,
        produce_batch_size: spec.produce_batch_size,
        produce_timeout_ms: spec.produce_timeout_ms,
        rate_limit: rates(spec.rate_limiting.as_ref()),
        max_in_flight_bytes: contract::MAX_IN_FLIGHT_BYTES,
        max_concurrent_partitions: spec.rate_limiting.as_ref().map(|limits| limits.max_concurrent_partitions),
        // Absent in both: the recovery point knows, and says yes unless its backup said no.
        include_offset_headers: spec.include_original_offset_header.or(spec.include_offset_headers),
        strip_offset_headers: spec.strip_offset_headers,
        header_preflight: spec.header_preflight,
        on_unreadable: spec.on_unreadable,
        foreign_records: spec.foreign_records,
        plan_fingerprint: spec.plan_fingerprint.clone(),
        accept: spec.accept.clone(),
        // A Job that is run again after it was done stays done, whatever was backed up since.
        when_newer: WhenNewer::Warn,
        dry_run: spec.dry_run,
        undo_offsets: None,
    };
    let kafka = cluster::cluster(&spec.kafka_cluster)?;
    let storage = storage::storage("spec.backupRef.storage", storage)?;
    Ok(RunSpec { restore: Some(restore), ..run(identity, kafka, storage, spec.circuit_breaker.as_ref()) })
}

/// Which consumer groups are taken along. All of them with `autoConsumerGroups`; what is done with their offsets says
/// `offsetReset`, where it is enabled.
fn groups(spec: &KafkaRestoreSpec) -> Result<Option<GroupRestore>, Finding> {
    let reset = spec.offset_reset.as_ref().filter(|reset| reset.enabled);
    let commit = match reset.map(|reset| reset.strategy.as_str()) {
        None if !spec.auto_consumer_groups => return Ok(None),
        None | Some("auto") => true,
        Some("manual" | "dry_run") => false,
        Some(other) => return Err(unknown("spec.offsetReset.strategy", other, "manual, auto, dry_run")),
    };
    let named = reset.filter(|_| !spec.auto_consumer_groups).map(|reset| reset.consumer_groups.clone());
    let (include, mapping) = (named.unwrap_or_default(), spec.group_mapping.clone());
    let rollback = spec.rollback.as_ref();
    let saving = rollback.map(|rollback| OffsetSaving {
        skip: !rollback.snapshot_before_restore,
        keep_hours: Some(rollback.snapshot_retention_hours),
        storage: rollback
            .snapshot_storage
            .as_ref()
            .map(|place| storage::in_volume(&place.pvc_name, place.sub_path.as_deref())),
    });
    Ok(Some(GroupRestore {
        include,
        mapping,
        commit,
        saving: saving.unwrap_or_default(),
        // A dry run of the offsets writes nothing at all.
        save_mapping: reset.is_none_or(|reset| reset.strategy != "dry_run"),
        roll_back_on_failure: commit && rollback.is_some_and(|rollback| rollback.auto_rollback_on_failure),
        ..GroupRestore::default()
    }))
}

/// Whether a restore puts committed offsets back that it changed, should it fail. Known without its KafkaBackup.
#[must_use]
pub fn undoes(spec: &KafkaRestoreSpec) -> bool {
    matches!(groups(spec), Ok(Some(groups)) if groups.roll_back_on_failure)
}

/// A pair of `partitionMapping`, whose keys are texts in JSON.
fn mapped_partition((source, target): (&String, &i32)) -> Result<(i32, i32), Finding> {
    let field = format!("spec.partitionMapping.{source}");
    let partition = source.parse().map_err(|_| unread(&field, source, "must be a partition", "write its number"))?;
    Ok((partition, *target))
}

fn repartitioned((topic, rule): (&String, &oso::Repartitioning)) -> Result<(String, Repartitioning), Finding> {
    let strategy = match rule.strategy.as_str() {
        "murmur2" => Strategy::Murmur2,
        "automatic" => Strategy::Automatic,
        other => return Err(unknown(&format!("spec.repartitioning.{topic}.strategy"), other, "murmur2, automatic")),
    };
    Ok((topic.clone(), Repartitioning { strategy, target_partitions: rule.target_partitions }))
}

/// What the pod of an inspection of a KafkaBackup is told.
///
/// # Errors
/// A storage of the KafkaBackup that validation refuses.
pub fn inspection(
    spec: &KafkaBackupInspectionSpec,
    storage: &Storage,
    owner: SetOwner,
) -> Result<InspectSpec, Finding> {
    Ok(InspectSpec {
        format_version: contract::FORMAT_VERSION,
        name: spec.backup_ref.as_ref().map(|backup| backup.name.clone()).unwrap_or_default(),
        owner: Some(owner),
        storage: storage::storage("spec.storage", storage)?,
        allowed_endpoints: Vec::new(),
        check: None,
        source: None,
        reads_source: spec.level == InspectionLevel::Diff,
        token_digest: spec.token_digest.to_ascii_lowercase(),
        records: spec.level == InspectionLevel::Peek,
        idle_secs: u64::from(spec.idle_secs),
    })
}

/// What the pod of a check is told: the run that it is about, whole.
#[must_use]
pub fn check(spec: &KafkaBackupInspectionSpec, run: RunSpec) -> InspectSpec {
    InspectSpec {
        format_version: contract::FORMAT_VERSION,
        name: run.name.clone(),
        owner: None,
        storage: run.storage.clone(),
        allowed_endpoints: run.allowed_endpoints.clone(),
        check: Some(Box::new(run)),
        source: None,
        reads_source: false,
        token_digest: spec.token_digest.to_ascii_lowercase(),
        records: false,
        idle_secs: u64::from(spec.idle_secs),
    }
}

/// [`set_owner`] of a KafkaBackup of `kafka.oso.sh`.
#[must_use]
pub fn set_owner_of(backup: &KafkaBackup, point: Option<&str>) -> SetOwner {
    let known = backup.status.as_ref().map_or(&[][..], |status| &status.recent_points);
    set_owner(backup, known, point)
}

/// Whose set a reader of a KafkaBackup expects: its own. The cluster is the one that its status, of which these are the `known`
/// points, tells of the point that `point` names, of the newest one when it names none; any for a point that the status does not know.
#[must_use]
pub fn set_owner(backup: &impl ResourceExt, known: &[PointLine], point: Option<&str>) -> SetOwner {
    let name = backup.name_any();
    let line = match point.filter(|point| *point != name) {
        Some(point) => known.iter().find(|line| line.name == point),
        None => known.last(),
    };
    SetOwner { namespace: backup.namespace(), cluster_id: line.and_then(|line| line.cluster_id.clone()), name }
}

/// What all runs have.
fn run(identity: Identity, kafka: KafkaSpec, storage: StoreSpec, breaker: Option<&CircuitBreaker>) -> RunSpec {
    let breaker = match breaker {
        Some(breaker) if breaker.enabled => CircuitBreakerSpec {
            enabled: true,
            failure_threshold: breaker.failure_threshold,
            reset_timeout_secs: breaker.reset_timeout_secs,
            success_threshold: breaker.success_threshold,
            operation_timeout_ms: breaker.operation_timeout_ms,
        },
        // The numbers of one that is off mean nothing.
        Some(_) => CircuitBreakerSpec { enabled: false, ..CircuitBreakerSpec::default() },
        None => CircuitBreakerSpec::default(),
    };
    RunSpec {
        format_version: contract::FORMAT_VERSION,
        name: identity.name,
        namespace: identity.namespace,
        run: identity.run,
        kafka,
        storage,
        // The installation knows them, not the resource.
        allowed_endpoints: Vec::new(),
        circuit_breaker: breaker,
        // Nothing listens unless somebody asks for it: the resource, or the installation.
        metrics: None,
        backup: None,
        restore: None,
        offset_reset: None,
        offset_rollback: None,
        validation: None,
        prune: None,
    }
}

fn rates(limits: Option<&RateLimiting>) -> RateLimit {
    limits.map_or_else(RateLimit::default, |limits| RateLimit {
        records_per_sec: limits.records_per_sec,
        bytes_per_sec: limits.bytes_per_sec,
    })
}

fn metrics(block: Option<&Metrics>) -> Option<MetricsSpec> {
    block.filter(|block| block.enabled).map(|block| MetricsSpec {
        bind_address: block.bind_address.clone(),
        port: block.port,
        path: block.path.clone(),
        update_interval_ms: block.update_interval_ms,
        max_partition_labels: block.max_partition_labels,
        keep_alive_secs: 0,
    })
}

fn volume(place: &VolumePlace) -> String {
    folder(&place.pvc_name, place.sub_path.as_deref())
}

/// Both ends as text; milliseconds win, as validation refuses ends that differ.
fn window(window: &PointInTime) -> Result<(Option<String>, Option<String>), Finding> {
    let start = bound("start", window.start_timestamp, window.start_time.as_ref())?;
    Ok((start, bound("end", window.end_timestamp, window.end_time.as_ref())?))
}

fn bound(name: &str, millis: Option<i64>, text: Option<&String>) -> Result<Option<String>, Finding> {
    if let Some(text) = text {
        let field = format!("spec.pitr.{name}Time");
        let read = text.parse::<Timestamp>();
        read.map_err(|_| {
            unread(&field, text, "must be a time with its zone (RFC 3339)", "write it like 2026-01-31T12:00:00Z")
        })?;
    }
    let Some(millis) = millis else { return Ok(text.cloned()) };
    let stamp = Timestamp::from_millisecond(millis).map_err(|_| {
        let (field, rule) =
            (format!("spec.pitr.{name}Timestamp"), "must be milliseconds since 1970, before the year 10000");
        unread(&field, &millis.to_string(), rule, "write a time of this calendar")
    })?;
    Ok(Some(stamp.to_string()))
}
