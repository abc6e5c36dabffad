//! A run that checks a recovery point, and a cluster that it was restored into. It changes neither.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoint::KafkaSpec;
use crate::evidence_spec::EvidenceSpec;
use crate::http_target;
use crate::notice_spec::NoticeSpec;
use crate::selection::{PatternSyntax, Selection};
use crate::set_owner::SetOwner;
use crate::{StoreSpec, names};

/// Most webhooks of one run.
pub const MOST_WEBHOOKS: usize = 20;
/// Longest time that a webhook may take, in seconds.
pub const LONGEST_TIMEOUT_SECS: u64 = 3_600;

/// Checks a recovery point.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationSpec {
    /// A backup set (its newest point, and all of its log) or a recovery point; the newest point of the storage when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Whose set it must be: another one is refused. Not asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<SetOwner>,
    /// The restore that wrote what `kafka` holds: the cluster is compared with what this restore noted. Absent: the cluster is
    /// compared with the recovery point, topics and partitions by their names and numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreName>,
    /// What is checked; at least one thing.
    pub checks: ValidationChecks,
    /// How much `checksum` and `decode` read; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// Who is told of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<NoticeSpec>,
    /// Which evidence is kept of the result; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceSpec>,
}

/// A restore into the cluster of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreName {
    /// Its name: `name` of its run specification.
    pub name: String,
    /// Its namespace; none outside Kubernetes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The storage of its state; that of the archive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_storage: Option<StoreSpec>,
}

/// What is checked. A check that is absent or false is not made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // each is a check of its own
pub struct ValidationChecks {
    /// The log, its links, summaries and counts; that every segment is there with its size, header and index.
    pub structure: bool,
    /// The digest of every block of the segments. Looks at the structure, too.
    pub checksum: bool,
    /// Every batch and record: CRC, counts, order of offsets, times. Looks at structure and digests, too.
    pub decode: bool,
    /// Records of the cluster against those of the restore or of the recovery point. Needs `kafka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_count: Option<MessageCountSpec>,
    /// Ranges of offsets of the cluster against those of the restore or of the recovery point. Needs `kafka`.
    pub offset_range: bool,
    /// Committed offsets of consumer groups. Needs `kafka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group_offsets: Option<GroupOffsetsSpec>,
    /// Services that are asked, each with one POST.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSpec>,
}

/// Counts records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MessageCountSpec {
    /// Most records by which a partition may differ.
    pub fail_threshold: u64,
    /// Topics of the archive, by name or pattern (`*`, `?`, `~regex`); all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
}

/// Compares committed offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupOffsetsSpec {
    /// Consumer groups of the recovery point, by id or pattern; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A service of the user that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookSpec {
    /// Name of the check; each once, and none of the other checks'.
    pub name: String,
    /// Where the POST goes, http or https. Only host and port of it are ever shown.
    pub url: String,
    /// Seconds that the answer may take; 1 to 3600.
    #[serde(default = "default_timeout")]
    pub timeout_secs: u64,
    /// The HTTP status of success; 100 to 599. Redirections are not followed.
    #[serde(default = "default_status")]
    pub expected_status_code: u16,
}

fn default_timeout() -> u64 {
    120
}

fn default_status() -> u16 {
    200
}

/// A part of the segments, drawn by chance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SampleSpec {
    /// How much. Whole segments are drawn until they have that many bytes.
    pub size: SampleSize,
    /// The same seed draws the same segments of the same point. Drawn and reported when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The size of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SampleSize {
    /// Share of the bytes of all segments, in per cent; 1 to 100.
    Percent(u32),
    /// Bytes of segments; greater than 0.
    Bytes(u64),
}

impl ValidationChecks {
    /// Whether the archive is read.
    #[must_use]
    pub fn of_archive(&self) -> bool {
        self.structure || self.checksum || self.decode
    }

    /// Whether the cluster is asked.
    #[must_use]
    pub fn of_cluster(&self) -> bool {
        self.message_count.is_some() || self.offset_range || self.consumer_group_offsets.is_some()
    }
}

impl ValidationSpec {
    /// Rules inside; paths are relative to this block.
    pub(crate) fn check(&self, kafka: &KafkaSpec, out: &mut Vec<(String, String)>) {
        let checks = &self.checks;
        if !checks.of_archive() && !checks.of_cluster() && checks.webhooks.is_empty() {
            out.push(("checks".into(), "must have at least one check; set checks.structure: true, for example".into()));
        }
        if checks.of_cluster() && kafka.is_absent() {
            let rule = "messageCount, offsetRange and consumerGroupOffsets ask a cluster; set kafka, or remove them";
            out.push(("checks".into(), rule.into()));
        }
        self.check_restore(out);
        self.check_sample(out);
        let patterns = [
            ("checks.messageCount.topics", checks.message_count.as_ref().map(|count| &count.topics)),
            ("checks.consumerGroupOffsets.groups", checks.consumer_group_offsets.as_ref().map(|check| &check.groups)),
        ];
        for (field, patterns) in patterns {
            let patterns = patterns.map_or(&[][..], Vec::as_slice);
            if let Err(rule) = Selection::new(patterns, &[], PatternSyntax::Glob) {
                out.push((field.into(), rule));
            }
        }
        check_webhooks(&checks.webhooks, out);
        for (field, rule) in self.notify.iter().flat_map(NoticeSpec::findings) {
            out.push((format!("notify.{field}"), rule));
        }
        for (field, rule) in self.evidence.iter().flat_map(EvidenceSpec::findings) {
            out.push((format!("evidence.{field}"), rule));
        }
    }

    fn check_restore(&self, out: &mut Vec<(String, String)>) {
        let Some(restore) = &self.restore else { return };
        if !self.checks.of_cluster() {
            let rule = "has no effect without a check of the cluster: messageCount, offsetRange, consumerGroupOffsets";
            out.push(("restore".into(), rule.into()));
        }
        if let Err(rule) = names::check_name(&restore.name) {
            out.push(("restore.name".into(), format!("is {:?}; {rule}", restore.name)));
        }
        let storage = restore.state_storage.iter().flat_map(StoreSpec::findings);
        out.extend(storage.map(|(field, rule)| (format!("restore.stateStorage.{field}"), rule)));
    }

    fn check_sample(&self, out: &mut Vec<(String, String)>) {
        let Some(sample) = &self.sample else { return };
        if !self.checks.checksum && !self.checks.decode {
            let rule = "has no effect without checks.checksum or checks.decode; set one of them, or remove it";
            out.push(("sample".into(), rule.into()));
        }
        match sample.size {
            SampleSize::Percent(percent) if !(1..=100).contains(&percent) => {
                out.push(("sample.size.percent".into(), format!("is {percent}; it must be 1 to 100")));
            }
            SampleSize::Bytes(0) => out.push(("sample.size.bytes".into(), "must be greater than 0".into())),
            SampleSize::Percent(_) | SampleSize::Bytes(_) => {}
        }
    }
}

/// Names of the checks of an archive, the shallowest first, as fields and reports have them.
pub const ARCHIVE_CHECKS: [&str; 3] = ["structure", "checksum", "decode"];
/// Names of the checks of a cluster.
pub const CLUSTER_CHECKS: [&str; 3] = ["messageCount", "offsetRange", "consumerGroupOffsets"];
/// Names of all own checks, in the order in which they are made.
pub const CHECK_NAMES: [&str; 6] = {
    let ([a, b, c], [d, e, f]) = (ARCHIVE_CHECKS, CLUSTER_CHECKS);
    [a, b, c, d, e, f]
};

fn check_webhooks(webhooks: &[WebhookSpec], out: &mut Vec<(String, String)>) {
    if webhooks.len() > MOST_WEBHOOKS {
        let rule = format!("has {} webhooks; at most {MOST_WEBHOOKS} fit into one run", webhooks.len());
        out.push(("checks.webhooks".into(), rule));
    }
    let mut known: HashSet<&str> = CHECK_NAMES.into();
    for (place, webhook) in webhooks.iter().enumerate() {
        let mut say = |field: &str, rule: String| out.push((format!("checks.webhooks[{place}].{field}"), rule));
        let name = &webhook.name;
        if name.is_empty() || name.chars().count() > 63 {
            say("name", format!("has {} characters; it must have 1 to 63", name.chars().count()));
        } else if !known.insert(name) {
            say("name", format!("is {name:?}, which another check has; write another name"));
        }
        if let Some(rule) = http_target::broken_rule(&webhook.url) {
            say("url", rule.to_owned());
        }
        let secs = webhook.timeout_secs;
        if !(1..=LONGEST_TIMEOUT_SECS).contains(&secs) {
            say("timeoutSecs", format!("is {secs}; it must be 1 to {LONGEST_TIMEOUT_SECS}"));
        }
        let status = webhook.expected_status_code;
        if !(100..=599).contains(&status) {
            say("expectedStatusCode", format!("is {status}; it must be 100 to 599"));
        }
    }
}

#[cfg(test)]
mod tests;
