//! The life of a run after its claim: plan, collect, and plan again where the source changed on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{
    ArchiveError, Claim, Gap, GapReason, GroupSnapshot, HeldBack, HeldReason, Moves, SetState, SetWriter, TopicConfigs,
    TopicState,
};
use contract::{Code, CrashPoint, EventKind, Failure, OnGap, Report, crash};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Cluster, Topic};

use super::collector::{Collected, End, Tools, collect};
use super::follow::{Follow, Memory};
use super::last::Last;
use super::lineages::Lineages;
use super::lost;
use super::members::{Members, partitions};
use super::moment::missing;
use super::positions::{Positions, Totals};
use super::seal::{Sealer, Sealing};
use super::select;
use super::source::{self, Before, Plan, tell_gap};
use super::stale::BEHIND;
use crate::limiter::Limiter;

/// How long leaders are waited for before what the others lead is read.
pub(crate) const PLAN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a topic must be unknown before it counts as deleted: brokers that just started know little.
const GONE_AFTER: Duration = Duration::from_secs(5);
const GONE_POLL: Duration = Duration::from_millis(500);

/// How long a run has been planning again without having moved anything.
struct Fruitless {
    limit: Duration,
    since: Option<Instant>,
}

impl Fruitless {
    fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    fn ends(&mut self) {
        self.since = None;
    }

    /// The first round always has another.
    fn is_over(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() >= self.limit
    }
}

/// A topic that the source no longer has.
struct Gone {
    id: Uuid,
    name: String,
    partitions: BTreeSet<i32>,
    /// Whether brokers knew it by an id.
    had_id: bool,
}

impl Gone {
    /// One that a set knows; its partitions are added by whoever knows them.
    fn of(topic: &TopicState) -> Self {
        Self { id: topic.id, name: topic.name.clone(), partitions: BTreeSet::new(), had_id: true }
    }
}

impl From<&Topic> for Gone {
    fn from(topic: &Topic) -> Self {
        let partitions = topic.partitions.iter().map(|p| p.index).collect();
        Self { id: topic.id, name: topic.name.clone(), partitions, had_id: !topic.wire_id.is_nil() }
    }
}

/// One run.
pub(crate) struct Session<'a> {
    sealer: Sealer,
    cluster: Arc<Cluster>,
    topics: Vec<Topic>,
    /// Topics that no broker described at the last look.
    undescribed: Vec<Topic>,
    members: Members,
    /// Ids of the set for topics of a converted archive.
    lineages: Lineages,
    last: Last,
    groups: Option<Vec<GroupSnapshot>>,
    configs: TopicConfigs,
    /// Configs of missing topics, from the last recovery point.
    kept_configs: TopicConfigs,
    targets: HashMap<(Uuid, i32), i64>,
    /// Topics that were deleted while a snapshot read them: they belong to its point as far as they were read.
    deleted: BTreeSet<Uuid>,
    limiter: Limiter,
    /// What a continuous run keeps over all changes of its source.
    memory: Option<Memory>,
    /// Since when plans met brokers that are behind.
    behind_since: Option<Instant>,
    totals: Totals,
    held_back: Vec<HeldBack>,
    report: &'a mut Report,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        sealer: Sealer,
        cluster: Arc<Cluster>,
        found: select::Chosen,
        groups: Option<Vec<GroupSnapshot>>,
        last: Last,
        last_groups: Arc<Vec<GroupSnapshot>>,
        report: &'a mut Report,
    ) -> Self {
        Self {
            last,
            limiter: Limiter::new(sealer.backup.rate_limit),
            memory: sealer.backup.continuous.then(|| Memory::new(&sealer.backup, last_groups)),
            members: Members::default(),
            lineages: Lineages::default(),
            configs: TopicConfigs::new(),
            kept_configs: TopicConfigs::new(),
            targets: HashMap::new(),
            deleted: BTreeSet::new(),
            behind_since: None,
            totals: Totals::default(),
            held_back: Vec::new(),
            sealer,
            cluster,
            topics: found.topics,
            undescribed: found.undescribed,
            groups,
            report,
        }
    }

    fn follows(&self) -> bool {
        self.sealer.backup.continuous
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The failure that ended it; progress made is in the archive.
    pub(crate) async fn run(mut self, mut writer: SetWriter) -> Result<(), Failure> {
        if !self.follows() {
            // A point must not grow because its run died: an attempt before this one said where partitions end. What older
            // runs said is no matter of this one.
            self.targets = writer.claim().targets.iter().map(|(key, target)| (*key, *target)).collect();
        }
        self.lineages = Lineages::of(writer.state().topics.values());
        self.report.earlier = writer.claim().moved;
        self.name(writer.claim())?;
        // What this claim added is not what the set knew.
        let (claim, mut known) = (writer.claim().number, writer.state().topics.clone());
        known.retain(|_, topic| topic.since != Some(claim));
        self.compare(known).await?;
        self.close_promised(&mut writer).await?;
        let mut fruitless = Fruitless::new(Duration::from_millis(self.cluster.options().retry_deadline_ms));
        loop {
            let mut plan = match self.plan(&mut writer).await {
                Ok(plan) => plan,
                Err(failure) => {
                    self.again(failure, &mut writer, &mut fruitless).await?;
                    continue;
                }
            };
            // Another attempt of this run ends where this one does.
            writer.commit(plan.positions.take_moved()).await?;
            let follow = self.follow(writer.state());
            let missing = self.members.held_back(&self.last.with(writer.state())).len() as u64;
            let tools = Tools {
                context: &self.sealer.context,
                emitter: &self.sealer.emitter,
                cluster: &self.cluster,
                backup: &self.sealer.backup,
                sealer: &self.sealer,
                limiter: &self.limiter,
                follow,
                missing,
                totals: self.totals,
            };
            let before = self.totals.bytes;
            let collected = match collect(tools, plan, writer).await {
                Ok(collected) => collected,
                Err(lost) => {
                    self.count(lost.totals, &lost.gaps, &lost.forks)?;
                    return Err(lost.failure);
                }
            };
            let Collected { writer: kept, mut positions, held_back, totals, memory, end } = collected;
            (writer, self.memory) = (kept, memory);
            self.count(totals, &positions.all_gaps, &positions.all_forks)?;
            match end {
                End::Complete => {
                    // What a collection held back that is planned anew, the next one reads or names again.
                    self.held_back.extend(held_back);
                    return self.seal(writer, positions).await;
                }
                End::Interrupted => {
                    // Everything may have been read before the stop was asked for: it is saved all the same.
                    writer.commit(positions.take_moved()).await?;
                    return Err(Failure::new(Code::Interrupted, "stopped on request; progress was saved"));
                }
                End::Failed(failure) => {
                    if totals.bytes > before {
                        fruitless.ends();
                    }
                    self.again(failure, &mut writer, &mut fruitless).await?;
                }
            }
        }
    }

    /// Compares the source with the set, and says what is to be done.
    async fn plan(&mut self, writer: &mut SetWriter) -> Result<Plan, Failure> {
        for topic in &self.topics {
            writer.know_topic(state_of(topic));
        }
        let follow = self.follows();
        let mut before = Before {
            store: &self.sealer.store,
            layout: &self.sealer.layout,
            newest: writer.newest(),
            state: writer.state(),
            targets: &mut self.targets,
            follow,
            doubts: self.behind_since.is_none_or(|since| since.elapsed() < BEHIND),
        };
        let emitter = &self.sealer.emitter;
        let plan = source::plan(&self.cluster, &self.topics, &mut before, emitter, PLAN_PATIENCE).await?;
        self.behind_since = plan.is_behind.then(|| self.behind_since.unwrap_or_else(Instant::now));
        if !follow {
            // Configs of topics that were deleted meanwhile stay.
            self.configs.extend(source::configs(&self.cluster, &self.topics, emitter).await?);
        }
        self.report.topics = self.topics.len() as u64;
        self.report.partitions = (plan.cursors.len() + plan.unplanned.len()) as u64;
        let records = if follow { plan.positions.lag() } else { plan.positions.to_targets() };
        self.sealer.emitter.emit(EventKind::Planned {
            topics: self.report.topics,
            partitions: self.report.partitions,
            records,
        });
        crash::at(CrashPoint::Planned);
        Ok(plan)
    }

    fn follow(&mut self, state: &SetState) -> Option<Follow> {
        let Sealer { context, emitter, backup, .. } = &self.sealer;
        let memory = self.memory.take()?;
        let mut follow = Follow::new(context, emitter, &self.cluster, backup, &self.topics, memory);
        follow.lineages = Arc::new(self.lineages.clone());
        follow.missing = self.members.missing();
        follow.held_back = self.members.held_back(state);
        follow.kept_configs.clone_from(&self.kept_configs);
        Some(follow)
    }

    /// Goes on after the source changed; any other failure ends the run.
    async fn again(
        &mut self,
        failure: Failure,
        writer: &mut SetWriter,
        fruitless: &mut Fruitless,
    ) -> Result<(), Failure> {
        // A right that was taken away shows first where its topic is read.
        let passes = matches!(failure.code, Code::SourceDiverged | Code::TopicChanged | Code::NotAuthorized);
        // Topics may come and go for as long as a continuous run lasts.
        let for_ever = self.follows() && failure.code == Code::TopicChanged;
        if !passes || (!for_ever && fruitless.is_over()) {
            return Err(failure);
        }
        tokio::time::sleep(GONE_POLL).await;
        tracing::warn!(%failure, "the source changed: planning again");
        let found = self.look_again().await?;
        self.undescribed = found.undescribed;
        let before = std::mem::replace(&mut self.topics, found.topics);
        let was_missing = self.members.missing();
        self.compare(writer.state().topics.clone()).await?;
        let missing = self.members.missing();
        if failure.code == Code::NotAuthorized && missing == was_missing {
            return Err(failure);
        }
        let is_there = |topic: &Topic| self.topics.iter().any(|other| other.id == topic.id);
        let gone: Vec<_> =
            before.into_iter().filter(|topic| !is_there(topic) && !missing.contains(&topic.id)).collect();
        for topic in gone {
            self.close(&Gone::from(&topic), writer).await?;
        }
        Ok(())
    }

    /// Closes what an attempt before this one was to read and that is gone since: nobody else knows of that promise.
    async fn close_promised(&mut self, writer: &mut SetWriter) -> Result<(), Failure> {
        for topic in self.promised_and_gone(writer.state())? {
            self.close(&topic, writer).await?;
        }
        Ok(())
    }

    fn promised_and_gone(&self, state: &SetState) -> Result<Vec<Gone>, Failure> {
        let (missing, selected) = (self.members.missing(), select::by_name(&self.sealer.backup)?);
        let is_there = |id: &Uuid| self.topics.iter().any(|topic| topic.id == *id) || missing.contains(id);
        let mut gone: BTreeMap<Uuid, Gone> = BTreeMap::new();
        for (id, partition) in self.targets.keys().filter(|(id, _)| !is_there(id)) {
            let Some(topic) = state.topics.get(id).filter(|topic| selected(&topic.name)) else { continue };
            gone.entry(*id).or_insert_with(|| Gone::of(topic)).partitions.insert(*partition);
        }
        Ok(gone.into_values().collect())
    }

    /// Compares what was found with the members of the set, and tells what changed.
    async fn compare(&mut self, known: BTreeMap<Uuid, TopicState>) -> Result<(), Failure> {
        let Sealer { backup, emitter, .. } = &self.sealer;
        let known = self.last.topics(known);
        let found = (&mut self.topics, &self.undescribed[..]);
        self.members.look(&self.cluster, backup, (&known, &self.lineages), found, emitter).await?;
        let is_strict = backup.on_gap == OnGap::Fail && !self.follows();
        if let Some(name) = self.members.unavailable().filter(|_| is_strict) {
            let text =
                format!("topic {name} is not described by the cluster for now, and backup.onGap is fail; run again");
            return Err(Failure::new(Code::BrokerFailed, text));
        }
        self.keep_configs().await;
        Ok(())
    }

    /// The configs of missing topics are those of the last recovery point: the source does not tell them now, and a
    /// restore needs them.
    async fn keep_configs(&mut self) {
        let is_new = |name: &&str| !self.kept_configs.contains_key(*name);
        let missing: Vec<_> = self.members.missing_names().filter(is_new).map(str::to_owned).collect();
        let Some(layout) = self.last.set.as_ref().filter(|_| !missing.is_empty()) else { return };
        match archive::newest_configs(&self.sealer.store, layout).await {
            Ok(mut configs) => {
                self.kept_configs.extend(missing.into_iter().filter_map(|name| configs.remove_entry(&name)));
            }
            Err(error) => self.sealer.emitter.warn(format!(
                "the configs of topics that are missing now cannot be read from the last recovery point: {error}"
            )),
        }
    }

    /// The topics now; one that is missing is looked for a while longer.
    async fn look_again(&self) -> Result<select::Chosen, Failure> {
        let deadline = Instant::now() + GONE_AFTER;
        loop {
            let found = self.lineages.rediscover(&self.cluster, &self.sealer.backup).await?;
            let all_there = self.topics.iter().all(|topic| found.topics.iter().any(|other| other.name == topic.name));
            if all_there || Instant::now() >= deadline {
                return Ok(found);
            }
            tokio::time::sleep(GONE_POLL).await;
        }
    }

    /// Closes the lineage of a topic that is gone. A snapshot owes what it had promised to read: that is a gap. Where it
    /// had promised nothing yet, the topic is one that was deleted before.
    async fn close(&mut self, topic: &Gone, writer: &mut SetWriter) -> Result<(), Failure> {
        let now = self.topics.iter().find(|other| other.name == topic.name);
        let recreated = now.is_some();
        let what = match now {
            None => "deleted",
            Some(now) if !topic.had_id && !now.wire_id.is_nil() => {
                "given an id by the cluster, so that nobody tells whether it is the same topic,"
            }
            Some(_) => "deleted and created again",
        };
        self.sealer
            .emitter
            .warn(format!("topic {} was {what} while it was read; what was read before stays", topic.name));
        if self.follows() {
            return Ok(());
        }
        let promised = topic.partitions.iter().any(|p| self.targets.contains_key(&(topic.id, *p)));
        if !promised {
            return Ok(());
        }
        if !recreated {
            self.deleted.insert(topic.id);
        }
        let reason = if recreated { GapReason::TopicRecreated } else { GapReason::TopicDeleted };
        let mut moves = Moves::default();
        for p in topic.partitions.iter().copied() {
            let state = writer.state().partitions.get(&(topic.id, p)).cloned();
            let Some(target) = self.targets.remove(&(topic.id, p)) else {
                // Nobody told where it ended: what it had beyond the last point is not known.
                let (next, end) = state.map_or((0, 0), |row| (row.next, row.high_watermark.max(row.next)));
                self.held_back.push(missing(&topic.name, p, (next, end), None));
                continue;
            };
            let Some(mut row) = state.filter(|row| row.next < target) else { continue };
            let gap = source::gap(topic.id, &topic.name, p, row.next, target, reason);
            tell_gap(&self.sealer.emitter, &gap);
            (row.next, row.epoch) = (target, -1);
            moves.positions.push((topic.id, row));
            moves.gaps.push(gap);
        }
        self.count(self.totals, &moves.gaps, &[])?;
        writer.commit(moves).await?;
        Ok(())
    }

    /// What the claim gave up, and what earlier attempts of this run named, is part of what this one tells.
    fn name(&mut self, claim: &Claim) -> Result<(), Failure> {
        lost::tell(&self.sealer.emitter, claim);
        self.count(self.totals, &claim.before.gaps, &claim.before.forks)?;
        self.count(self.totals, &claim.lost.gaps, &claim.lost.forks)
    }

    fn count(&mut self, totals: Totals, gaps: &[Gap], forks: &[archive::Fork]) -> Result<(), Failure> {
        self.totals = totals;
        self.totals.fill(self.report);
        self.report.gaps.extend(values(gaps)?);
        self.report.timelines.extend(values(forks)?);
        Ok(())
    }

    async fn seal(mut self, mut writer: SetWriter, mut positions: Positions) -> Result<(), Failure> {
        self.held_back.extend(self.members.held_back(&self.last.with(writer.state())));
        let open = |held: &HeldBack| held.reason == HeldReason::OpenTransaction;
        let whole = self.report.gaps.is_empty() && self.held_back.iter().all(open);
        self.report.held_back = values(&self.held_back)?;
        let mut live: BTreeSet<_> = self.topics.iter().map(|topic| topic.id).collect();
        live.extend(&self.deleted);
        live.extend(self.members.missing());
        let moment = Sealing {
            moves: positions.take_all(),
            live,
            held_back: std::mem::take(&mut self.held_back),
            configs: source::with_kept(std::mem::take(&mut self.configs), &self.kept_configs),
            groups: self.groups.take(),
        };
        self.report.made = Some(self.sealer.seal(&mut writer, moment).await?);
        self.report.segments = writer.written().segments;
        self.report.stored_bytes = writer.written().bytes;
        let is_whole = whole && self.members.are_whole();
        self.report.outcome = if is_whole { "Completed" } else { "CompletedWithGaps" }.into();
        Ok(())
    }
}

/// Rows as a report holds them.
pub(crate) fn values<T: serde::Serialize>(rows: &[T]) -> Result<Vec<serde_json::Value>, Failure> {
    let values = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    values.map_err(|error| ArchiveError::unencodable(error).into())
}

/// What a set says of a topic as the source has it now.
pub(crate) fn state_of(topic: &Topic) -> TopicState {
    // -1: the source did not say, or more than any cluster has.
    let replicas = topic.partitions.first().map_or(Ok(-1), |p| i16::try_from(p.replicas)).unwrap_or(-1);
    TopicState::new(topic.id, &topic.name, partitions(topic), replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_deadline_counts_over_all_plans_that_moved_nothing() {
        let mut fruitless = Fruitless::new(Duration::from_secs(10));
        for _ in 0..5 {
            assert!(!fruitless.is_over());
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert!(fruitless.is_over());
        // What moved begins it anew.
        fruitless.ends();
        assert!(!fruitless.is_over());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!fruitless.is_over());
    }
}
