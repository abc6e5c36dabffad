//! What a restore would do: a dry run is made, its report read, and the dry run removed.

use std::time::Duration;

use api::lower::job::CONTAINER;
use api::oso::{KafkaRestore, KafkaRestoreStatus};
use contract::{Failure, Report};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, LogParams};
use serde_json::{Map, Value, json};

use super::paste::create_of;
use crate::changes::Changes;
use crate::cluster::{Cluster, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::{Screen, Tone};
use crate::steps::made::{document, progress};
use crate::steps::wait::{Progress, until_over};
use crate::steps::write::{self, DryRun, Write};
use crate::steps::{or_interrupt, print, tidied};
use crate::words::safe_lines;

/// The dry run to make.
pub(super) struct DryRunOf<'a> {
    /// The KafkaBackup.
    pub(super) from: &'a str,
    /// The specification of the KafkaRestore.
    pub(super) spec: Map<String, Value>,
    /// The arguments of this process, of which the next command is made.
    pub(super) arguments: Vec<String>,
    /// How long it may take.
    pub(super) timeout: Duration,
}

/// Makes a dry run, waits for its plan, shows it, and removes it.
pub(super) async fn plan(
    mut run: DryRunOf<'_>,
    output: Output,
    cluster: &Cluster,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    run.spec.insert("dryRun".to_owned(), true.into());
    let stamp = screen.style.now.as_millisecond();
    let short: String = run.from.chars().take(30).collect();
    let name = format!("plan-{}-{stamp}", short.trim_end_matches(['-', '.']));
    let quiet = Write { dry_run: DryRun::None, output: Some(write::Form::Name) };
    let mut silent = Screen::silent(screen.style.clone());
    let create = write::create::<KafkaRestore>(Some(cluster), document(&name, run.spec), &quiet, &mut silent);
    let created = or_interrupt(create).await.map(drop);
    if let Err(error) = created {
        if matches!(error, Error::Interrupted) {
            // It may be made all the same; where it is not, nothing is to be removed.
            drop(tidied(true, removed(cluster, &name)).await);
        }
        return Err(error);
    }
    let far = |object: &KafkaRestore| match progress(object) {
        Progress::Over(..) => Progress::Over(true, String::new()),
        going @ Progress::Going(_) => going,
    };
    let look = async || cluster.get::<KafkaRestore>(&name).await;
    let mut changes = Changes::of::<KafkaRestore>(cluster.api(), Some(&name));
    let woken = async |most| changes.next(most).await;
    let waited = or_interrupt(until_over(look, woken, run.timeout, screen, far)).await;
    let (planned, said) = match &waited {
        Ok(ended) if ended.verdict.is_some() => {
            let planned: Result<KafkaRestore, Error> = or_interrupt(cluster.get(&name)).await;
            let said = match &planned {
                Ok(planned) => or_interrupt(async { Ok(report(cluster, planned).await) }).await,
                Err(_) => Ok(None),
            };
            // Whoever asked to end reads no plan.
            (Some(planned), said.ok().flatten())
        }
        _ => (None, None),
    };
    let asked_to_end = matches!(waited, Err(Error::Interrupted));
    if let Err(error) = tidied(asked_to_end, removed(cluster, &name)).await {
        screen.say(&format!("the dry run `{name}` could not be removed: {error}"));
    }
    let late = waited?.because();
    let Some(planned) = planned else {
        return Err(Error::TimeOut {
            what: format!("no plan was made within {}s{late}", run.timeout.as_secs()),
            hint: "its dry run was removed; --timeout gives the next one longer".to_owned(),
        });
    };
    let carry_out = |fingerprint: &str| create_of(&run.arguments, run.from, &cluster.namespace, fingerprint);
    show(&planned?.status.unwrap_or_default(), said.as_ref(), &carry_out, output, screen)
}

/// Removes a dry run.
async fn removed(cluster: &Cluster, name: &str) -> Result<(), Error> {
    let removed = cluster.api::<KafkaRestore>().delete(name, &DeleteParams::background()).await;
    removed.map(drop).map_err(|error| failed("delete it", error))
}

/// Shows a plan, and says whether it would be carried out.
fn show(
    status: &KafkaRestoreStatus,
    said: Option<&Report>,
    carry_out: &dyn Fn(&str) -> Option<String>,
    output: Output,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let refusals = refusals(status, said)?;
    // Of a long plan, the status has the beginning only.
    let details = said.map(|said| &said.details).filter(|details| details.is_object());
    let plan = details.and_then(|details| details.get("text")?.as_str()).or(status.plan.as_deref());
    if !matches!(output, Output::Table | Output::Wide) {
        let value = json!({
            "fingerprint": status.plan_fingerprint, "blocked": !refusals.is_empty(), "refusals": refusals, "plan": plan,
            "message": status.message, "details": details, "positions": said.map(|said| &said.positions),
        });
        print::document("RestorePlan", &value, output, screen)?;
    } else if let Some(plan) = plan {
        screen.text(&format!("{}\n", screen.style.paint(Tone::Strong, "PLAN")))?;
        screen.text(&format!("{plan}\n"))?;
        if let Some(fingerprint) = &status.plan_fingerprint {
            screen.text(&format!("fingerprint {fingerprint}\n"))?;
        }
    } else {
        return Err(Error::Refused {
            what: format!("no plan could be made: {}", status.message.as_deref().unwrap_or("nothing says why")),
            hint: "the message names what to mend".to_owned(),
        });
    }
    if let Some(first) = refusals.first() {
        let mark = screen.style.paint(Tone::Bad, "blocked:");
        screen.say(&format!(
            "{mark} {}",
            safe_lines(&refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        ));
        screen.say(&format!("next: kubectl kafka-backup explain {}", first.code));
        return Ok(Exit::No);
    }
    if let Some(command) = status.plan_fingerprint.as_deref().and_then(carry_out) {
        // Last, and on a line of its own: to be pasted.
        screen.say(&format!("to carry it out:\n{command}"));
    }
    Ok(Exit::Done)
}

/// Why the restore would not start: what the run reported, never what its text says.
fn refusals(status: &KafkaRestoreStatus, said: Option<&Report>) -> Result<Vec<Failure>, Error> {
    if let Some(refusals) = said.and_then(|said| said.refusals.clone()) {
        return Ok(refusals);
    }
    if let Some(failure) = said.and_then(|said| said.failure.clone()) {
        return Ok(vec![failure]);
    }
    let message = status.message.clone().unwrap_or_else(|| "nothing says why".to_owned());
    if status.phase.as_deref() != Some("Completed") {
        return Err(Error::Refused {
            what: format!("no plan could be made: {message}"),
            hint: "the message names what to mend".to_owned(),
        });
    }
    Err(Error::Cluster {
        what: "a plan was made, but whether it is blocked is not known: the report of its pod cannot be read"
            .to_owned(),
        hint: "ask for the rights to list pods and to get pods/log; kafka-backup-edit holds them".to_owned(),
    })
}

/// What the run reported: the line that its pod printed last, or the shorter one that its container left; `None` when
/// neither can be read.
async fn report(cluster: &Cluster, planned: &KafkaRestore) -> Option<Report> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    // The caller says which rights are missing when nothing can be read.
    let pod = cluster.pods_of(&planned.uid()?).await.ok()?.pop()?;
    let parameters = LogParams { container: Some(CONTAINER.to_owned()), tail_lines: Some(5), ..LogParams::default() };
    // Without the log, what the container left is read.
    let text = pods.logs(&pod.name_any(), &parameters).await.ok();
    text.as_deref().and_then(printed).or_else(|| left(&pod))
}

/// The report among the last lines of a log.
fn printed(log: &str) -> Option<Report> {
    // A log has lines that are no events, too.
    let mut lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // Most events hold no report.
    lines.find_map(|mut line| serde_json::from_value(line.get_mut("report")?.take()).ok())
}

/// The report that the container of a run left when it ended.
fn left(pod: &Pod) -> Option<Report> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let runner = statuses.iter().find(|one| one.name == CONTAINER)?;
    // What was cut is no report.
    serde_json::from_str(runner.state.as_ref()?.terminated.as_ref()?.message.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use contract::Code;

    use super::*;
    use crate::show::tests::style;

    fn completed() -> KafkaRestoreStatus {
        let plan = Some("restore of a-1\n  refused (KB5001): these words decide nothing".to_owned());
        KafkaRestoreStatus { phase: Some("Completed".to_owned()), plan, ..KafkaRestoreStatus::default() }
    }

    fn exit(said: Option<&Report>) -> Exit {
        let mut screen = Screen::silent(style(None));
        match show(&completed(), said, &|_| None, Output::Table, &mut screen) {
            Ok(exit) => exit,
            Err(error) => error.exit(),
        }
    }

    #[test]
    fn whether_a_plan_is_blocked_is_read_from_what_the_run_reports() {
        let report = |refusals| Report { refusals, ..Report::default() };
        assert_eq!(exit(Some(&report(Some(Vec::new())))), Exit::Done);
        let refusal = Failure::new(Code::TargetMismatch, "orders holds 5 records");
        assert_eq!(exit(Some(&report(Some(vec![refusal.clone()])))), Exit::No);
        let failed = Report { failure: Some(refusal), ..Report::default() };
        assert_eq!(exit(Some(&failed)), Exit::No);
        assert_eq!(exit(None), Exit::Unknown, "an unread report is no yes");
        assert_eq!(exit(Some(&report(None))), Exit::Unknown);
    }

    #[test]
    fn the_report_is_found_where_the_run_left_it() {
        let report = Report { refusals: Some(Vec::new()), ..Report::default() };
        let line = json!({"source": "kafka-backup", "event": "report", "report": report});
        assert_eq!(printed(&format!("{{}}\nnot json\n{line}\n")).unwrap().refusals, Some(Vec::new()));
        let state = json!({"terminated": {"exitCode": 0, "message": report.short().unwrap()}});
        let status =
            json!({"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let pod = serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap();
        assert_eq!(left(&pod).unwrap().refusals, Some(Vec::new()));
    }
}
