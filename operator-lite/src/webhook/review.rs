//! Judging one review. Pure.

use api::access::{Question, questions};
use api::consent::Consent;
use api::finding::{Finding, Level};
use api::{ambient, document, endpoints, update};
use jiff::Timestamp;
use serde_json::Value;

use super::rules::Rules;

/// Longest warning that clients show whole.
const LONGEST_WARNING: usize = 256;
/// Most warnings of an answer.
const MOST_WARNINGS: usize = 20;

/// What is to be said of a resource.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Why it is refused; each names field, value, rule and fix.
    pub errors: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// What its author must be allowed to do.
    pub questions: Vec<Question>,
    /// What the owner of another namespace must have allowed.
    pub consent: Option<Consent>,
}

/// Judges a new or changed document. `old` is the one before.
#[must_use]
pub fn judge(new: &Value, old: Option<&Value>, rules: &Rules, now: Timestamp) -> Judgement {
    // What is going, and what does not change, always passes.
    let going = new.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
    if going {
        return Judgement::default();
    }
    let same_spec = old.is_some_and(|old| old.get("spec") == new.get("spec"));
    let mut findings: Vec<Finding> = if same_spec { Vec::new() } else { document::check(new, now) };
    if !same_spec {
        let spec = new.get("spec").unwrap_or(&Value::Null);
        findings.extend(endpoints::outside(spec, &rules.allowed));
        findings.extend(rules.ambient.level().map(|level| ambient::unasked(spec, level)).unwrap_or_default());
    }
    if let Some(old) = old {
        findings.extend(update::check(old, new));
    }
    let words = |level: Level| findings.iter().filter(move |finding| finding.level == level).map(ToString::to_string);
    Judgement {
        errors: words(Level::Error).collect(),
        warnings: words(Level::Warning).take(MOST_WARNINGS).map(|text| shorten(&text)).collect(),
        consent: Consent::needed(new).filter(|_| !same_spec),
        questions: questions(new, old.and_then(|old| old.get("spec"))),
    }
}

/// A warning as clients show it whole.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST_WARNING {
        return text.to_owned();
    }
    text.chars().take(LONGEST_WARNING - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use contract::AllowedEndpoints;
    use serde_json::json;

    use super::*;
    use crate::webhook::{Ambient, Rights};

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn rules(endpoints: &[&str]) -> Rules {
        let endpoints: Vec<String> = endpoints.iter().map(|text| (*text).to_owned()).collect();
        Rules { rights: Rights::Refuse, ambient: Ambient::Warn, allowed: AllowedEndpoints::parse(&endpoints).unwrap() }
    }

    fn backup(codec: &str) -> Value {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "a", "namespace": "b"},
            "spec": {
                "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["a"], "compression": codec,
                "storage": {"pvc": {"claimName": "backups"}},
            },
        })
    }

    #[test]
    fn a_wrong_document_is_refused_with_all_that_is_wrong() {
        let mut wrong = backup("gzip");
        wrong["spec"]["topics"] = json!([]);
        let judged = judge(&wrong, None, &rules(&[]), now());
        assert_eq!(judged.errors.len(), 2, "{judged:?}");
        assert!(judge(&backup("lz4"), None, &rules(&[]), now()).errors.is_empty());
    }

    #[test]
    fn what_points_outside_of_the_allowed_endpoints_is_refused() {
        let allowed = rules(&["*.shop.svc"]);
        let (outside, mut inside) = (backup("lz4"), backup("lz4"));
        inside["spec"]["kafkaCluster"]["bootstrapServers"] = json!(["kafka.shop.svc:9092"]);
        let errors = judge(&outside, None, &allowed, now()).errors;
        assert!(errors.len() == 1 && errors[0].contains("spec.kafkaCluster.bootstrapServers[0]"), "{errors:?}");
        assert!(judge(&inside, None, &allowed, now()).errors.is_empty());
        // What was there before the list stays, and ends in the runner.
        assert!(judge(&outside, Some(&outside), &allowed, now()).errors.is_empty());
        assert_eq!(judge(&outside, Some(&inside), &allowed, now()).errors.len(), 1);
    }

    #[test]
    fn the_identity_of_a_pod_is_asked_for_or_allowed() {
        let mut nightly = backup("lz4");
        nightly["spec"]["storage"] =
            json!({"storageType": "azure", "azure": {"accountName": "acc", "container": "backups"}});
        let judged = |ambient: Ambient| {
            let judged = judge(&nightly, None, &Rules { ambient, ..rules(&[]) }, now());
            (judged.errors, judged.warnings)
        };
        let (refused, warned, allowed) = (judged(Ambient::Refuse), judged(Ambient::Warn), judged(Ambient::Allow));
        assert!(
            refused.0.len() == 1 && refused.0[0].starts_with("spec.storage.azure: names no credentials"),
            "{refused:?}"
        );
        assert!(warned.0.is_empty() && warned.1.iter().any(|text| text.contains("names no credentials")), "{warned:?}");
        assert!(
            allowed.0.is_empty() && !allowed.1.iter().any(|text| text.contains("names no credentials")),
            "{allowed:?}"
        );
    }

    #[test]
    fn what_does_not_change_or_goes_always_passes() {
        let mut wrong = backup("gzip");
        assert!(judge(&wrong, Some(&wrong), &rules(&[]), now()).errors.is_empty());
        assert!(!judge(&wrong, Some(&backup("lz4")), &rules(&[]), now()).errors.is_empty());
        wrong["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
        assert!(judge(&wrong, Some(&backup("lz4")), &rules(&[]), now()).errors.is_empty());
    }
}
