//! Evidence of validations, from the resources alone. Pure.

use api::oso::{KafkaBackupValidation, PastValidation};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

/// The evidence of one result.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLine {
    /// Namespace of the validation.
    pub namespace: String,
    /// Its name.
    pub validation: String,
    /// The run.
    pub run: String,
    /// Pass, Warn or Fail.
    pub result: String,
    /// The recovery point that was looked at.
    pub point: Option<String>,
    /// When the run ended.
    pub at: Option<Timestamp>,
    /// Whether it is signed.
    pub signed: bool,
    /// Where its document lies.
    pub path: String,
}

/// The evidence that validations tell of, the newest first; only that of `name` where one is given.
#[must_use]
pub fn evidence(objects: &[KafkaBackupValidation], name: Option<&str>) -> Vec<EvidenceLine> {
    let wanted = objects.iter().filter(|object| name.is_none_or(|name| object.name_any() == name));
    let mut lines: Vec<EvidenceLine> = wanted.flat_map(of).collect();
    lines.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.path.cmp(&other.path)));
    lines
}

fn of(object: &KafkaBackupValidation) -> Vec<EvidenceLine> {
    let line = |past: &PastValidation| {
        Some(EvidenceLine {
            namespace: object.namespace().unwrap_or_default(),
            validation: object.name_any(),
            run: past.run.clone(),
            result: past.result.clone(),
            point: past.recovery_point.clone(),
            at: past.at.parse().ok(),
            signed: past.evidence_report_signed.unwrap_or(false),
            path: past.evidence_report_path.clone()?,
        })
    };
    let Some(status) = &object.status else { return Vec::new() };
    let mut lines: Vec<EvidenceLine> = status.history.iter().filter_map(line).collect();
    // Where no history is kept, the status still tells of the last one.
    if let Some(path) = status.evidence_report_path.as_ref().filter(|path| lines.iter().all(|line| line.path != **path))
    {
        lines.push(EvidenceLine {
            namespace: object.namespace().unwrap_or_default(),
            validation: object.name_any(),
            run: status.run.as_ref().map(|run| run.id.clone()).unwrap_or_default(),
            result: status.validation_result.clone().unwrap_or_default(),
            point: status.recovery_point.clone(),
            at: status.completion_time.as_ref().and_then(|at| at.parse().ok()),
            signed: status.evidence_report_signed.unwrap_or(false),
            path: path.clone(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, status: Value) -> KafkaBackupValidation {
        serde_json::from_value(json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"backupRef": {"name": "b"}, "checks": {"decode": {}}}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn evidence_is_told_by_result_the_newest_first() {
        let past = |run: &str, at: &str, path: Option<&str>| json!({"run": run, "at": at, "result": "Pass", "evidenceReportPath": path, "evidenceReportSigned": true});
        let history =
            json!([past("a", "2026-11-28T06:00:00Z", Some("s3://b/a")), past("b", "2026-11-29T06:00:00Z", None)]);
        let weekly = object("weekly", json!({"history": history}));
        let last = json!({"evidenceReportPath": "s3://b/c", "completionTime": "2026-11-30T06:00:00Z", "run": {"id": "c"},
            "validationResult": "Fail"});
        let daily = object("daily", last);
        let all = evidence(&[weekly.clone(), daily.clone()], None);
        let told: Vec<_> = all.iter().map(|line| (line.run.as_str(), line.result.as_str(), line.signed)).collect();
        assert_eq!(told, [("c", "Fail", false), ("a", "Pass", true)]);
        assert_eq!(evidence(&[weekly, daily], Some("weekly")).len(), 1);
    }
}
