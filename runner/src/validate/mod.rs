//! A validation: what is asked of a recovery point, and of a cluster that it was restored into, becomes a verdict for each check.
//!
//! ```text
//! cluster reached, point found -> archive: one pass for structure, digests and records   (archive::verify)
//!                              -> cluster: logs and committed offsets, held against what the restore noted, or the point
//!                              -> webhooks -> verdicts, report -> evidence -> notices
//! ```
//! It changes nothing, neither the archive nor the cluster, and keeps no state: an attempt begins anew. Evidence is added to its
//! folder, and evidence whose time is over is deleted there. What could not be looked
//! at is never a pass.

mod asked;
mod http;

mod judge;

mod pass;

mod sides;

mod counts;
mod positions;
mod ranges;

mod cluster;

mod webhooks;

mod notices;

mod expiry;

mod evidence;

use archive::{Found, Point, SealedPoint, Store, names_point};
use contract::stamp::stamp;
use contract::{
    CheckFinding, CheckVerdict, Code, EventKind, Failure, Report, RunSpec, ValidatedPoint, ValidationCheck,
    ValidationReport, ValidationScope, ValidationSpec, ValidationVerdict,
};
use wire::Cluster;

use self::asked::Asked;
use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;

/// What every step of a validation uses.
struct Run<'a> {
    context: &'a Context,
    emitter: &'a Emitter,
    spec: &'a RunSpec,
    part: &'a ValidationSpec,
}

/// Runs a validation and fills `report`.
///
/// # Errors
/// [`Code::ValidationFailed`] when a check failed; else why some check could not be made.
pub(crate) async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &ValidationSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    if report.run.is_empty() {
        report.run = format!("{}-{}", spec.name, stamp(context.clock.now()));
    }
    let run = Run { context, emitter, spec, part };
    let mut out = ValidationReport::default();
    let mut asked = Asked::new(&part.checks);
    // Keys that do not fit are found before much is read.
    let ready = evidence::prepare(&run).await;
    let (ready, ended) = match ready {
        Ok(ready) => (ready, Box::pin(run.look(&mut asked, &mut out, report)).await),
        Err(failure) => (None, Err(failure)),
    };
    if let Err(failure) = &ended {
        asked.not_run(&failure.to_string());
    }
    out.checks = asked.into_checks();
    out.verdict = ValidationReport::judge(&out.checks);
    let ended = match ready {
        Some(ready) => kept(&run, ended, Box::pin(ready.keep(&run, report, &mut out)).await),
        None => ended,
    };
    let ended = conclude(&out, ended, report);
    report.validation = Some(out);
    if let Some(notify) = &part.notify {
        notices::send(&run, notify, report).await;
    }
    ended
}

/// A result without the evidence that was asked for is not all that was asked for. One that failed stays what it is.
fn kept(run: &Run<'_>, ended: Result<(), Failure>, kept: Result<(), Failure>) -> Result<(), Failure> {
    match (ended, kept) {
        (ended, Ok(())) => ended,
        (Ok(()), Err(failure)) => {
            run.emitter.warn(format!("the evidence of this result could not be kept: {failure}"));
            Err(failure)
        }
        (ended, Err(failure)) => {
            run.emitter.warn(format!("the evidence of this result could not be kept: {failure}"));
            ended
        }
    }
}

/// The end of the run, by what the checks came to.
fn conclude(out: &ValidationReport, ended: Result<(), Failure>, report: &mut Report) -> Result<(), Failure> {
    let is_interrupted = ended.as_ref().is_err_and(|failure| failure.code == Code::Interrupted);
    if is_interrupted {
        return ended;
    }
    match out.verdict {
        Some(ValidationVerdict::Fail) => {
            tell_counts(out, report);
            Err(Failure::new(Code::ValidationFailed, failed(&out.checks)))
        }
        Some(ValidationVerdict::Pass | ValidationVerdict::Warn) if ended.is_ok() => {
            tell_counts(out, report);
            report.outcome = "Completed".into();
            Ok(())
        }
        // Without a verdict, or ended early.
        _ => {
            if out.checks.iter().any(|check| check.verdict != CheckVerdict::NotRun) {
                report.outcome = "PartiallyCompleted".into();
            }
            let missing = || Failure::new(Code::Internal, "a check was not made, and nothing says why");
            Err(ended.err().unwrap_or_else(missing))
        }
    }
}

/// What was read, once the run is over: whoever counts progress must not take a part that is read again for it.
fn tell_counts(out: &ValidationReport, report: &mut Report) {
    (report.records, report.bytes, report.segments) = (out.records_read, out.bytes_read, out.segments_read);
}

/// The failed checks in one sentence.
fn failed(checks: &[ValidationCheck]) -> String {
    let failed: Vec<_> = checks.iter().filter(|check| check.verdict == CheckVerdict::Fail).collect();
    let Some(first) = failed.first() else { return "a check failed".to_owned() };
    let more = if failed.len() > 1 { format!(" (and {} more checks)", failed.len() - 1) } else { String::new() };
    let found = first.findings.first().map_or_else(String::new, |finding| format!(": {finding}"));
    format!("{} failed{more}: {}{found}", first.name, first.message)
}

impl Run<'_> {
    /// Makes all checks that can be made.
    ///
    /// # Errors
    /// Why some could not be made. What is made stands in `asked`.
    async fn look(&self, asked: &mut Asked, out: &mut ValidationReport, report: &mut Report) -> Result<(), Failure> {
        // What can pass by itself is waited for before much is read: the next attempt would read it again.
        let cluster = match self.connect().await {
            Err(failure) if failure.code.exit() != contract::ExitCode::Final => return Err(failure),
            reached => reached,
        };
        let store = connect::store(self.context, self.spec).await?;
        // A point that nobody can name, or that is another's, is compared with nothing.
        let point = self.archive(&store, asked, out, report).await?;
        let of_cluster = match cluster {
            Err(failure) => {
                asked.not_run_of_cluster(&failure.to_string());
                Err(failure)
            }
            Ok(Some(cluster)) => Box::pin(cluster::check(self, &cluster, &store, point.as_ref(), asked, out)).await,
            Ok(None) => Ok(()),
        };
        webhooks::ask(self, asked, out).await?;
        of_cluster
    }

    /// The cluster, where something asks it.
    async fn connect(&self) -> Result<Option<std::sync::Arc<Cluster>>, Failure> {
        if !self.part.checks.of_cluster() {
            return Ok(None);
        }
        let needs = connect::needs(contract::Action::Validation(self.part));
        connect::cluster(self.context, self.spec, &needs).await.map(Some)
    }

    /// Finds the point and makes the checks of the archive. The point is returned where it can be read.
    async fn archive(
        &self,
        store: &Store,
        asked: &mut Asked,
        out: &mut ValidationReport,
        report: &mut Report,
    ) -> Result<Option<Point>, Failure> {
        let found = match foreign::ours(store, &self.part.from, "to validate").await {
            // The newest entries of the log cannot be read: that is what a validation looks for.
            Err(error) if error.is_damage() && self.part.checks.of_archive() => {
                self.tell_start(report, &self.part.from);
                let (subject, what) = (String::new(), error.to_string());
                let finding = CheckFinding { subject, what, is_wrong: true };
                asked.fail_archive("the newest recovery point cannot be read", finding, self.emitter);
                return Ok(None);
            }
            found => found?,
        };
        let point = match Point::open(store, &found).await {
            Ok(point) => Some(point),
            Err(error) if error.is_damage() && self.part.checks.of_archive() => None,
            Err(error) => return Err(error.into()),
        };
        self.describe(store, &found, point.as_ref(), out, report).await?;
        let with_log = !names_point(&self.part.from, &found.layout);
        out.scope = Some(if with_log { ValidationScope::Log } else { ValidationScope::Point });
        if self.part.checks.of_archive() {
            pass::check(self, store, (&found, point.as_ref()), with_log, asked, out).await?;
        }
        Ok(point)
    }

    /// Says which point it is, and that it is the one of the owner that was named.
    async fn describe(
        &self,
        store: &Store,
        found: &Found,
        point: Option<&Point>,
        out: &mut ValidationReport,
        report: &mut Report,
    ) -> Result<(), Failure> {
        for warning in &found.warnings {
            self.emitter.warn(warning.clone());
        }
        let set = found.layout.set().to_owned();
        let chain = archive::Chain::new(store.clone(), found.layout.clone());
        let sealed = match chain.entry(found.seal).await {
            Ok((entry, digest)) => SealedPoint::of(&entry, &digest).zip(entry.seal),
            Err(error) if error.is_damage() && self.part.checks.of_archive() => None,
            Err(error) => return Err(error.into()),
        };
        let Some((line, seal)) = sealed else {
            // Whose set it is, nobody can say: nothing is written there where somebody is expected.
            report.set = self.part.owner.is_none().then(|| set.clone());
            self.tell_start(report, &set);
            return Ok(());
        };
        if let Some(expected) = &self.part.owner {
            archive::check_owner(store, &found.layout, found.seal, expected).await?;
        }
        report.set = Some(set.clone());
        report.point = Some(seal.point.clone());
        (report.topics, report.partitions) = (line.topics, line.partitions);
        self.tell_start(report, &seal.point);
        let digest = line.digest.0.clone();
        let line = point.map_or(line, Point::summary).line(None);
        out.point = Some(ValidatedPoint {
            id: seal.point.clone(),
            set,
            entry: found.seal,
            digest,
            at: seal.at.clone(),
            source_cluster: Some(seal.owner.cluster_id.clone()).filter(|id| !id.is_empty()),
            topics: line.topics,
            partitions: line.partitions,
            records: line.records,
            bytes: line.bytes,
            gaps: point.map_or(0, |point| point.gaps().len() as u64),
            held_back: line.held_back,
            written_by: Some(seal.writer.clone()).filter(|writer| !writer.is_empty()),
        });
        Ok(())
    }

    fn tell_start(&self, report: &Report, name: &str) {
        let (run, name) = (report.run.clone(), name.to_owned());
        self.emitter.emit(EventKind::Started { run, name, resumed: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verdicts: &[CheckVerdict]) -> ValidationReport {
        let check = |verdict: &CheckVerdict| ValidationCheck::new("decode", *verdict, "why");
        let checks: Vec<_> = verdicts.iter().map(check).collect();
        ValidationReport { verdict: ValidationReport::judge(&checks), checks, ..ValidationReport::default() }
    }

    fn end(verdicts: &[CheckVerdict], ended: Result<(), Code>) -> (String, Option<Code>) {
        let mut report = Report::default();
        let ended = ended.map_err(|code| Failure::new(code, "x"));
        let ended = conclude(&of(verdicts), ended, &mut report);
        (report.outcome, ended.err().map(|failure| failure.code))
    }

    #[test]
    fn completed_is_said_only_where_every_check_was_made_and_none_failed() {
        use CheckVerdict::{Fail, NotRun, Pass, Skipped, Warn};
        assert_eq!(end(&[Pass, Pass], Ok(())), ("Completed".into(), None));
        assert_eq!(end(&[Pass, Warn, Skipped], Ok(())), ("Completed".into(), None));
        assert_eq!(end(&[Pass, Fail], Ok(())), (String::new(), Some(Code::ValidationFailed)));
        // What failed is known, whatever kept other checks from being made.
        let unreached = Err(Code::BrokerUnreachable);
        assert_eq!(end(&[Fail, NotRun], unreached), (String::new(), Some(Code::ValidationFailed)));
        let partly = ("PartiallyCompleted".to_owned(), Some(Code::BrokerUnreachable));
        assert_eq!(end(&[Pass, NotRun], unreached), partly);
        assert_eq!(end(&[NotRun], unreached), (String::new(), Some(Code::BrokerUnreachable)));
        assert_eq!(end(&[Pass, Fail], Err(Code::Interrupted)), (String::new(), Some(Code::Interrupted)));
        // Nobody says why: that is no success either.
        assert_eq!(end(&[Pass, NotRun], Ok(())), ("PartiallyCompleted".into(), Some(Code::Internal)));
    }
}
