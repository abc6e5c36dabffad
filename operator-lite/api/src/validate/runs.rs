//! What a runner would refuse of the run that a resource asks for. Pure: the run is made as the operator makes it, judged by its
//! own rules, and each broken one is told by the field of the resource. So nothing is taken that ends in a run that fails at once.
//!
//! It is asked where the rules of the kind found nothing wrong: those say more.

use contract::{RunSpec, SpecFinding, StoreSpec, UNENCRYPTED};

use crate::finding::{Finding, Findings, Level};
use crate::lower;

/// Stands for what is known when the resource runs: its name, where another resource keeps its data.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// Fields of runs and those of resources that they come from. What is below goes on with the same names. The first that fits counts.
pub(super) type Origins = &'static [(&'static str, &'static str)];

/// Where fields of all runs come from.
const COMMON: Origins = &[
    ("kafka.tls", "spec.kafkaCluster.tlsSecret"),
    ("kafka.sasl", "spec.kafkaCluster.saslSecret"),
    ("kafka", "spec.kafkaCluster"),
    ("circuitBreaker", "spec.circuitBreaker"),
    ("metrics", "spec.metrics"),
];

/// Where those of each kind of `kafka.oso.sh` come from.
pub(super) const OSO: Origins = &[
    ("backup.checkpointIntervalSecs", "spec.checkpoint.intervalSecs"),
    ("backup.checkpointFolder", "spec.checkpoint.storage"),
    ("backup.rateLimit", "spec.rateLimiting"),
    ("backup.maxConcurrentPartitions", "spec.rateLimiting.maxConcurrentPartitions"),
    ("backup", "spec"),
    ("restore.from", "spec.backupRef.backupId"),
    ("restore.owner", "spec.backupRef.name"),
    ("restore.startTime", "spec.pitr"),
    ("restore.endTime", "spec.pitr"),
    ("restore.groups.mapping", "spec.groupMapping"),
    ("restore.groups.include", "spec.offsetReset.consumerGroups"),
    ("restore.groups.saving.keepHours", "spec.rollback.snapshotRetentionHours"),
    ("restore.groups.rollBackOnFailure", "spec.rollback.autoRollbackOnFailure"),
    ("restore.groups", "spec.offsetReset"),
    ("restore.existingTopics", "spec.purgeTopics"),
    ("restore.rateLimit", "spec.rateLimiting"),
    ("restore.maxConcurrentPartitions", "spec.rateLimiting.maxConcurrentPartitions"),
    ("restore", "spec"),
    ("offsetReset.groups", "spec.consumerGroups"),
    ("offsetReset.to.timestamp", "spec.resetTimestamp"),
    ("offsetReset.to.offset", "spec.resetOffset"),
    ("offsetReset.to.mapping", "spec.offsetMappingRef"),
    ("offsetReset", "spec"),
    ("offsetRollback.groups", "spec.consumerGroups"),
    ("offsetRollback.from.id", "spec.snapshotRef.name"),
    ("offsetRollback.from.path", "spec.snapshotRef.path"),
    ("offsetRollback", "spec"),
    ("validation.from", "spec.backupRef.backupId"),
    ("validation.owner", "spec.backupRef.name"),
    ("validation.restore", "spec.restoreRef"),
    ("validation.checks.consumerGroupOffsets.groups", "spec.checks.consumerGroupOffsets.consumerGroups"),
    ("validation.checks.webhooks", "spec.checks.customWebhooks"),
    ("validation.sample.size", "spec.sample"),
    ("validation.notify.slack.urlFile", "spec.notifications.slack.webhookSecret"),
    ("validation.notify.pagerduty.routingKeyFile", "spec.notifications.pagerduty.routingKeySecret"),
    ("validation.notify", "spec.notifications"),
    ("validation.evidence.signing", "spec.evidence.signing.keySecret"),
    ("validation", "spec"),
];

/// Where those of the kinds of the Strimzi groups come from.
pub(super) const STRIMZI: Origins = &[
    ("backup.topics", "spec.topics"),
    ("backup.exclude", "spec.topics"),
    ("backup.groups", "spec.consumerGroups"),
    ("backup.excludeGroups", "spec.consumerGroups"),
    ("backup", "spec.backup"),
    ("restore.from", "spec.backupRef.backupId"),
    ("restore.topics", "spec.topics"),
    ("restore.exclude", "spec.topics"),
    ("restore.topicMapping", "spec.topicMapping"),
    ("restore.startTime", "spec.pointInTime"),
    ("restore.endTime", "spec.pointInTime"),
    ("restore.beforeEndSecs", "spec.pointInTime.offsetFromEnd"),
    ("restore.groups", "spec.consumerGroups"),
    ("restore", "spec.restore"),
    ("kafka.connection", "spec.connection"),
    // Its blocks have other names.
    ("storage", "spec.storage"),
];

/// Where stores come from, the longest first.
const STORES: Origins = &[
    ("restore.groups.saving.storage", "spec.rollback.snapshotStorage"),
    ("restore.stateStorage", "spec.stateStorage"),
    ("offsetReset.to.mapping.storage", "spec.offsetMappingRef"),
    ("validation.evidence.storage", "spec.evidence.storage"),
];

/// A resource without a finding has a run, which the runner takes, and its specification travels with its pod, where room is
/// bounded. `storage` is the field that the storage of the run comes from, `origins` says the same of other fields; `fix` helps where
/// the specification is too large.
pub(super) fn fits(out: &mut Findings, run: Result<RunSpec, Finding>, (storage, origins): (&str, Origins), fix: &str) {
    let run = match run {
        Ok(run) => RunSpec { name: ELSEWHERE.to_owned(), ..run },
        Err(finding) => return out.once(finding),
    };
    let bytes = serde_json::to_string(&run).map_or(usize::MAX, |text| text.len());
    if bytes > lower::job::SPEC_LIMIT {
        let rule = format!("makes a run specification that is larger than {} bytes", lower::job::SPEC_LIMIT);
        out.wrong("spec", format!("{bytes} bytes"), &rule, fix);
    }
    if out.is_without_error() {
        // That one is a warning: resources of other operators leave allowHttp out.
        let found = run.findings().into_iter().filter(|found| found.rule != UNENCRYPTED);
        found.for_each(|found| out.add(told(&found, &run, (storage, origins))));
    }
}

/// A broken rule of a run, told by the field of the resource.
fn told(found: &SpecFinding, run: &RunSpec, from: (&str, Origins)) -> Finding {
    let (rule, fix) = found.rule.rsplit_once("; ").unwrap_or((&found.rule, "write it so"));
    Finding {
        level: Level::Error,
        field: origin(&found.field, run, from),
        value: None,
        rule: rule.to_owned(),
        fix: fix.to_owned(),
    }
}

/// The field of a resource that a field of its run comes from; `spec` for one that no field of it sets.
fn origin(field: &str, run: &RunSpec, (storage, origins): (&str, Origins)) -> String {
    let below = |prefix: &str| {
        field.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
    };
    let whole = origins.iter().find(|(prefix, _)| *prefix == "storage" && below(prefix).is_some());
    if let Some((_, at)) = whole {
        return (*at).to_owned();
    }
    let stores = STORES.iter().copied().chain([("storage", storage)]);
    for (prefix, at) in stores {
        if let Some(rest) = below(prefix) {
            let store = run.stores().find(|(name, _)| *name == prefix);
            return store.map_or_else(|| at.to_owned(), |(_, store)| of_store(at, store, rest.trim_start_matches('.')));
        }
    }
    let known = origins.iter().chain(COMMON).find_map(|(prefix, at)| Some((*at, below(prefix)?)));
    known.map_or_else(|| "spec".to_owned(), |(at, rest)| format!("{at}{rest}"))
}

/// The same for a field of a store.
fn of_store(at: &str, store: &StoreSpec, field: &str) -> String {
    let block = match store {
        // The claim of these blocks is a field of its own.
        StoreSpec::Filesystem { .. } if !at.ends_with("torage") || at.ends_with("snapshotStorage") => {
            return format!("{at}.{}", if field == "prefix" { "subPath" } else { "pvcName" });
        }
        StoreSpec::Filesystem { .. } => "pvc",
        StoreSpec::S3 { .. } => "s3",
        StoreSpec::Azure { .. } => "azure",
        StoreSpec::Gcs { .. } => "gcs",
    };
    let name = match (block, field) {
        ("pvc", "path") => "claimName",
        ("pvc", "prefix") => "subPath",
        ("azure", "account") => "accountName",
        (_, name) if name.starts_with("credentials") => "credentialsSecret",
        (_, name) if name.starts_with("tls") => "caSecret",
        (_, name) => name,
    };
    if name.is_empty() { format!("{at}.{block}") } else { format!("{at}.{block}.{name}") }
}
