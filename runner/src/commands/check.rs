//! `check`: does everything that a run does before it writes.

use archive::Point;
use contract::{
    Action, BackupSpec, CheckLine, Code, ExitCode, Failure, PruneSpec, Report, RestoreSpec, RunSpec, ValidationSpec,
    Verdict,
};
use wire::Cluster;

use super::{Output, print};
use crate::checks::{brokers, certificates, folder, group_configs, rights};
use crate::context::Context;
use crate::emit::Emitter;
use crate::{backup, connect, offsets, prune, restore};

/// Checks a specification against the cluster and the store. A program gets one document, also of a check that failed.
pub(crate) async fn check(context: &Context, spec: &RunSpec, output: Output) -> Result<ExitCode, Failure> {
    let mut found = Found { output, brokers: Vec::new(), lines: Vec::new() };
    let checked = match spec.action() {
        Ok(Action::Backup(part)) => found.backup(context, spec, part).await,
        Ok(Action::Restore(part)) => found.restore(context, spec, part).await,
        Ok(action @ (Action::OffsetReset(_) | Action::OffsetRollback(_))) => found.offsets(context, spec, action).await,
        Ok(Action::Validation(part)) => found.validation(context, spec, part).await,
        Ok(Action::Prune(part)) => found.prune(context, spec, part).await,
        Err(finding) => Err(Failure::new(Code::SpecInvalid, finding.to_string())),
    };
    if let Err(failure) = &checked
        && output == Output::Json
    {
        let (brokers, lines) = (&found.brokers, &found.lines);
        print::json(&serde_json::json!({"failure": failure, "brokers": brokers, "checks": lines}))?;
    }
    checked.map(|()| ExitCode::Done)
}

/// What was found so far.
struct Found {
    output: Output,
    brokers: Vec<brokers::Asked>,
    lines: Vec<CheckLine>,
}

impl Found {
    async fn backup(&mut self, context: &Context, spec: &RunSpec, part: &BackupSpec) -> Result<(), Failure> {
        let cluster = connect::cluster(context, spec, &connect::backup_needs(part)).await?;
        let cluster_id = connect::cluster_id(&cluster)?;
        let backup::Chosen { topics, undescribed, absent } = backup::discover(&cluster, part).await?;
        let needed = brokers::needed(&cluster, &topics, part.consumer_group_snapshot);
        self.ask(context, &cluster, &needed).await?;
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        self.say(rights::of_backup(&cluster, &names).await?);
        if part.consumer_group_snapshot {
            self.say(rights::of_groups(&cluster).await?);
            self.say(group_configs::of_backup(&cluster).await?);
        }
        self.judge()?;
        if let Some(folder) = &part.checkpoint_folder {
            let found = folder::check(context, folder).await?;
            self.say(vec![CheckLine::new("checkpoint", "write", Verdict::Ok, found)]);
        }
        let store = connect::store(context, spec).await?;
        let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
        let away: Vec<_> = undescribed.iter().map(|topic| topic.name.as_str()).collect();
        if self.output == Output::Json {
            let (brokers, lines) = (&self.brokers, &self.lines);
            return print::json(
                &serde_json::json!({"clusterId": cluster_id, "storage": store.place(), "topics": names, "partitions": partitions, "undescribed": away, "absent": absent, "brokers": brokers, "checks": lines}),
            );
        }
        print::line(&format!("cluster {cluster_id} and storage {} can be reached", store.place()));
        print::line(&format!("{} topics, {partitions} partitions: {}", names.len(), names.join(", ")));
        if !away.is_empty() {
            print::line(&format!("not described by the cluster for now: {}", away.join(", ")));
        }
        if !absent.is_empty() {
            print::line(&format!("not in the cluster, and left out: {}", absent.join(", ")));
        }
        Ok(())
    }

    async fn restore(&mut self, context: &Context, spec: &RunSpec, part: &RestoreSpec) -> Result<(), Failure> {
        let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
        self.ask(context, &cluster, &brokers::needed(&cluster, &[], true)).await?;
        let plan = restore::plan_only(context, &Emitter::new(context, false), spec, part).await?;
        self.say(rights::of_restore(&cluster, &plan.plan).await?);
        self.say(rights::of_targets(&cluster, part, &plan.targets).await?);
        self.say(group_configs::of_changes(&cluster, &plan.configured, false).await?);
        // Where the plan finds that the coordinator of transactions cannot work, nobody waits for it.
        if plan.refusals.is_empty() {
            self.say(vec![rights::of_transactions(&cluster, &context.nonce()).await?]);
        }
        self.judge()?;
        if self.output == Output::Json {
            return print::json(&plan.json()?);
        }
        print::lines(&plan.text());
        Ok(())
    }

    async fn offsets(&mut self, context: &Context, spec: &RunSpec, action: Action<'_>) -> Result<(), Failure> {
        let cluster = connect::cluster(context, spec, &connect::needs(action)).await?;
        self.ask(context, &cluster, &brokers::needed(&cluster, &[], true)).await?;
        self.say(rights::of_groups(&cluster).await?);
        self.judge()?;
        let preview = offsets::run::preview(context, &cluster, spec).await?;
        self.say(group_configs::of_changes(&cluster, &preview.configured(), true).await?);
        self.judge()?;
        if self.output == Output::Json {
            let (refusals, warnings) = (&preview.refusals, &preview.warnings);
            return print::json(&serde_json::json!({"text": preview.text, "refusals": refusals, "warnings": warnings}));
        }
        print::lines(&preview.text);
        preview.warnings.iter().for_each(|warning| print::line(&format!("  note  {warning}")));
        preview.refusals.into_iter().next().map_or(Ok(()), Err)
    }

    async fn prune(&mut self, context: &Context, spec: &RunSpec, part: &PruneSpec) -> Result<(), Failure> {
        let look = PruneSpec { dry_run: true, ..part.clone() };
        let mut report = Report::default();
        prune::run(context, &Emitter::new(context, false), spec, &look, &mut report).await?;
        let found = report.prune.iter().map(|found| (found.eligible, found.inspected)).next();
        let (eligible, inspected) = found.ok_or_else(|| Failure::new(Code::Internal, "a look without a report"))?;
        if self.output == Output::Json {
            return print::json(&serde_json::json!({"prune": report.prune, "checks": self.lines}));
        }
        print::line(&format!("{eligible} of {inspected} recovery points would be removed"));
        Ok(())
    }

    async fn validation(&mut self, context: &Context, spec: &RunSpec, part: &ValidationSpec) -> Result<(), Failure> {
        let mut cluster_id = None;
        if part.checks.of_cluster() {
            let cluster = connect::cluster(context, spec, &connect::needs(Action::Validation(part))).await?;
            cluster_id = Some(connect::cluster_id(&cluster)?);
            let groups = part.checks.consumer_group_offsets.is_some();
            self.ask(context, &cluster, &brokers::needed(&cluster, &[], groups)).await?;
            if groups {
                self.say(rights::of_groups(&cluster).await?);
            }
            self.judge()?;
        }
        let store = connect::store(context, spec).await?;
        let point = Point::open(&store, &foreign::ours(&store, &part.from, "to validate").await?).await?;
        if let Some(expected) = &part.owner {
            point.check_owner(expected).await?;
        }
        let name = &point.seal.point;
        if self.output == Output::Json {
            let (brokers, lines) = (&self.brokers, &self.lines);
            return print::json(
                &serde_json::json!({"clusterId": cluster_id, "storage": store.place(), "point": name, "brokers": brokers, "checks": lines}),
            );
        }
        if let Some(id) = cluster_id {
            print::line(&format!("cluster {id} can be reached"));
        }
        print::line(&format!("recovery point {name} in storage {} would be checked", store.place()));
        Ok(())
    }

    /// Brokers, and the certificates that they show.
    async fn ask(
        &mut self,
        context: &Context,
        cluster: &Cluster,
        needed: &std::collections::BTreeSet<wire::BrokerId>,
    ) -> Result<(), Failure> {
        let is_text = self.output == Output::Text;
        let say = |asked: &brokers::Asked| {
            if is_text {
                print::line(&line(&asked.line()));
            }
        };
        self.brokers = brokers::ask(cluster, needed, say).await;
        let all = self.brokers.iter().map(brokers::Asked::id);
        self.say(certificates::lines(cluster, all, context.clock.now()));
        brokers::judge(&self.brokers)
    }

    fn say(&mut self, lines: Vec<CheckLine>) {
        if self.output == Output::Text {
            for told in &lines {
                print::line(&line(told));
            }
        }
        self.lines.extend(lines);
    }

    /// The first failure that was said, once all were.
    fn judge(&self) -> Result<(), Failure> {
        self.lines.iter().filter(|line| line.verdict == Verdict::Fail).find_map(CheckLine::failure).map_or(Ok(()), Err)
    }
}

fn line(line: &CheckLine) -> String {
    format!("  {:<4}  {}", line.verdict.mark(), line.detail)
}
