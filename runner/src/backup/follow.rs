//! The part of a continuous run that looks at the source from time to time: are there new topics, and is everything
//! archived that was there at the last look?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archive::{GroupSnapshot, HeldBack, TopicConfigs};
use contract::{BackupSpec, Code, ExitCode, Failure};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Cluster, Topic};

use super::health::Health;
use super::moment::{Look, PATIENCE, StuckWatch, differs, look};
use super::positions::Positions;
use super::seal::Moment;
use super::select;
use super::source::with_kept;
use crate::context::Context;
use crate::emit::Emitter;

/// Checkpoints without a recovery point after which it is overdue.
const OVERDUE: u32 = 3;

/// A question to the cluster that is being answered while data goes on.
type Question<T> = LocalBoxFuture<'static, Result<T, Failure>>;

/// How a continuous run follows its source.
pub(crate) struct Follow {
    pub(crate) context: Context,
    pub(crate) emitter: Emitter,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) backup: Arc<BackupSpec>,
    /// Topics that are read.
    pub(crate) topics: Vec<Topic>,
    /// Topics that the source may still have, though they cannot be read now.
    pub(crate) missing: BTreeSet<Uuid>,
    /// What each point says of them.
    pub(crate) held_back: Vec<HeldBack>,
    /// Their configs, from the last point.
    pub(crate) kept_configs: TopicConfigs,
    /// Consumer groups of the last point, or of the last look.
    pub(crate) last_groups: Arc<Vec<GroupSnapshot>>,
    stuck: StuckWatch,
    asked: Option<Question<Look>>,
    discovery: Option<Question<Vec<Topic>>>,
    refresh_at: Instant,
    /// The look whose data is still on its way.
    waiting: Option<Look>,
    sealed: Option<(TopicConfigs, Option<Vec<GroupSnapshot>>)>,
    /// Partitions that the newest point was made without.
    without: BTreeSet<(String, i32)>,
    /// Something moved since the last recovery point.
    moved: bool,
    /// When the newest recovery point was last known to hold everything, and how many times people were told since that
    /// the next is overdue.
    whole_at: Instant,
    told_overdue: u32,
    /// The same moment for people, once this run knew of one.
    whole_text: Option<String>,
    /// What an overdue recovery point waits for.
    overdue: Option<String>,
}

impl Follow {
    pub(crate) fn new(
        context: &Context,
        emitter: &Emitter,
        cluster: &Arc<Cluster>,
        backup: &Arc<BackupSpec>,
        topics: &[Topic],
    ) -> Self {
        Self {
            context: context.clone(),
            emitter: emitter.clone(),
            cluster: Arc::clone(cluster),
            backup: Arc::clone(backup),
            topics: topics.to_vec(),
            missing: BTreeSet::new(),
            held_back: Vec::new(),
            kept_configs: TopicConfigs::new(),
            last_groups: Arc::default(),
            stuck: StuckWatch::default(),
            asked: None,
            discovery: None,
            refresh_at: Instant::now() + Duration::from_secs(backup.topic_refresh_secs),
            waiting: None,
            sealed: None,
            without: BTreeSet::new(),
            moved: false,
            whole_at: Instant::now(),
            told_overdue: 0,
            whole_text: None,
            overdue: None,
        }
    }

    /// A checkpoint is due: the source is looked at, unless the last look still waits for its data.
    pub(crate) fn checkpoint(&mut self, positions: &Positions) {
        self.tell_overdue(positions);
        if self.waiting.is_none() && self.asked.is_none() {
            let (cluster, backup) = (Arc::clone(&self.cluster), Arc::clone(&self.backup));
            let (emitter, last) = (self.emitter.clone(), Arc::clone(&self.last_groups));
            self.asked = Some(async move { look(&cluster, &backup, &emitter, &last).await }.boxed_local());
        }
    }

    /// A recovery point that something new waits for is overdue after three checkpoints: people are told, again and again.
    fn tell_overdue(&mut self, positions: &Positions) {
        let interval = Duration::from_secs(self.backup.checkpoint_interval_secs.unwrap_or(1)).max(PATIENCE);
        let since = self.whole_at.elapsed();
        let is_overdue = (self.moved || self.waiting.is_some()) && since >= interval * OVERDUE;
        if let Some(metrics) = self.emitter.metrics() {
            metrics.take_overdue(if is_overdue { since.as_secs() } else { 0 });
        }
        if !is_overdue {
            (self.told_overdue, self.overdue) = (0, None);
            return;
        }
        let reason = match self.waiting.as_ref().and_then(|look| look.behind(positions)) {
            Some(behind) => format!("it waits for {behind}"),
            None => "the source could not be looked at".into(),
        };
        if since >= interval * OVERDUE * (self.told_overdue + 1) {
            self.told_overdue += 1;
            self.emitter.warn(format!("no recovery point was made for {} s: {reason}", since.as_secs()));
        }
        self.overdue = Some(reason);
    }

    /// When everything was last known to be archived that the source had at a look.
    pub(crate) fn whole_at(&self) -> Option<String> {
        self.whole_text.clone()
    }

    /// What the next recovery point waits for, while it is overdue.
    pub(crate) fn overdue(&self) -> Option<String> {
        self.overdue.clone()
    }

    /// Something moved.
    pub(crate) fn note_move(&mut self) {
        self.moved = true;
    }

    /// Waits for the next thing that the source has to tell. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Code::TopicChanged`] when topics or partitions came or went, or what the cluster says.
    pub(crate) async fn news(&mut self) -> Result<(), Failure> {
        tokio::select! {
            biased;
            found = answered(&mut self.asked) => {
                let Some(found) = self.bearable(found)? else { return Ok(()) };
                if differs(&found.topics, &self.topics) {
                    return Err(changed());
                }
                if let Some(groups) = &found.groups {
                    self.last_groups = Arc::new(groups.clone());
                }
                self.waiting = Some(found);
                Ok(())
            }
            found = answered(&mut self.discovery) => {
                self.refresh_at = Instant::now() + Duration::from_secs(self.backup.topic_refresh_secs);
                let Some(found) = self.bearable(found)? else { return Ok(()) };
                if differs(&found, &self.topics) { Err(changed()) } else { Ok(()) }
            }
            () = tokio::time::sleep_until(self.refresh_at), if self.discovery.is_none() => {
                let (cluster, backup) = (Arc::clone(&self.cluster), Arc::clone(&self.backup));
                self.discovery = Some(async move { Ok(select::rediscover(&cluster, &backup).await?.topics) }.boxed_local());
                Ok(())
            }
        }
    }

    /// A look that fails for now is tried again at the next checkpoint: reading goes on meanwhile.
    fn bearable<T>(&self, found: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.code.exit() == ExitCode::Resumable && failure.code != Code::TopicChanged => {
                self.emitter.warn(format!("the source could not be looked at; trying again later: {failure}"));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The next recovery point, once everything that the last look saw is archived and something is new.
    pub(crate) async fn due(&mut self, positions: &mut Positions, health: &Health) -> Option<Moment> {
        let without = self.waiting.as_ref()?.without(positions, health)?;
        let look = self.waiting.take()?;
        let now_ms = self.context.clock.now().as_millisecond();
        let mut held_back = self.stuck.held_back(&look, &self.cluster, &self.backup, &self.emitter, now_ms).await;
        let facts = (look.configs.clone(), look.groups.clone());
        (self.whole_at, self.told_overdue, self.overdue) = (Instant::now(), 0, None);
        self.whole_text = Some(self.context.now_text());
        let names: BTreeSet<_> = without.iter().map(|held| (held.topic.clone(), held.partition)).collect();
        // A point that lacks a partition is replaced once the partition is whole, though nothing may be written to it.
        if !self.moved && self.sealed.as_ref() == Some(&facts) && self.without.is_subset(&names) {
            return None;
        }
        self.without = names;
        held_back.extend(without);
        look.mark(positions);
        self.sealed = Some(facts);
        self.moved = false;
        let (mut live, Look { configs, groups, .. }) = (look.live(), look);
        let configs = with_kept(configs, &self.kept_configs);
        live.extend(&self.missing);
        held_back.extend(self.held_back.iter().cloned());
        Some(Moment { moves: positions.take_all(), live, held_back, configs, groups })
    }
}

fn changed() -> Failure {
    Failure::new(Code::TopicChanged, "topics or partitions came or went")
}

/// The answer, if a question is open; it is closed then.
async fn answered<T>(question: &mut Option<Question<T>>) -> Result<T, Failure> {
    let Some(open) = question else { return std::future::pending().await };
    let answer = open.await;
    *question = None;
    answer
}
