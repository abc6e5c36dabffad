//! What the manifests promise exists: the metrics of alerts and dashboard, the sections of the runbook, the flags that the
//! chart sets.

mod alerts;
mod promql;

use std::collections::BTreeSet;
use std::path::PathBuf;

use api::lower::job::Owner;
use api::oso::RunClaim;
use contract::{EventKind, MetricsSpec, Pace};
use operator::decide::{End, Verdict};
use operator::metrics::{Seen, Told};

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| ["kafka_backup_", "strimzi_"].iter().any(|prefix| word.starts_with(prefix));
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    // A family shows its name once it has a sample.
    let (operator, runner) =
        (operator::metrics::Metrics::new(), runner::metrics::Metrics::new(&MetricsSpec::default(), "backup", "x"));
    let now = jiff::Timestamp::UNIX_EPOCH;
    let verdict = Verdict { end: End::Completed(Box::default()), ..Verdict::stopped(None) };
    let claim = RunClaim { started_at: Some(now.to_string()), ..RunClaim::default() };
    for kind in ["KafkaBackup", "KafkaRestore", "KafkaBackupValidation"] {
        let owner = Owner {
            api_version: String::new(),
            kind: kind.to_owned(),
            namespace: String::new(),
            name: String::new(),
            uid: String::new(),
            part: None,
        };
        operator.run_ended(&owner, &claim, &verdict, now);
        let seen = Seen {
            last_success: Some(now),
            last_failure: Some(now),
            overdue: Some(true),
            late_at: Some(now),
            retention: Some([Some(now); 2]),
        };
        operator.seen(&owner, &seen);
        operator.reconciled(kind, false, std::time::Duration::ZERO);
        let told = Told { restores: kind == "KafkaRestore", last: (Some(now), Some(now)), ..Told::default() };
        operator.strimzi_seen(&owner, &Told { created: Some(now), ..told });
    }
    let pace = Pace::default();
    runner.take(
        &EventKind::Progress { records: 1, bytes: 1, percent: 1.0, topic: None, whole_at: None, overdue: None, pace },
        0.0,
    );
    let served = operator.text() + &runner.text();
    let known: BTreeSet<&str> =
        served.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    for file in ["rules.yaml", "dashboard.json"] {
        let asked = metrics_in(&text(&format!("manifests/helm/kafka-backup-operator/files/{file}")));
        assert!(asked.len() >= 6, "{file}: {asked:?}");
        // Lags of partitions have samples only while a run works; the runner's own test knows this one.
        for name in asked.into_iter().filter(|name| name != "kafka_backup_retention_margin_records") {
            let base = name.trim_end_matches("_total").trim_end_matches("_bucket");
            assert!(known.contains(base), "{file} asks for {name}: {known:?}");
        }
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook() {
    let rules = text("manifests/helm/kafka-backup-operator/files/rules.yaml");
    let runbook = text("docs/runbook.md");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 6);
    for alert in alerts {
        assert!(runbook.contains(&format!("## {alert}\n")), "{alert}");
        assert!(rules.contains(&format!("runbook_url: {{{{ . }}}}#{}\n", alert.to_lowercase())), "{alert}");
    }
}

#[test]
fn the_chart_sets_variables_that_the_operator_reads() {
    use clap::CommandFactory;
    let command = operator::settings::Settings::command();
    let read: BTreeSet<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    let chart = text("manifests/helm/kafka-backup-operator/templates/deployment.yaml");
    let set: Vec<&str> = chart
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("- {name: ").or_else(|| line.trim().strip_prefix("- name: "))?.split(',').next()
        })
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(set.len() >= 12, "{set:?}");
    for name in set {
        assert!(read.contains(name) || name == "KAFKA_BACKUP_LOG", "{name}");
    }
}

#[test]
fn the_chart_places_runs_by_fields_that_the_operator_knows() {
    let chart = text("manifests/helm/kafka-backup-operator/templates/deployment.yaml");
    let (_, block) = chart.split_once("placement.yaml: |").unwrap();
    let (block, _) = block.split_once("---").unwrap();
    let lines = block.lines().map(str::trim).filter(|line| !line.starts_with("{{") && line.contains(": {{"));
    let fields: Vec<&str> = lines.filter_map(|line| line.split(':').next()).collect();
    assert!(fields.len() >= 14, "{fields:?}");
    let values = text("manifests/helm/kafka-backup-operator/values.yaml");
    for field in fields {
        let read = serde_saphyr::from_str::<api::lower::job::Placement>(&format!("{field}: 1"));
        assert!(!read.is_err_and(|error| error.to_string().contains("unknown field")), "{field}");
        assert!(field == "imagePullPolicy" || values.contains(&format!("  {field}:")), "{field}");
    }
}
