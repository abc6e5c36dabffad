//! Rules of KafkaBackup.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Patterns, age, cluster, config, groups, pod, storage, topics, without_effect};
use crate::finding::Findings;
use crate::schedule::{CronJob, Unread, is_often};
use crate::strimzi::{BackupOptions, KafkaBackupSpec, OffsetStorage, Schedule};
use crate::validate::backup::LEAST_SEGMENT;
use crate::validate::{OFTEN, is_readable};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

pub(in crate::validate) fn backup(out: &mut Findings, spec: &KafkaBackupSpec, patterns: Patterns, now: Timestamp) {
    let mut of_fields = Findings::default();
    fields(&mut of_fields, &spec.merged(), patterns, now);
    config::config(out, spec, of_fields);
}

/// The fields, with what `backup.config` says in their places.
fn fields(out: &mut Findings, spec: &KafkaBackupSpec, patterns: Patterns, now: Timestamp) {
    cluster::cluster(out, &spec.strimzi_cluster_ref);
    cluster::authentication(out, spec.authentication.as_ref());
    cluster::connection(out, spec.connection.as_ref());
    if let Some(selection) = &spec.topics {
        topics(out, "spec.topics.include", &selection.include, patterns);
        topics(out, "spec.topics.exclude", &selection.exclude, patterns);
    }
    if let Some(selection) = &spec.consumer_groups {
        groups(out, "spec.consumerGroups.include", &selection.include);
        groups(out, "spec.consumerGroups.exclude", &selection.exclude);
    }
    pod::logging(out, spec.logging.as_ref());
    pod::environment(out, "spec.env", &spec.env);
    storage::storage(out, &spec.storage);
    if let Some(options) = &spec.backup {
        modes(out, options);
        sizes(out, options);
    }
    pod::metrics_block(out, spec.metrics.as_ref());
    if let Some(block) = &spec.offset_storage {
        positions(out, block);
    }
    if let Some(block) = &spec.schedule {
        schedule(out, block, now);
        let continuous = spec.backup.as_ref().is_some_and(|options| options.continuous == Some(true));
        without_effect(out, "spec.schedule", continuous, "the backup is continuous");
    }
    retention(out, spec);
    pod::resources(out, spec.resources.as_ref());
    pod::template(out, spec.template.as_ref());
    pod::image(out, spec.image.as_ref());
}

fn modes(out: &mut Findings, options: &BackupOptions) {
    if options.continuous == Some(true) && options.stop_at_current_offsets == Some(true) {
        let fix = "keep one: continuous goes on, stopAtCurrentOffsets ends at a snapshot";
        out.wrong("spec.backup.continuous", true, "excludes stopAtCurrentOffsets", fix);
    }
    if let Some(start) = &options.start_offset {
        out.one_of("spec.backup.startOffset", start, &["earliest", "latest"]);
    }
    let internal = options.include_internal_topics == Some(true);
    let named = !options.internal_topics.is_empty() && !internal;
    without_effect(out, "spec.backup.internalTopics", named, "includeInternalTopics is not set");
    if options.encryption.as_ref().is_some_and(|block| block.enabled) {
        let fix = "leave it out, and use the encryption of the bucket";
        out.wrong("spec.backup.encryption.enabled", true, "must be false: archives are not encrypted", fix);
    }
    let why = "progress is saved into the archive itself";
    without_effect(out, "spec.backup.syncIntervalSecs", options.sync_interval_secs.is_some(), why);
}

fn sizes(out: &mut Findings, options: &BackupOptions) {
    let codec = options.compression.as_deref().unwrap_or("zstd");
    out.one_of("spec.backup.compression", codec, &CODECS);
    if let Some(level) = options.compression_level {
        let field = "spec.backup.compressionLevel";
        if !(1..=22).contains(&level) {
            out.wrong(field, level, "must be 1 to 22", "3 is a good start");
        }
        without_effect(out, field, codec != "zstd", "only zstd has levels");
    }
    if let Some(size) = options.segment_size {
        out.above_zero("spec.backup.segmentSize", size);
        if size > 0 && size.unsigned_abs() < LEAST_SEGMENT {
            let rule = "is less than a segment can be: 1048576 (1 MiB) is used";
            out.warn("spec.backup.segmentSize", Some(size.to_string()), rule, "set at least that");
        }
    }
    let positive = [
        ("segmentMaxIntervalMs", options.segment_max_interval_ms.map(i128::from)),
        ("parallelism", options.parallelism.map(i128::from)),
        ("checkpointIntervalSecs", options.checkpoint_interval_secs.map(i128::from)),
        ("pollIntervalMs", options.poll_interval_ms.map(i128::from)),
    ];
    for (name, value) in positive {
        if let Some(value) = value {
            out.above_zero(&format!("spec.backup.{name}"), value);
        }
    }
}

fn positions(out: &mut Findings, block: &OffsetStorage) {
    let at = |name: &str| format!("spec.offsetStorage.{name}");
    if let Some(backend) = &block.backend {
        out.one_of(&at("backend"), backend, &["sqlite", "memory"]);
    }
    let why = "positions are kept in the archive itself";
    without_effect(out, &at("backend"), block.backend.is_some(), why);
    without_effect(out, &at("dbPath"), block.db_path.is_some(), why);
    without_effect(out, &at("s3Key"), block.s3_key.is_some(), why);
    without_effect(out, &at("syncIntervalSecs"), block.sync_interval_secs.is_some(), why);
}

fn schedule(out: &mut Findings, block: &Schedule, now: Timestamp) {
    if !is_readable(out, "spec.schedule.cron", &block.cron) {
        return;
    }
    let zone = block.timezone.as_deref().unwrap_or("UTC");
    let known = CronJob::zone(zone);
    if known.is_none() {
        let fix = "write it like Europe/Berlin";
        out.wrong("spec.schedule.timezone", format!("{zone:?}"), "must be an IANA time zone", fix);
    }
    let shown = format!("{:?}", block.cron);
    match CronJob::parse(&block.cron, known.unwrap_or(TimeZone::UTC)) {
        Err(Unread { rule, fix }) => out.wrong("spec.schedule.cron", shown, &format!("the schedule {rule}"), &fix),
        Ok(schedule) if schedule.next_after(now).is_none() => {
            out.wrong("spec.schedule.cron", shown, "the schedule never comes to pass", "mend its days");
        }
        Ok(schedule) if is_often(|time| schedule.next_after(time), now) => {
            out.warn("spec.schedule.cron", Some(shown), OFTEN, "write a duration of a minute or more");
        }
        Ok(_) => {}
    }
}

fn retention(out: &mut Findings, spec: &KafkaBackupSpec) {
    let Some(retention) = &spec.retention else { return };
    if let Some(count) = retention.max_backups {
        out.above_zero("spec.retention.maxBackups", count);
    }
    if let Some(text) = &retention.max_age {
        age(out, "spec.retention.maxAge", text);
    }
    if retention.prune_on_schedule && retention.max_backups.is_none() && retention.max_age.is_none() {
        let fix = "set maxBackups, maxAge or both";
        out.warn("spec.retention", None, "removes nothing without maxBackups or maxAge", fix);
    }
    if spec.schedule.is_none() || !retention.prune_on_schedule {
        let fix = "set schedule and retention.pruneOnSchedule: true";
        let rule = "removes nothing: points are removed after scheduled runs, with pruneOnSchedule";
        out.warn("spec.retention", None, rule, fix);
    }
}
