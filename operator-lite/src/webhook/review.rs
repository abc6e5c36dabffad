//! Judging one review. Pure.

use api::access::{self, Question, questions};
use api::consent::Consent;
use api::finding::{Finding, Level, bounded};
use api::refusal::{Refusal, Why};
use api::{ambient, document, endpoints, update};
use jiff::Timestamp;
use serde_json::Value;

use super::rules::Rules;
use super::words::shorten;

/// Most warnings of an answer.
const MOST_WARNINGS: usize = 20;

/// What is to be said of a resource.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Why it is refused; each names field, value, rule and fix.
    pub errors: Vec<Refusal>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// What its author must be allowed to do. Nothing is asked about a resource that is refused anyway.
    pub questions: Vec<Question>,
    /// What the owner of another namespace must have allowed.
    pub consent: Option<Consent>,
}

/// Judges a new or changed document. `old` is the one before.
#[must_use]
pub fn judge(new: &Value, old: Option<&Value>, rules: &Rules, now: Timestamp) -> Judgement {
    let same_spec = old.is_some_and(|old| old.get("spec") == new.get("spec"));
    // What is going, and does not change, always passes: whoever removes a finalizer lets it go. A changed specification is
    // judged whether it is going or not: runs of other resources may read it.
    if same_spec && is_going(new) {
        return Judgement::default();
    }
    let mut findings = match old {
        // What was written before stays as it is.
        Some(old) if same_spec => document::check_annotations(new, old, now),
        old => found(new, old, rules, now),
    };
    if let Some(old) = old {
        findings.extend(update::check(old, new));
    }
    let mut judged = told(&bounded(findings));
    if judged.errors.is_empty() {
        judged.consent = Consent::needed(new).filter(|_| !same_spec);
        judged.questions = questions(new, old.and_then(|old| old.get("spec")));
    }
    if judged.questions.len() > access::MOST {
        let text = format!(
            "spec: asks for {} rights of its author, and at most {} are asked about; name fewer Secrets, with several keys each",
            judged.questions.len(),
            access::MOST
        );
        let refusal = Refusal { text, field: "spec".to_owned(), why: Why::Rule };
        return Judgement { errors: vec![refusal], warnings: judged.warnings, ..Judgement::default() };
    }
    judged
}

fn is_going(document: &Value) -> bool {
    document.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// What is wrong with a specification by itself, and in this installation.
fn found(document: &Value, old: Option<&Value>, rules: &Rules, now: Timestamp) -> Vec<Finding> {
    let mut findings = match old {
        Some(old) => document::check_changed(document, old, now),
        None => document::check(document, now),
    };
    if document::too_large(document).is_none() {
        let spec = document.get("spec").unwrap_or(&Value::Null);
        findings.extend(endpoints::outside(spec, &rules.allowed));
        findings.extend(rules.ambient.level().map(|level| ambient::unasked(spec, level)).unwrap_or_default());
    }
    findings
}

fn told(findings: &[Finding]) -> Judgement {
    let of = |level: Level| findings.iter().filter(move |finding| finding.level == level);
    Judgement {
        errors: of(Level::Error).map(Refusal::from).collect(),
        warnings: of(Level::Warning).take(MOST_WARNINGS).map(|finding| shorten(&finding.to_string())).collect(),
        ..Judgement::default()
    }
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
        assert!(errors.len() == 1 && errors[0].text.contains("spec.kafkaCluster.bootstrapServers[0]"), "{errors:?}");
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
            let errors: Vec<String> = judged.errors.into_iter().map(|refusal| refusal.text).collect();
            (errors, judged.warnings)
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
    fn what_does_not_change_always_passes() {
        let mut wrong = backup("gzip");
        assert!(judge(&wrong, Some(&wrong), &rules(&[]), now()).errors.is_empty());
        assert!(!judge(&wrong, Some(&backup("lz4")), &rules(&[]), now()).errors.is_empty());
        wrong["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
        wrong["metadata"]["finalizers"] = json!(["example.com/hold"]);
        let mut released = wrong.clone();
        released["metadata"]["finalizers"] = json!([]);
        assert!(judge(&released, Some(&wrong), &rules(&[]), now()).errors.is_empty());
    }

    /// An annotation that nobody acts on would block the next edit of the specification.
    #[test]
    fn annotations_are_judged_when_they_change() {
        let with = |name: &str, value: &str| {
            let mut object = backup("lz4");
            object["metadata"]["annotations"] = json!({name: value});
            object
        };
        let plain = backup("lz4");
        for (name, wrong, right) in [
            ("kafka.oso.sh/skip-missed-until", "tomorrow", "2026-11-21T11:00:00Z"),
            ("kafka.oso.sh/restore-namespaces", "TEAM", "team"),
        ] {
            let errors = judge(&with(name, wrong), Some(&plain), &rules(&[]), now()).errors;
            assert!(errors.len() == 1 && errors[0].text.contains(name), "{errors:?}");
            assert!(judge(&with(name, right), Some(&plain), &rules(&[]), now()).errors.is_empty());
            // What was there before may be taken away, and does not hold up what has nothing to do with it.
            assert!(judge(&plain, Some(&with(name, wrong)), &rules(&[]), now()).errors.is_empty());
            let mut labelled = with(name, wrong);
            labelled["metadata"]["labels"] = json!({"a": "b"});
            assert!(judge(&labelled, Some(&with(name, wrong)), &rules(&[]), now()).errors.is_empty());
        }
    }

    /// A schedule with a year is new once; after its last tick, the rest of the resource may change.
    #[test]
    fn a_schedule_that_is_over_is_refused_only_where_it_is_written() {
        let with = |schedule: &str, codec: &str| {
            let mut object = backup(codec);
            object["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z".into();
            object["spec"]["schedule"] = schedule.into();
            object
        };
        let over = "0 0 3 15 11 * 2026";
        assert_eq!(judge(&with(over, "lz4"), None, &rules(&[]), now()).errors.len(), 1);
        assert_eq!(judge(&with(over, "lz4"), Some(&with("@daily", "lz4")), &rules(&[]), now()).errors.len(), 1);
        assert!(judge(&with(over, "zstd"), Some(&with(over, "lz4")), &rules(&[]), now()).errors.is_empty());
        let never = "0 0 0 30 2 *";
        assert_eq!(judge(&with(never, "zstd"), Some(&with(never, "lz4")), &rules(&[]), now()).errors.len(), 1);
    }

    /// A finalizer keeps an object that was deleted for as long as its author likes, and runs of others may read it.
    #[test]
    fn a_changed_specification_is_judged_though_the_object_is_going() {
        let mut old = backup("lz4");
        old["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
        let mut new = old.clone();
        new["spec"]["storage"] = json!({"storageType": "s3", "s3": {
            "bucket": "b", "region": "r", "endpoint": "https://evil.example", "credentialsSecret": {"name": "keys"}}});
        let judged = judge(&new, Some(&old), &rules(&[]), now());
        let asked: Vec<_> = judged.questions.iter().map(|question| question.name.as_str()).collect();
        assert_eq!(asked, ["keys"], "{judged:?}");
        let outside = judge(&new, Some(&old), &rules(&["kafka"]), now()).errors;
        assert!(outside.len() == 1 && outside[0].text.contains("spec.storage.s3.endpoint"), "{outside:?}");
        new["spec"]["compression"] = "gzip".into();
        assert_eq!(judge(&new, Some(&old), &rules(&[]), now()).errors.len(), 1);
    }

    /// Each question is a request to the API server: a document that is refused anyway costs none.
    #[test]
    fn nothing_is_asked_about_what_is_refused() {
        let mut wrong = backup("gzip");
        wrong["spec"]["kafkaCluster"]["saslSecret"] = json!({"name": "kafka", "mechanism": "PLAIN"});
        let judged = judge(&wrong, None, &rules(&[]), now());
        assert!(!judged.errors.is_empty() && judged.questions.is_empty(), "{judged:?}");
        wrong["spec"]["compression"] = "lz4".into();
        assert_eq!(judge(&wrong, None, &rules(&[]), now()).questions.len(), 1);
    }

    fn strimzi(secrets: usize) -> Value {
        let variable = |number: usize| json!({"name": format!("V{number}"), "valueFrom": {"secretKeyRef": {"name": format!("s{number}"), "key": "k"}}});
        json!({
            "apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "a", "namespace": "b"},
            "spec": {
                "strimziClusterRef": {"name": "events"}, "storage": {"type": "s3", "s3": {"bucket": "b"}},
                "env": (0..secrets).map(variable).collect::<Vec<_>>(),
            },
        })
    }

    #[test]
    fn few_questions_are_asked_of_one_document() {
        let honest = judge(&strimzi(20), None, &rules(&[]), now());
        assert!(honest.errors.is_empty() && honest.questions.len() == 21, "{honest:?}");
        let many = judge(&strimzi(5_000), None, &rules(&[]), now());
        assert!(many.questions.is_empty() && many.errors.len() == 1, "{:?}", many.errors);
        assert!(
            many.errors[0].text.starts_with("spec: asks for 5001 rights of its author, and at most 64"),
            "{:?}",
            many.errors
        );
    }

    #[test]
    fn findings_of_one_document_are_bounded() {
        let mut wrong = backup("lz4");
        wrong["spec"]["kafkaCluster"]["bootstrapServers"] = json!(vec!["no address"; 9_000]);
        let errors = judge(&wrong, None, &rules(&["nowhere"]), now()).errors;
        assert_eq!(errors.len(), 101, "{:?}", errors.last());
        assert!(errors[100].text.contains("more is wrong"), "{:?}", errors[100]);
        // One that is too large is not looked at.
        wrong["spec"]["kafkaCluster"]["bootstrapServers"] = json!(vec!["no address"; 20_000]);
        let errors = judge(&wrong, None, &rules(&["nowhere"]), now()).errors;
        assert!(errors.len() == 1 && errors[0].text.contains("more than 10000 entries"), "{errors:?}");
    }
}
