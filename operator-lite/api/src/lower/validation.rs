//! Runs of KafkaBackupValidation.

use contract::{
    EvidenceSpec, GroupOffsetsSpec, KafkaSpec, MessageCountSpec, NoticeSpec, PAGERDUTY, PagerDutySpec, RestoreName,
    RunSpec, SampleSize, SampleSpec, SetOwner, Severity, SigningSpec, SlackSpec, ValidationChecks, ValidationSpec,
    WebhookSpec,
};

use super::{Identity, cluster, run, storage, unknown};
use crate::finding::{Finding, Level};
use crate::oso::{
    ArchiveCheck, Checks, Evidence, KafkaBackupValidationSpec, Notifications, Sample, SecretKey, Storage,
};

/// The run of a KafkaBackupValidation. `storage` is where its recovery point lies: `backupRef.storage`, or that of the
/// KafkaBackup that `backupRef` names. `owner` is whose set it must be, `restore` the run that `restoreRef` names.
///
/// # Errors
/// A value that validation refuses.
pub fn validation(
    identity: Identity,
    spec: &KafkaBackupValidationSpec,
    storage: &Storage,
    owner: Option<SetOwner>,
    restore: Option<RestoreName>,
) -> Result<RunSpec, Finding> {
    let kafka = spec.kafka_cluster.as_ref().map(cluster::cluster).transpose()?;
    let part = ValidationSpec {
        from: spec.backup_ref.from().to_owned(),
        owner,
        restore,
        checks: checks(&spec.checks, kafka.is_some()),
        sample: spec.sample.as_ref().map(sample).transpose()?,
        notify: spec.notifications.as_ref().map(notify).transpose()?.flatten(),
        evidence: spec.evidence.as_ref().map(evidence).transpose()?,
    };
    let storage = storage::storage("spec.backupRef.storage", storage)?;
    // Without one, the archive alone is looked at.
    let kafka = kafka.unwrap_or_else(KafkaSpec::default);
    Ok(RunSpec { validation: Some(part), ..run(identity, kafka, storage, None) })
}

/// What is compared with a cluster is left out without one: validation warns of it, or refuses it.
fn checks(asked: &Checks, cluster: bool) -> ValidationChecks {
    let is_made = |check: &Option<ArchiveCheck>| check.as_ref().is_none_or(|check| check.enabled);
    let count = asked.message_count.as_ref().filter(|check| check.enabled && cluster);
    let groups = asked.consumer_group_offsets.as_ref().filter(|check| check.enabled && cluster);
    ValidationChecks {
        structure: is_made(&asked.structure),
        checksum: is_made(&asked.checksum),
        decode: is_made(&asked.decode),
        message_count: count
            .map(|check| MessageCountSpec { fail_threshold: check.fail_threshold, topics: check.topics.clone() }),
        offset_range: cluster && asked.offset_range.as_ref().is_some_and(|check| check.enabled),
        consumer_group_offsets: groups.map(|check| GroupOffsetsSpec { groups: check.consumer_groups.clone() }),
        webhooks: asked
            .custom_webhooks
            .iter()
            .map(|hook| WebhookSpec {
                name: hook.name.clone(),
                url: hook.url.clone(),
                timeout_secs: hook.timeout_secs,
                expected_status_code: hook.expected_status_code,
            })
            .collect(),
    }
}

fn sample(sample: &Sample) -> Result<SampleSpec, Finding> {
    let size = match (sample.percent, sample.bytes) {
        (Some(percent), None) => SampleSize::Percent(percent),
        (None, Some(bytes)) => SampleSize::Bytes(bytes),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Finding {
                level: Level::Error,
                field: "spec.sample".to_owned(),
                value: None,
                rule: "needs one of percent and bytes".to_owned(),
                fix: "write percent: 10, for example".to_owned(),
            });
        }
    };
    Ok(SampleSpec { size, seed: sample.seed })
}

/// The document itself is always JSON: pages show it, and a signature is one of it.
fn evidence(asked: &Evidence) -> Result<EvidenceSpec, Finding> {
    let mut pdf = false;
    for (number, format) in asked.formats.iter().enumerate() {
        match format.as_str() {
            "json" => {}
            "pdf" => pdf = true,
            other => return Err(unknown(&format!("spec.evidence.formats[{number}]"), other, "json, pdf")),
        }
    }
    let signing = asked.signing.as_ref().filter(|signing| signing.enabled).map(|signing| {
        let (secret, file) = (&signing.key_secret, |key: &str| format!("{}/{key}", signing.key_secret.name));
        SigningSpec { private_key_file: file(&secret.private_key_key), public_key_file: file(&secret.public_key_key) }
    });
    Ok(EvidenceSpec {
        pdf,
        signing,
        storage: asked.storage.as_ref().map(|place| storage::storage("spec.evidence.storage", place)).transpose()?,
        retention_days: asked.retention_days,
    })
}

/// Who is told; `None` where nobody is.
fn notify(told: &Notifications) -> Result<Option<NoticeSpec>, Finding> {
    let file = |secret: &SecretKey| format!("{}/{}", secret.name, secret.key);
    let pagerduty = match &told.pagerduty {
        Some(duty) => Some(PagerDutySpec {
            routing_key_file: file(&duty.routing_key_secret),
            severity: severity(&duty.severity)?,
            url: PAGERDUTY.to_owned(),
        }),
        None => None,
    };
    let slack = told.slack.as_ref().map(|slack| SlackSpec { url_file: file(&slack.webhook_secret) });
    Ok((slack.is_some() || pagerduty.is_some()).then_some(NoticeSpec { slack, pagerduty }))
}

fn severity(name: &str) -> Result<Severity, Finding> {
    match name {
        "critical" => Ok(Severity::Critical),
        "error" => Ok(Severity::Error),
        "warning" => Ok(Severity::Warning),
        "info" => Ok(Severity::Info),
        other => Err(unknown("spec.notifications.pagerduty.severity", other, "critical, error, warning, info")),
    }
}
