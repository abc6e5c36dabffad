//! The life of a run after its claim: plan, collect, and plan again where the source changed on the way.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{
    Gap, GapReason, GroupSnapshot, HeldBack, HeldReason, Moves, SetWriter, TopicConfigs, TopicState, UNKNOWN_TARGET,
};
use contract::{Code, CrashPoint, EventKind, Failure, Report, crash};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Cluster, Topic};

use super::collector::{Collected, End, Tools, collect};
use super::follow::Follow;
use super::positions::{Positions, Totals};
use super::seal::{Moment, Sealer};
use super::select;
use super::source::{self, Before, Plan, tell_gap};
use crate::limiter::Limiter;

/// How long leaders are waited for before what the others lead is read.
const PLAN_PATIENCE: Duration = Duration::from_secs(5);
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

/// One run.
pub(crate) struct Session<'a> {
    sealer: Sealer,
    cluster: Arc<Cluster>,
    topics: Vec<Topic>,
    first_topics: BTreeSet<Uuid>,
    groups: Option<Vec<GroupSnapshot>>,
    configs: TopicConfigs,
    targets: HashMap<(Uuid, i32), i64>,
    /// Topics that were deleted while a snapshot read them: they belong to its point as far as they were read.
    deleted: BTreeSet<Uuid>,
    limiter: Limiter,
    totals: Totals,
    held_back: Vec<HeldBack>,
    report: &'a mut Report,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        sealer: Sealer,
        cluster: Arc<Cluster>,
        topics: Vec<Topic>,
        groups: Option<Vec<GroupSnapshot>>,
        report: &'a mut Report,
    ) -> Self {
        Self {
            limiter: Limiter::new(sealer.backup.rate_limit),
            first_topics: topics.iter().map(|topic| topic.id).collect(),
            configs: TopicConfigs::new(),
            targets: HashMap::new(),
            deleted: BTreeSet::new(),
            totals: Totals::default(),
            held_back: Vec::new(),
            sealer,
            cluster,
            topics,
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
        if writer.claim().targeted && !self.follows() {
            // A point must not grow because its run died: an attempt before this one said where partitions end.
            let rows = writer.state().partitions.iter();
            self.targets =
                rows.filter(|(_, row)| row.target != UNKNOWN_TARGET).map(|(key, row)| (*key, row.target)).collect();
        }
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
            let tools = Tools {
                context: &self.sealer.context,
                emitter: &self.sealer.emitter,
                cluster: &self.cluster,
                backup: &self.sealer.backup,
                sealer: &self.sealer,
                limiter: &self.limiter,
                follow: self.follow(),
                totals: self.totals,
            };
            let before = self.totals.records;
            let collected = match collect(tools, plan, writer).await {
                Ok(collected) => collected,
                Err(lost) => {
                    self.count(lost.totals, &lost.gaps, &lost.forks);
                    return Err(lost.failure);
                }
            };
            let Collected { writer: kept, mut positions, held_back, totals, end } = collected;
            writer = kept;
            self.count(totals, &positions.all_gaps, &positions.all_forks);
            self.held_back.extend(held_back);
            match end {
                End::Complete => return self.seal(writer, positions).await,
                End::Interrupted => {
                    // Everything may have been read before the stop was asked for: it is saved all the same.
                    writer.commit(positions.take_moved()).await?;
                    return Err(Failure::new(Code::Interrupted, "stopped on request; progress was saved"));
                }
                End::Failed(failure) => {
                    if totals.records > before {
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
            writer.know_topic(TopicState {
                id: topic.id,
                name: topic.name.clone(),
                partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                replication: topic.partitions.first().and_then(|p| i16::try_from(p.replicas).ok()).unwrap_or(-1),
                live: true,
            });
        }
        let (follow, start_offset) = (self.follows(), self.sealer.backup.start_offset);
        let mut before = Before {
            store: &self.sealer.store,
            layout: &self.sealer.layout,
            newest: writer.newest(),
            state: writer.state(),
            start_offset,
            first_topics: Some(&self.first_topics),
            targets: &mut self.targets,
            follow,
        };
        let emitter = &self.sealer.emitter;
        let plan = source::plan(&self.cluster, &self.topics, &mut before, emitter, PLAN_PATIENCE).await?;
        if !follow {
            // Configs of topics that were deleted meanwhile stay.
            self.configs.extend(source::configs(&self.cluster, &self.topics).await?);
        }
        self.report.topics = self.topics.len() as u64;
        self.report.partitions = (plan.cursors.len() + plan.unplanned.len()) as u64;
        let ends = plan.cursors.iter().filter(|cursor| cursor.target < i64::MAX);
        self.sealer.emitter.emit(EventKind::Planned {
            topics: self.report.topics,
            partitions: self.report.partitions,
            records: ends.map(|c| u64::try_from(c.target - c.offset).unwrap_or(0)).sum(),
        });
        crash::at(CrashPoint::Planned);
        Ok(plan)
    }

    fn follow(&self) -> Option<Follow> {
        let Sealer { context, emitter, backup, .. } = &self.sealer;
        self.follows().then(|| Follow::new(context, emitter, &self.cluster, backup, &self.topics))
    }

    /// Goes on after the source changed; any other failure ends the run.
    async fn again(
        &mut self,
        failure: Failure,
        writer: &mut SetWriter,
        fruitless: &mut Fruitless,
    ) -> Result<(), Failure> {
        let passes = matches!(failure.code, Code::SourceDiverged | Code::TopicChanged);
        // Topics may come and go for as long as a continuous run lasts.
        let for_ever = self.follows() && failure.code == Code::TopicChanged;
        if !passes || (!for_ever && fruitless.is_over()) {
            return Err(failure);
        }
        tokio::time::sleep(GONE_POLL).await;
        tracing::warn!(%failure, "the source changed: planning again");
        let found = self.look_again().await?;
        let gone: Vec<_> =
            self.topics.iter().filter(|topic| !found.iter().any(|other| other.id == topic.id)).cloned().collect();
        for topic in gone {
            self.close(&topic, &found, writer).await?;
        }
        self.topics = found;
        Ok(())
    }

    /// The topics now; one that is missing is looked for a while longer.
    async fn look_again(&self) -> Result<Vec<Topic>, Failure> {
        let deadline = Instant::now() + GONE_AFTER;
        loop {
            let found = select::rediscover(&self.cluster, &self.sealer.backup).await?;
            let all_there = self.topics.iter().all(|topic| found.iter().any(|other| other.name == topic.name));
            if all_there || Instant::now() >= deadline {
                return Ok(found);
            }
            tokio::time::sleep(GONE_POLL).await;
        }
    }

    /// Closes the lineage of a topic that is gone. A snapshot owes what it had promised to read: that is a gap.
    async fn close(&mut self, topic: &Topic, found: &[Topic], writer: &mut SetWriter) -> Result<(), Failure> {
        let recreated = found.iter().any(|other| other.name == topic.name);
        let what = if recreated { "deleted and created again" } else { "deleted" };
        self.sealer
            .emitter
            .warn(format!("topic {} was {what} while it was read; what was read before stays", topic.name));
        if self.follows() {
            return Ok(());
        }
        if !recreated {
            self.deleted.insert(topic.id);
        }
        let reason = if recreated { GapReason::TopicRecreated } else { GapReason::TopicDeleted };
        let mut moves = Moves::default();
        for p in &topic.partitions {
            let state = writer.state().partitions.get(&(topic.id, p.index)).cloned();
            let target = self.targets.remove(&(topic.id, p.index)).unwrap_or(0);
            let Some(mut row) = state.filter(|row| row.next < target) else { continue };
            let name = topic.name.clone();
            let gap = Gap { topic: topic.id, name, partition: p.index, from: row.next, to: target, reason };
            tell_gap(&self.sealer.emitter, &gap);
            (row.next, row.epoch) = (target, -1);
            moves.positions.push((topic.id, row));
            moves.gaps.push(gap);
        }
        self.count(self.totals, &moves.gaps, &[]);
        writer.commit(moves).await?;
        Ok(())
    }

    fn count(&mut self, totals: Totals, gaps: &[Gap], forks: &[archive::Fork]) {
        self.totals = totals;
        self.totals.fill(self.report);
        self.report.gaps.extend(gaps.iter().filter_map(|gap| serde_json::to_value(gap).ok()));
        self.report.timelines.extend(forks.iter().filter_map(|fork| serde_json::to_value(fork).ok()));
    }

    async fn seal(mut self, mut writer: SetWriter, mut positions: Positions) -> Result<(), Failure> {
        let open = |held: &HeldBack| held.reason == HeldReason::OpenTransaction;
        let whole = self.report.gaps.is_empty() && self.held_back.iter().all(open);
        self.report.held_back = self.held_back.iter().filter_map(|held| serde_json::to_value(held).ok()).collect();
        let mut live: BTreeSet<_> = self.topics.iter().map(|topic| topic.id).collect();
        live.extend(&self.deleted);
        let moment = Moment {
            moves: positions.take_all(),
            live,
            held_back: std::mem::take(&mut self.held_back),
            configs: std::mem::take(&mut self.configs),
            groups: self.groups.take(),
        };
        self.sealer.seal(&mut writer, moment).await?;
        self.report.segments = writer.written().segments;
        self.report.stored_bytes = writer.written().bytes;
        self.report.outcome = if whole { "Completed" } else { "CompletedWithGaps" }.into();
        Ok(())
    }
}
