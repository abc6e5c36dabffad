//! Rules of KafkaBackupValidation.

use jiff::Timestamp;

use super::names::{object_name, topic_patterns};
use super::{backup_ref, cluster, groups, schedule, storage};
use crate::finding::Findings;
use crate::oso::{Checks, Evidence, KafkaBackupValidationSpec, Notifications, WebhookCheck};

pub(super) fn validation(out: &mut Findings, spec: &KafkaBackupValidationSpec, now: Timestamp) {
    backup_ref(out, &spec.backup_ref);
    if let Some(target) = &spec.kafka_cluster {
        cluster::cluster(out, "spec.kafkaCluster", target);
    }
    checks(out, &spec.checks, spec.kafka_cluster.is_some());
    if let Some(evidence) = &spec.evidence {
        evidence_block(out, evidence);
    }
    if let Some(told) = &spec.notifications {
        notifications(out, told);
    }
    schedule(out, spec.schedule.as_deref(), now);
}

fn checks(out: &mut Findings, checks: &Checks, cluster: bool) {
    let count = checks.message_count.as_ref().filter(|check| check.enabled);
    let range = checks.offset_range.as_ref().filter(|check| check.enabled);
    let positions = checks.consumer_group_offsets.as_ref().filter(|check| check.enabled);
    if count.is_none() && range.is_none() && positions.is_none() && checks.custom_webhooks.is_empty() {
        out.missing("spec.checks", "needs at least one enabled check", "enable messageCount or another");
    }
    if let Some(check) = count {
        topic_patterns(out, "spec.checks.messageCount.topics", &check.topics);
    }
    if let Some(check) = positions {
        groups(out, "spec.checks.consumerGroupOffsets.consumerGroups", &check.consumer_groups);
        if !cluster {
            let rule = "is required for checks.consumerGroupOffsets";
            out.missing("spec.kafkaCluster", rule, "name the cluster, or disable that check");
        }
    }
    for (number, hook) in checks.custom_webhooks.iter().enumerate() {
        webhook(out, &format!("spec.checks.customWebhooks[{number}]"), hook);
    }
}

fn webhook(out: &mut Findings, at: &str, hook: &WebhookCheck) {
    let host = hook.url.strip_prefix("https://").or_else(|| hook.url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        let fix = "write it like https://checks.example.com/kafka";
        out.wrong(&format!("{at}.url"), format!("{:?}", hook.url), "must be an http or https URL", fix);
    }
    out.above_zero(&format!("{at}.timeoutSecs"), hook.timeout_secs);
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
        object_name(out, "spec.notifications.slack.webhookSecret.name", &slack.webhook_secret.name);
    }
    if let Some(duty) = &told.pagerduty {
        object_name(out, "spec.notifications.pagerduty.routingKeySecret.name", &duty.routing_key_secret.name);
        let severities = ["critical", "error", "warning", "info"];
        out.one_of("spec.notifications.pagerduty.severity", &duty.severity, &severities);
    }
}
