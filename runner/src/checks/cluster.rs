//! The brokers of a run: from their names to the rights on each topic and group.

use std::time::Duration;

use contract::words::plural;
use contract::{Action, Code, ConnectionSpec, KafkaSpec, RestoreSpec, RunSpec, ValidationSpec};
use wire::Cluster;

use super::lines::Lines;
use super::{brokers, certificates, group_configs, reach, rights};
use crate::context::Context;
use crate::emit::Emitter;
use crate::{backup, connect, offsets, restore};

/// A listener of a wrong kind is settled after three tries over 10 seconds.
const CONNECTS: Duration = Duration::from_secs(12);
/// What is said of a restore that takes a part of a recovery point.
const WITHOUT_WINDOW: &str = "the time window is left out here: to find where it cuts, records must be read, and a check reads none; `restore plan` shows the plan with it";
/// How long a plan may take.
const PLANS: Duration = Duration::from_secs(12);

/// Checks them.
pub(crate) async fn check(context: &Context, spec: &RunSpec, action: Action<'_>, lines: &Lines) {
    // A validation of the archive alone asks no cluster, and retention never does.
    if matches!(action, Action::Validation(part) if !part.checks.of_cluster()) || matches!(action, Action::Prune(_)) {
        return;
    }
    if !super::secrets(context, spec.kafka_secret_files(), lines) || !reach::servers(context, &spec.kafka, lines).await
    {
        return;
    }
    let needs = connect::needs(action);
    let spec = RunSpec { kafka: briefly(&spec.kafka), ..spec.clone() };
    let cluster = match connect::cluster(context, &spec, &needs).await {
        Ok(cluster) => cluster,
        Err(failure) => return lines.failed(step(failure.code), failure),
    };
    if let Some(sasl) = &spec.kafka.sasl {
        lines.ok("login", format!("logged in with {}", sasl.mechanism.name()));
    }
    lines.ok("api versions", format!("all {} requests that a run needs are offered", needs.len()));
    lines.unless("cluster id", connect::cluster_id(&cluster));
    match action {
        Action::Backup(part) => of_backup(context, &cluster, part, lines).await,
        Action::Restore(part) => of_restore(context, &cluster, &spec, part, lines).await,
        Action::OffsetReset(_) | Action::OffsetRollback(_) => of_offsets(context, &cluster, &spec, lines).await,
        Action::Validation(part) => of_validation(context, &cluster, part, lines).await,
        Action::Prune(_) => {}
    }
}

/// Somebody waits: what fails is not tried for as long as a run tries.
fn briefly(kafka: &KafkaSpec) -> KafkaSpec {
    let limit = u64::try_from(CONNECTS.as_millis()).unwrap_or(u64::MAX);
    let connection = ConnectionSpec {
        connect_timeout_ms: kafka.connection.connect_timeout_ms.min(limit),
        request_timeout_ms: kafka.connection.request_timeout_ms.min(limit),
        retry_deadline_ms: kafka.connection.retry_deadline_ms.min(limit),
        ..kafka.connection.clone()
    };
    KafkaSpec { connection, ..kafka.clone() }
}

/// The step that ends with such a failure.
fn step(code: Code) -> &'static str {
    match code {
        Code::TlsFailed => "tls",
        Code::AuthenticationFailed | Code::SecretUnusable => "login",
        Code::BrokerUnsupported => "api versions",
        Code::WrongListener => "listener",
        _ => "connect", // whatever else keeps a connection from coming about
    }
}

async fn ask(context: &Context, cluster: &Cluster, needed: &std::collections::BTreeSet<wire::BrokerId>, lines: &Lines) {
    let asked = brokers::ask(cluster, needed, |asked| lines.say(asked.line())).await;
    lines.all(certificates::lines(cluster, asked.iter().map(brokers::Asked::id), context.clock.now()));
}

async fn of_backup(context: &Context, cluster: &Cluster, part: &contract::BackupSpec, lines: &Lines) {
    let found = lines.unless("topics", backup::discover(cluster, part).await);
    let topics = found.as_ref().map_or(&[][..], |found| &found.topics);
    ask(context, cluster, &brokers::needed(cluster, topics, part.consumer_group_snapshot), lines).await;
    if let Some(found) = &found {
        let partitions: usize = found.topics.iter().map(|topic| topic.partitions.len()).sum();
        lines.ok("topics", format!("{} topics with {partitions} partitions match", found.topics.len()));
        for topic in &found.absent {
            lines.note(
                "topics",
                format!("topic {topic} does not exist: a run goes on without it (onMissingTopic is warn)"),
            );
        }
        for topic in &found.undescribed {
            lines.note(
                "topics",
                format!("topic {}: no broker describes it for now; a run goes on without it", topic.name),
            );
        }
        let names: Vec<_> = found.topics.iter().map(|topic| topic.name.clone()).collect();
        lines.all(lines.unless("rights", rights::of_backup(cluster, &names).await).unwrap_or_default());
    }
    if part.consumer_group_snapshot {
        lines.all(lines.unless("groups", rights::of_groups(cluster).await).unwrap_or_default());
        lines.all(lines.unless("rights", group_configs::of_backup(cluster).await).unwrap_or_default());
    }
}

async fn of_restore(context: &Context, cluster: &Cluster, spec: &RunSpec, part: &RestoreSpec, lines: &Lines) {
    ask(context, cluster, &brokers::needed(cluster, &[], true), lines).await;
    // Where a window cuts, a plan reads records; a check does not.
    let whole = RestoreSpec { start_time: None, end_time: None, ..part.clone() };
    if whole != *part {
        lines.note("plan", WITHOUT_WINDOW);
    }
    let emitter = Emitter::new(context, false);
    let plan = tokio::time::timeout(PLANS, restore::plan_only(context, &emitter, spec, &whole)).await;
    let Ok(plan) = plan else {
        let text = format!("the plan is not ready after {} s; `restore plan` takes its time", PLANS.as_secs());
        return lines.note("plan", text);
    };
    let Some(plan) = lines.unless("plan", plan) else { return };
    lines.all(lines.unless("rights", rights::of_restore(cluster, &plan.plan).await).unwrap_or_default());
    lines.all(lines.unless("rights", rights::of_targets(cluster, part, &plan.targets).await).unwrap_or_default());
    lines.all(
        lines.unless("rights", group_configs::of_changes(cluster, &plan.configured, false).await).unwrap_or_default(),
    );
    for failure in &plan.refusals {
        lines.failed("plan", failure.clone());
    }
    for warning in &plan.warnings {
        lines.note("plan", warning.clone());
    }
    // Where the plan finds that the coordinator of transactions cannot work, nobody waits for it.
    if plan.refusals.is_empty() {
        lines.all(
            lines.unless("rights", rights::of_transactions(cluster, &context.nonce()).await).into_iter().collect(),
        );
        lines.ok(
            "plan",
            format!("recovery point {} can be restored into {} topics", plan.plan.point, plan.plan.topics.len()),
        );
    }
}

async fn of_validation(context: &Context, cluster: &Cluster, part: &ValidationSpec, lines: &Lines) {
    let groups = part.checks.consumer_group_offsets.is_some();
    ask(context, cluster, &brokers::needed(cluster, &[], groups), lines).await;
    if groups {
        lines.all(lines.unless("groups", rights::of_groups(cluster).await).unwrap_or_default());
    }
}

async fn of_offsets(context: &Context, cluster: &Cluster, spec: &RunSpec, lines: &Lines) {
    ask(context, cluster, &brokers::needed(cluster, &[], true), lines).await;
    lines.all(lines.unless("groups", rights::of_groups(cluster).await).unwrap_or_default());
    let Some(preview) = lines.unless("plan", offsets::run::preview(context, cluster, spec).await) else { return };
    let told = group_configs::of_changes(cluster, &preview.configured(), true).await;
    lines.all(lines.unless("rights", told).unwrap_or_default());
    for failure in &preview.refusals {
        lines.failed("plan", failure.clone());
    }
    for warning in &preview.warnings {
        lines.note("plan", warning.clone());
    }
    if preview.refusals.is_empty() {
        lines.ok("plan", format!("the committed offsets of {} can be set", plural(preview.groups, "consumer group")));
    }
}
