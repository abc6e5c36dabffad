//! Each alert of the chart on the metrics that operator and runner really show: it fires, stays quiet, and clears.

use api::lower::job::Owner;
use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaRestore, RunClaim};
use contract::{EventKind, MetricsSpec, Pace};
use jiff::Timestamp;
use operator::controller::Kind;
use operator::decide::{End, Verdict};
use operator::metrics::Metrics;
use serde_json::{Value, json};

use super::promql::Prometheus;

/// Seconds between scrapes and between looks at the rules.
const STEP: i64 = 30;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// 2026-11-01T00:00:00Z: where the scenes begin.
const BEGIN: i64 = 1_793_491_200;

struct Rule {
    expr: String,
    wait: i64,
}

/// A rule of the chart as Prometheus gets it.
fn rule(name: &str) -> Rule {
    let text = super::text("manifests/helm/kafka-backup-operator/files/rules.yaml");
    let plain: String = text
        .lines()
        .filter(|line| !line.contains("{{-") && !line.contains("{{ . }}"))
        .fold(String::new(), |all, line| {
            all + &line.replace(r#"{{ "{{" }}"#, "{{").replace(r#"{{ "}}" }}"#, "}}") + "\n"
        });
    let all: Value = serde_saphyr::from_str(&plain).unwrap();
    let rules = all["groups"][0]["rules"].as_array().unwrap();
    let found = rules.iter().find(|rule| rule["alert"] == name).unwrap_or_else(|| panic!("{name}"));
    let wait = found["for"].as_str().map_or(0, |text| {
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<i64>().unwrap() * if unit == "h" { HOUR } else { 60 }
    });
    Rule { expr: found["expr"].as_str().unwrap().to_owned(), wait }
}

/// When an alert fires: from and to, in seconds of the scene. `show` gives what the targets show at each second of it.
fn fires(name: &str, seconds: i64, mut show: impl FnMut(i64) -> Vec<(&'static str, String)>) -> Vec<(i64, i64)> {
    let rule = rule(name);
    let (mut prometheus, mut since, mut firing) = (Prometheus::default(), None, Vec::<(i64, i64)>::new());
    let mut known = std::collections::BTreeSet::new();
    for second in (0..seconds).step_by(usize::try_from(STEP).unwrap()) {
        let (at, shown) = (BEGIN + second, show(second));
        known.extend(shown.iter().map(|(pod, _)| *pod));
        for pod in &known {
            let text = shown.iter().find(|(of, _)| of == pod).map_or("", |(_, text)| text);
            prometheus.scrape(at, &[("pod", pod)], text);
        }
        let active = !prometheus.query(&rule.expr, at).is_empty();
        since = active.then(|| since.unwrap_or(second));
        if since.is_some_and(|since| second - since >= rule.wait) {
            match firing.last_mut().filter(|(_, to)| *to == second - STEP) {
                Some((_, to)) => *to = second,
                None => firing.push((second, second)),
            }
        }
    }
    firing
}

fn time(second: i64) -> String {
    Timestamp::from_second(BEGIN + second).unwrap().to_string()
}

fn object(kind: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind, "spec": spec, "status": status,
        "metadata": {"name": "nightly", "namespace": "shop", "uid": "u", "creationTimestamp": time(0)},
    })
}

fn backup(spec: Value, status: Value) -> KafkaBackup {
    let mut whole = json!({
        "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["orders"],
        "storage": {"storageType": "pvc", "pvc": {"claimName": "b"}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(object("KafkaBackup", whole, status)).unwrap()
}

fn restore(status: Value) -> KafkaRestore {
    let kafka = json!({"bootstrapServers": ["k:9092"]});
    let spec = json!({"backupRef": {"name": "nightly"}, "kafkaCluster": kafka});
    serde_json::from_value(object("KafkaRestore", spec, status)).unwrap()
}

/// What an operator shows that has just looked at a resource.
fn look<K: Kind>(metrics: &Metrics, object: &K) -> Vec<(&'static str, String)> {
    metrics.seen(&object.owner(), &object.seen());
    vec![("operator-1", metrics.text())]
}

fn validation(spec: Value, status: Value) -> KafkaBackupValidation {
    let mut whole = json!({"backupRef": {"name": "nightly"}, "checks": {"decode": {}}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(object("KafkaBackupValidation", whole, status)).unwrap()
}

fn failed(at: i64) -> Value {
    json!({"phase": "Failed", "run": {"id": "r", "outcome": "Failed", "finishedAt": time(at)}})
}

#[test]
fn no_recovery_point_fires_for_a_schedule_and_for_nothing_else() {
    let fires = |seconds: i64, spec: Value, status: &dyn Fn(i64) -> Value| {
        let metrics = Metrics::new();
        fires("KafkaBackupNoRecoveryPoint", seconds, |second| look(&metrics, &backup(spec.clone(), status(second))))
    };
    let daily = || json!({"schedule": "0 0 2 * * *"});
    // Never a point: the first tick and half a day, and 5 minutes. A point at last ends it.
    let late = |second: i64| if second < 20 * HOUR { json!({}) } else { json!({"lastBackupTime": time(20 * HOUR)}) };
    assert_eq!(fires(DAY, daily(), &late), [(14 * HOUR + 330, 20 * HOUR - STEP)]);
    let punctual = |second: i64| match second {
        0..7_800 => json!({}),
        7_800..94_200 => json!({"backupId": "nightly-20261101-020000"}),
        _ => json!({"backupId": "nightly-20261102-020000"}),
    };
    assert_eq!(fires(2 * DAY, daily(), &punctual), []);
    let old = |_| json!({"lastBackupTime": "2026-10-01T00:00:00Z"});
    assert_eq!(fires(2 * HOUR, json!({}), &old), [], "once is for ever");
    assert_eq!(fires(2 * HOUR, json!({"schedule": "0 0 2 * * *", "suspend": true}), &old), []);
    assert_eq!(fires(2 * HOUR, json!({"continuous": true}), &old), [], "another alert knows these");
    assert!(!fires(2 * HOUR, json!({"schedule": "0 0 * * * *"}), &old).is_empty());
}

#[test]
fn a_replica_that_led_once_says_nothing_of_points() {
    let (old, new) = (Metrics::new(), Metrics::new());
    let firing = fires("KafkaBackupNoRecoveryPoint", DAY, |second| {
        let fresh = backup(json!({"schedule": "0 0 * * * *"}), json!({"lastBackupTime": time(second)}));
        if second < HOUR {
            return look(&old, &fresh);
        }
        old.leads(false);
        let mut shown = look(&new, &fresh);
        shown[0].0 = "operator-2";
        shown.push(("operator-1", old.text()));
        shown
    });
    assert_eq!(firing, []);
}

#[test]
fn an_overdue_point_fires_until_it_is_made() {
    let metrics = Metrics::new();
    let firing = fires("KafkaBackupRecoveryPointOverdue", 4 * HOUR, |second| {
        let overdue = if (HOUR..2 * HOUR).contains(&second) { "True" } else { "False" };
        let condition = json!({"type": "RecoveryPointOverdue", "status": overdue, "reason": "Overdue", "message": "m", "lastTransitionTime": time(0)});
        look(&metrics, &backup(json!({"continuous": true}), json!({"conditions": [condition]})))
    });
    assert_eq!(firing, [(HOUR + 60, 2 * HOUR - STEP)]);
}

#[test]
fn a_failure_fires_for_an_hour_from_its_first_scrape_on() {
    // The restore is made and fails between two scrapes: its series begin with the failure.
    let metrics = Metrics::new();
    let firing = fires("KafkaRestoreFailed", 4 * HOUR, |second| {
        if second < 600 { vec![("operator-1", metrics.text())] } else { look(&metrics, &restore(failed(590))) }
    });
    assert_eq!(firing, [(600, 590 + HOUR - 20)]);
    // An operator that is started anew knows it from the status; an old failure is no news.
    let firing = fires("KafkaRestoreFailed", 2 * HOUR, |_| look(&Metrics::new(), &restore(failed(-1_800))));
    assert_eq!(firing, [(0, 1_800 - STEP)]);
    let metrics = Metrics::new();
    let well = json!({"phase": "Completed", "completionTime": time(0), "run": {"id": "r", "outcome": "Completed", "finishedAt": time(0)}});
    assert_eq!(fires("KafkaRestoreFailed", 2 * HOUR, |_| look(&metrics, &restore(well.clone()))), []);
    assert_eq!(fires("KafkaBackupRunFailed", 2 * HOUR, |_| look(&metrics, &restore(failed(0)))), []);
    // A next run that works does not hide it.
    let firing = fires("KafkaBackupRunFailed", 4 * HOUR, |second| {
        let status = if second < HOUR { failed(1_800) } else { json!({"run": {"id": "s"}}) };
        look(&metrics, &backup(json!({"schedule": "0 0 * * * *"}), if second < 1_800 { json!({}) } else { status }))
    });
    assert_eq!(firing, [(1_800, 1_800 + HOUR - STEP)]);
}

#[test]
fn a_failed_validation_fires_for_an_hour() {
    let metrics = Metrics::new();
    // Its checks were made, and one failed: the run is over, and the resource is not well.
    let found = |second: i64| {
        if second < HOUR {
            return json!({});
        }
        let run = json!({"id": "r", "outcome": "Failed", "finishedAt": time(HOUR)});
        json!({"phase": "Completed", "validationResult": "Fail", "run": run})
    };
    let firing =
        fires("KafkaBackupValidationFailed", 4 * HOUR, |second| look(&metrics, &validation(json!({}), found(second))));
    assert_eq!(firing, [(HOUR, 2 * HOUR - STEP)]);
    let well = json!({"phase": "Completed", "validationResult": "Pass", "lastPassTime": time(0),
        "run": {"id": "r", "outcome": "Completed", "finishedAt": time(0)}});
    let metrics = Metrics::new();
    let quiet =
        fires("KafkaBackupValidationFailed", 2 * HOUR, |_| look(&metrics, &validation(json!({}), well.clone())));
    assert_eq!(quiet, []);
    let metrics = Metrics::new();
    assert_eq!(
        fires("KafkaBackupRunFailed", 4 * HOUR, |second| look(&metrics, &validation(json!({}), found(second)))),
        []
    );
}

#[test]
fn retention_that_fails_fires_until_it_ends_well() {
    let fires = |retention: &dyn Fn(i64) -> Value| {
        let metrics = Metrics::new();
        fires("KafkaBackupRetentionFailed", 4 * HOUR, |second| {
            look(&metrics, &backup(json!({"schedule": "0 0 * * * *"}), json!({"retention": retention(second)})))
        })
    };
    let run = |outcome: &str, at: i64| json!({"id": "r", "outcome": outcome, "finishedAt": time(at)});
    let mends = |second: i64| match second {
        0..HOUR => json!({"lastTime": time(-60), "run": run("Completed", -60)}),
        HOUR..9_000 => json!({"lastTime": time(-60), "run": run("Failed", HOUR)}),
        _ => json!({"lastTime": time(9_000), "run": run("Completed", 9_000)}),
    };
    assert_eq!(fires(&mends), [(HOUR, 9_000 - STEP)]);
    assert_eq!(fires(&|_| json!({"run": run("Failed", -60)})), [(0, 4 * HOUR - STEP)], "one that never ended well");
    assert_eq!(fires(&|_| Value::Null), []);
}

#[test]
fn a_schedule_without_a_passed_validation_fires_until_one_passes() {
    let fires = |seconds: i64, spec: Value, status: &dyn Fn(i64) -> Value| {
        let metrics = Metrics::new();
        fires("KafkaBackupNotValidated", seconds, |second| look(&metrics, &validation(spec.clone(), status(second))))
    };
    let daily = || json!({"schedule": "0 0 2 * * *"});
    // It runs and fails; one passes at last.
    let late = |second: i64| match second {
        0..7_800 => json!({}),
        7_800..72_000 => {
            json!({"validationResult": "Fail", "run": {"id": "r", "outcome": "Failed", "finishedAt": time(7_800)}})
        }
        _ => json!({"validationResult": "Pass", "lastPassTime": time(20 * HOUR)}),
    };
    assert_eq!(fires(DAY, daily(), &late), [(14 * HOUR + 330, 20 * HOUR - STEP)]);
    let never = |_| json!({});
    assert_eq!(fires(DAY, json!({}), &never), [], "once promises nothing");
    assert_eq!(fires(DAY, json!({"schedule": "0 0 2 * * *", "suspend": true}), &never), []);
    let metrics = Metrics::new();
    let passed = json!({"validationResult": "Warn", "lastPassTime": time(0)});
    let object = validation(daily(), passed);
    assert_eq!(self::fires("KafkaBackupNotValidated", 12 * HOUR, |_| look(&metrics, &object)), []);
}

#[test]
fn counters_are_there_before_their_first_event() {
    let metrics = Metrics::new();
    let owner = Owner { kind: "KafkaRestore".into(), ..restore(Value::Null).owner() };
    let shown = look(&metrics, &restore(Value::Null));
    let counter = r#"kafka_backup_operator_restores_total{outcome="failure",resource_namespace="shop",name="nightly"}"#;
    assert!(shown[0].1.contains(&format!("{counter} 0")), "{}", shown[0].1);
    let verdict = Verdict { end: End::Failed(Some(Box::default())), ..Verdict::stopped(None) };
    metrics.run_ended(&owner, &RunClaim::default(), &verdict, Timestamp::UNIX_EPOCH);
    assert!(metrics.text().contains(&format!("{counter} 1")));
}

fn runner() -> runner::metrics::Metrics {
    runner::metrics::Metrics::new(&MetricsSpec::default(), "backup", "nightly")
}

fn gap() -> EventKind {
    let gap =
        json!({"event": "gap", "topic": "orders", "partition": 0, "from": 5, "to": 12, "reason": "log-start-moved"});
    serde_json::from_value(gap).unwrap()
}

#[test]
fn a_gap_fires_for_pods_that_live_long_and_short() {
    // A continuous run: the gap is news for an hour.
    let metrics = runner();
    let firing = fires("KafkaBackupGap", 6 * HOUR, |second| {
        if second == 2 * HOUR {
            metrics.take(&gap(), 0.0);
        }
        vec![("run-1", metrics.text())]
    });
    assert_eq!(firing, [(2 * HOUR, 3 * HOUR - 2 * STEP)]);
    // A short run that met its gap before it was scraped first.
    let metrics = runner();
    metrics.take(&gap(), 0.0);
    let firing = fires("KafkaBackupGap", 3 * HOUR, |second| {
        if (HOUR..HOUR + 120).contains(&second) { vec![("run-1", metrics.text())] } else { Vec::new() }
    });
    assert_eq!(firing, [(HOUR, HOUR + 90)]);
    assert_eq!(fires("KafkaBackupGap", 3 * HOUR, |_| vec![("run-1", runner().text())]), []);
}

#[test]
fn falling_behind_fires_while_the_lag_grows() {
    let metrics = runner();
    let firing = fires("KafkaBackupFallsBehind", 4 * HOUR, |second| {
        let lag = if second < 2 * HOUR { second } else { 2 * HOUR - (second - 2 * HOUR) }.max(0);
        let pace = Pace { lag: lag.unsigned_abs(), ..Pace::default() };
        let progress = EventKind::Progress {
            records: 1,
            bytes: 1,
            percent: 1.0,
            topic: None,
            whole_at: None,
            overdue: None,
            pace,
        };
        metrics.take(&progress, 0.0);
        vec![("run-1", metrics.text())]
    });
    let [(from, to)] = firing[..] else { panic!("{firing:?}") };
    assert!((1_800..2_000).contains(&from) && (2 * HOUR..2 * HOUR + 900).contains(&to), "{firing:?}");
}

#[test]
fn a_backup_that_retention_overtakes_fires_before_it_happens() {
    let margin = |margin: i64| {
        vec![("run-1", format!("kafka_backup_retention_margin_records{{topic=\"t\",partition=\"1\"}} {margin}"))]
    };
    let firing = fires("KafkaBackupOvertakenSoon", 2 * HOUR, |second| margin(100_000 - 20 * second.min(HOUR)));
    let [(from, to)] = firing[..] else { panic!("{firing:?}") };
    // An hour before it is gone, and 5 minutes; then it falls no more.
    assert!((1_400 + 300..1_400 + 400).contains(&from) && to < HOUR + 900, "{firing:?}");
    assert_eq!(fires("KafkaBackupOvertakenSoon", 2 * HOUR, |_| margin(100_000)), []);
}

#[test]
fn a_certificate_that_is_not_renewed_fires_a_week_before_its_end() {
    let metrics = Metrics::new();
    let firing = fires("KafkaBackupCertificateExpires", 2 * DAY, |second| {
        let end = if second < 30 * HOUR { 8 * DAY } else { 90 * DAY };
        metrics.certificate_ends(Timestamp::from_second(BEGIN + end).unwrap());
        vec![("operator-1", metrics.text())]
    });
    assert_eq!(firing, [(DAY + HOUR + STEP, 30 * HOUR - STEP)]);
    assert_eq!(fires("KafkaBackupCertificateExpires", DAY, |_| vec![("operator-1", Metrics::new().text())]), []);
}

#[test]
fn nobody_leads_fires_when_no_replica_does_and_when_none_is_there() {
    let (one, two) = (Metrics::new(), Metrics::new());
    let firing = fires("KafkaBackupNobodyLeads", 4 * HOUR, |second| {
        one.leads(second < HOUR);
        two.leads(second >= 2 * HOUR);
        vec![("operator-1", one.text()), ("operator-2", two.text())]
    });
    assert_eq!(firing, [(HOUR + 600, 2 * HOUR - STEP)]);
    assert_eq!(fires("KafkaBackupNobodyLeads", HOUR, |_| Vec::new()), [(600, HOUR - STEP)]);
}
