//! One run from its specification to its report and exit code.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contract::{Action, Code, EventKind, ExitCode, Failure, Report, RunSpec, words};

use crate::context::Context;
use crate::emit::Emitter;
use crate::metrics::{self, Metrics};
use crate::{backup, connect, offsets, prune, restore, validate, waiting};

/// What an interrupted run may still take to save its progress.
const STOP_LIMIT: Duration = Duration::from_secs(22);
/// The same for one that has not begun: there is nothing to save.
const NOT_BEGUN: Duration = Duration::from_secs(3);

/// The same for one that only waits for something that is wrong.
const HELD_UP: Duration = Duration::from_secs(3);
/// Outcomes of runs that fail, and say more than that.
const DONE_IN_PART: [&str; 3] = ["PartiallyCompleted", "RolledBack", "PartiallyRolledBack"];
/// The outcome of a run that was done before, and whose report tells what that run did.
const DONE_BEFORE: &str = "AlreadyDone";
const LOOK: Duration = Duration::from_millis(250);

/// Runs a specification; the report is complete however it ended.
pub async fn run(context: &Context, emitter: &Emitter, spec: &RunSpec) -> (Report, ExitCode) {
    let mut report = Report { started_at: context.now_text(), ..Report::default() };
    let emitter = &serve_metrics(emitter, spec).await;
    let say = |seconds, what| emitter.waiting(seconds, what);
    let result = tokio::select! {
        biased;
        result = act(context, emitter, spec, &mut report) => result,
        never = waiting::announce(&context.waits, say) => match never {},
        () = too_long(context, emitter) => Err(Failure::new(Code::Interrupted, "stopped on request; the newest progress could not be saved in time")),
    };
    waiting::tell_news(&context.waits, &say);
    let exit = match &result {
        Ok(()) => ExitCode::Done,
        Err(failure) => failure.code.exit(),
    };
    if let Err(failure) = result {
        // What is done in part, or was put back, has said so.
        if !DONE_IN_PART.contains(&report.outcome.as_str()) {
            report.outcome = if failure.code == Code::Interrupted { "Interrupted" } else { "Failed" }.into();
        }
        report.failure = Some(failure);
    }
    report.finished_at = context.now_text();
    report.warnings = emitter.warnings();
    report.members = emitter.members();
    report.groups = emitter.groups();
    emitter.emit(EventKind::Finished { exit_code: exit as u8, failure: report.failure.clone() });
    if report.outcome == DONE_BEFORE {
        tell_again(context, spec, &mut report).await;
    } else {
        report.stored_at = publish(context, emitter, spec, &report).await;
    }
    (report, exit)
}

/// Starts the listener that the specification asks for; without it the run still does its work.
async fn serve_metrics(emitter: &Emitter, spec: &RunSpec) -> Emitter {
    let Some(wanted) = &spec.metrics else { return emitter.clone() };
    let kind = spec.action().map_or("", |action| action.field());
    let metrics = Arc::new(Metrics::new(wanted, kind, &spec.name));
    match metrics::serve(wanted, Arc::clone(&metrics)).await {
        Ok(address) => tracing::info!(%address, path = wanted.path, "serving metrics"),
        Err(error) => {
            let why = words::of_system(&error);
            emitter.warn(format!("metrics cannot be served on {}:{}: {why}", wanted.bind_address, wanted.port));
        }
    }
    emitter.clone().with_metrics(metrics)
}

async fn act(context: &Context, emitter: &Emitter, spec: &RunSpec, report: &mut Report) -> Result<(), Failure> {
    let action = spec.action().map_err(|finding| Failure::new(Code::SpecInvalid, finding.to_string()))?;
    if let Some(run) = &spec.run {
        report.run.clone_from(&run.id);
        report.attempt = run.attempt;
    }
    // Told at once: in a cluster, whoever waits for the run sees it before the wait is over.
    let missing = spec.secret_files().into_iter().filter(|file| !context.paths.secret(file).exists());
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        emitter.warn(format!("missing, and waited for: {}; create the Secret and its key", missing.join(", ")));
    }
    if let Some(weak) = spec.kafka.weak_login() {
        emitter.warn(weak);
    }
    report.kind = action.field().into();
    match action {
        Action::Backup(part) => Box::pin(backup::run(context, emitter, spec, part, report)).await,
        Action::Restore(part) => Box::pin(restore::run(context, emitter, spec, part, report)).await,
        Action::OffsetReset(part) => Box::pin(offsets::run::reset(context, emitter, spec, part, report)).await,
        Action::OffsetRollback(part) => Box::pin(offsets::run::roll_back(context, emitter, spec, part, report)).await,
        Action::Validation(part) => Box::pin(validate::run(context, emitter, spec, part, report)).await,
        Action::Prune(part) => Box::pin(prune::run(context, emitter, spec, part, report)).await,
    }
}

/// Until a run that was asked to stop has had its time: a few seconds where it has nothing to save, or cannot.
async fn too_long(context: &Context, emitter: &Emitter) {
    context.cancel.cancelled().await;
    let asked = tokio::time::Instant::now();
    let mut held_up = Duration::ZERO;
    while asked.elapsed() < STOP_LIMIT {
        tokio::time::sleep(LOOK).await;
        held_up = if context.waits.is_held_up() { held_up + LOOK } else { Duration::ZERO };
        if held_up >= HELD_UP || (!emitter.has_begun() && asked.elapsed() >= NOT_BEGUN) {
            return;
        }
    }
}

/// Keeps report and events beside the set, for people; of a restore with a store for its state, there. A failure here
/// changes nothing. Returns where the report is.
async fn publish(context: &Context, emitter: &Emitter, spec: &RunSpec, report: &Report) -> Option<String> {
    if report.is_repeated || report.run.is_empty() {
        return None;
    }
    let set = set_of(spec, report)?;
    let stored = async {
        let (store, layout) = place(context, spec, set).await?;
        let text = serde_json::to_vec_pretty(report);
        let text = text.map_err(|error| Failure::new(Code::Internal, format!("as JSON: {error}")))?;
        let key = layout.run(&report.run, REPORT);
        store.put(&key, text.into()).await?;
        store.put(&layout.run(&report.run, "events.jsonl"), emitter.lines().into()).await?;
        Ok::<_, Failure>(store.show(&key))
    };
    // A store that the run was ended for takes no report either.
    let patience = if context.cancel.is_cancelled() { Duration::from_secs(1) } else { Duration::from_secs(2) };
    match tokio::time::timeout(patience, stored).await {
        Ok(Ok(place)) => return Some(place),
        Ok(Err(failure)) => tracing::warn!(%failure, "the report could not be stored"),
        Err(_) => tracing::warn!("the report could not be stored in time"),
    }
    None
}

/// Tells the warnings of a run that was done before, and where its own report is. Counts stand in archive and target; without
/// the report only the warnings are missing.
async fn tell_again(context: &Context, spec: &RunSpec, report: &mut Report) {
    let Some(set) = set_of(spec, report).map(str::to_owned) else { return };
    let stored = async {
        let (store, layout) = place(context, spec, &set).await?;
        let key = layout.run(&report.run, REPORT);
        let Some(bytes) = store.get(&key).await? else { return Ok(None) };
        let before: Report = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(Code::ArchiveDamaged, format!("{}: {error}", store.show(&key))))?;
        Ok::<_, Failure>(Some((before, store.show(&key))))
    };
    match tokio::time::timeout(Duration::from_secs(2), stored).await {
        Ok(Ok(Some((before, place)))) if before.run == report.run => {
            let mut warnings = before.warnings;
            warnings.retain(|warning| !report.warnings.contains(warning));
            report.warnings.splice(0..0, warnings);
            report.stored_at = Some(place);
        }
        Ok(Ok(Some(_) | None)) => tracing::info!("the report of the run that was done before is not in the store"),
        Ok(Err(failure)) => tracing::warn!(%failure, "the report of the run that was done before could not be read"),
        Err(_) => tracing::warn!("the report of the run that was done before could not be read in time"),
    }
}

/// Name of a run's report in its folder.
const REPORT: &str = "report.json";

/// The set in whose folder a run's report is.
fn set_of<'a>(spec: &RunSpec, report: &'a Report) -> Option<&'a str> {
    let of_offsets = (spec.offset_reset.is_some() || spec.offset_rollback.is_some()).then_some(archive::OFFSETS_FOLDER);
    let of_prune = spec.prune.as_ref().filter(|part| !part.dry_run).map(|_| archive::PRUNE_FOLDER);
    report.set.as_deref().or(of_offsets).or(of_prune)
}

/// Where the folders of runs are.
async fn place(context: &Context, spec: &RunSpec, set: &str) -> Result<(archive::Store, archive::Layout), Failure> {
    let archive = connect::store_unasked(context, spec).await?;
    // Nothing is written into an archive of another tool.
    let is_theirs = spec.restore.is_some() && foreign::Set::find(&archive, set).await?.is_some();
    let layout = archive::Layout::new(if is_theirs { archive::RESTORES_FOLDER } else { set });
    let store = match &spec.restore {
        Some(part) => restore::state_store(context, spec, part, &archive).await?,
        None => archive,
    };
    Ok((store, layout))
}

/// Writes the short report to a file, as Kubernetes' termination message. A failure is only logged.
pub fn write_termination(path: &Path, report: &Report) {
    let written = report.short().map_err(std::io::Error::from).and_then(|text| std::fs::write(path, text));
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "the termination message could not be written");
    }
}
