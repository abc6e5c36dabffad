//! Rules of KafkaBackupValidation.

use std::collections::BTreeSet;

use contract::{CHECK_NAMES, LONGEST_TIMEOUT_SECS, MOST_WEBHOOKS, http_target};
use jiff::Timestamp;

use super::names::{object_name, topic_patterns};
use super::{backup_ref, cluster, schedule, storage};
use crate::finding::Findings;
use crate::oso::{
    ArchiveCheck, Checks, Evidence, KafkaBackupValidationSpec, Notifications, Sample, SecretKey, WebhookCheck,
};

/// Most results that a status keeps.
const LONGEST_HISTORY: u32 = 100;
/// Most characters of the name of a webhook.
const LONGEST_NAME: usize = 63;

pub(super) fn validation(out: &mut Findings, spec: &KafkaBackupValidationSpec, now: Timestamp) {
    backup_ref(out, &spec.backup_ref);
    if let Some(target) = &spec.kafka_cluster {
        cluster::cluster(out, "spec.kafkaCluster", target);
    }
    let of_cluster = checks(out, &spec.checks, spec.kafka_cluster.is_some());
    restore_ref(out, spec, of_cluster);
    if let Some(part) = &spec.sample {
        sample(out, part, &spec.checks);
    }
    if let Some(evidence) = &spec.evidence {
        evidence_block(out, evidence);
    }
    if let Some(told) = &spec.notifications {
        notifications(out, told);
    }
    schedule(out, spec.schedule.as_deref(), now);
    if spec.history_limit > LONGEST_HISTORY {
        let rule = format!("must be at most {LONGEST_HISTORY}");
        out.wrong("spec.historyLimit", spec.history_limit, &rule, "leave it out for 10");
    }
}

/// Whether a check of the archive is made.
fn is_made(check: Option<&ArchiveCheck>) -> bool {
    check.is_none_or(|check| check.enabled)
}

/// Judges the checks. Returns whether one of them asks the cluster.
fn checks(out: &mut Findings, checks: &Checks, cluster: bool) -> bool {
    let count = checks.message_count.as_ref().filter(|check| check.enabled);
    let range = checks.offset_range.as_ref().filter(|check| check.enabled);
    let positions = checks.consumer_group_offsets.as_ref().filter(|check| check.enabled);
    let of_archive = [&checks.structure, &checks.checksum, &checks.decode];
    let is_named = of_archive.iter().any(|check| check.as_ref().is_some_and(|check| check.enabled));
    let of_cluster = count.is_some() || range.is_some() || positions.is_some();
    if !is_named && !of_cluster && checks.custom_webhooks.is_empty() {
        out.missing("spec.checks", "needs at least one enabled check", "enable structure, decode or another");
    }
    if let Some(check) = count {
        topic_patterns(out, "spec.checks.messageCount.topics", &check.topics);
    }
    if let Some(check) = positions {
        super::not_empty(
            out,
            "spec.checks.consumerGroupOffsets.consumerGroups",
            &check.consumer_groups,
            "write the id of a group, or a glob",
        );
    }
    if !cluster {
        let (decode, structure) = (is_made(checks.decode.as_ref()), is_made(checks.structure.as_ref()));
        without_cluster(out, "messageCount", count.is_some(), ("decode", "counts the records of the archive", decode));
        without_cluster(
            out,
            "offsetRange",
            range.is_some(),
            ("structure", "looks at the ranges of offsets of the archive", structure),
        );
        without_cluster(out, "consumerGroupOffsets", positions.is_some(), ("", "", false));
    }
    webhooks(out, &checks.custom_webhooks);
    cluster && of_cluster
}

/// A check that compares with a cluster, where none is named: another one `does` what is left of it, or nothing is.
fn without_cluster(out: &mut Findings, name: &str, is_asked: bool, (other, does, is_made): (&str, &str, bool)) {
    if !is_asked {
        return;
    }
    if is_made {
        let rule =
            format!("compares with a cluster, and spec.kafkaCluster is not set: only {other} is made, which {does}");
        let fix = "name the cluster that the recovery point was restored into, or leave the check out";
        out.warn(&format!("spec.checks.{name}"), None, &rule, fix);
    } else {
        let rule = format!("is required for checks.{name}");
        out.missing("spec.kafkaCluster", &rule, "name the cluster, or disable that check");
    }
}

fn restore_ref(out: &mut Findings, spec: &KafkaBackupValidationSpec, of_cluster: bool) {
    let Some(reference) = &spec.restore_ref else { return };
    object_name(out, "spec.restoreRef.name", &reference.name);
    if spec.kafka_cluster.is_none() {
        out.missing("spec.kafkaCluster", "is required with restoreRef", "name the cluster that it restored into");
    } else if !of_cluster {
        let rule = "has no effect without a check of the cluster";
        let fix = "enable messageCount, offsetRange or consumerGroupOffsets, or remove it";
        out.wrong("spec.restoreRef", format!("{:?}", reference.name), rule, fix);
    }
}

fn sample(out: &mut Findings, sample: &Sample, checks: &Checks) {
    if !is_made(checks.checksum.as_ref()) && !is_made(checks.decode.as_ref()) {
        let rule = "has no effect where checks.checksum and checks.decode are disabled";
        out.missing("spec.sample", rule, "enable one of them, or remove it");
    }
    match (sample.percent, sample.bytes) {
        (Some(percent), None) => {
            if !(1..=100).contains(&percent) {
                out.wrong("spec.sample.percent", percent, "must be 1 to 100", "remove spec.sample to read everything");
            }
        }
        (None, Some(bytes)) => out.above_zero("spec.sample.bytes", bytes),
        (Some(_), Some(_)) | (None, None) => {
            out.missing("spec.sample", "needs one of percent and bytes", "write percent: 10, for example");
        }
    }
}

fn webhooks(out: &mut Findings, all: &[WebhookCheck]) {
    const FIELD: &str = "spec.checks.customWebhooks";
    if all.len() > MOST_WEBHOOKS {
        let rule = format!("has more than {MOST_WEBHOOKS} webhooks, which fit into one run");
        out.wrong(FIELD, format!("{} webhooks", all.len()), &rule, "make several resources");
    }
    let mut known: BTreeSet<&str> = CHECK_NAMES.into();
    for (number, hook) in all.iter().enumerate() {
        let at = format!("{FIELD}[{number}]");
        let (field, name) = (format!("{at}.name"), &hook.name);
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            let rule = format!("must have 1 to {LONGEST_NAME} characters");
            out.wrong(&field, format!("{} characters", name.chars().count()), &rule, "write a short name");
        } else if !known.insert(name) {
            out.wrong(&field, format!("{name:?}"), "is the name of another check", "write another name");
        }
        webhook(out, &at, hook);
    }
}

/// What stands in a URL behind the host may be a password: it is not shown.
fn webhook(out: &mut Findings, at: &str, hook: &WebhookCheck) {
    if let Some(rule) = http_target::broken_rule(&hook.url) {
        let (rule, fix) = rule.split_once("; ").unwrap_or((rule, "write it like https://checks.example.com/kafka"));
        out.wrong(&format!("{at}.url"), http_target::shown(&hook.url), rule, fix);
    }
    if !(1..=LONGEST_TIMEOUT_SECS).contains(&hook.timeout_secs) {
        let rule = format!("must be 1 to {LONGEST_TIMEOUT_SECS}");
        out.wrong(&format!("{at}.timeoutSecs"), hook.timeout_secs, &rule, "leave it out for 120");
    }
    if !(100..=599).contains(&hook.expected_status_code) {
        let (field, value) = (format!("{at}.expectedStatusCode"), hook.expected_status_code);
        out.wrong(&field, value, "must be an HTTP status, 100 to 599", "leave it out for 200");
    }
}

fn evidence_block(out: &mut Findings, evidence: &Evidence) {
    for (number, format) in evidence.formats.iter().enumerate() {
        out.one_of(&format!("spec.evidence.formats[{number}]"), format, &["json", "pdf"]);
    }
    if let Some(signing) = evidence.signing.as_ref().filter(|signing| signing.enabled) {
        object_name(out, "spec.evidence.signing.keySecret.name", &signing.key_secret.name);
    }
    if let Some(place) = &evidence.storage {
        storage::storage(out, "spec.evidence.storage", place);
    }
    out.above_zero("spec.evidence.retentionDays", evidence.retention_days);
}

fn notifications(out: &mut Findings, told: &Notifications) {
    if let Some(slack) = &told.slack {
        secret_key(out, "spec.notifications.slack.webhookSecret", &slack.webhook_secret);
    }
    if let Some(duty) = &told.pagerduty {
        secret_key(out, "spec.notifications.pagerduty.routingKeySecret", &duty.routing_key_secret);
        let severities = ["critical", "error", "warning", "info"];
        out.one_of("spec.notifications.pagerduty.severity", &duty.severity, &severities);
    }
}

fn secret_key(out: &mut Findings, at: &str, secret: &SecretKey) {
    object_name(out, &format!("{at}.name"), &secret.name);
    if secret.key.is_empty() {
        out.wrong(&format!("{at}.key"), "\"\"", "must not be empty", "write the key of the Secret");
    }
}
