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

use super::cadence::Cadence;
use super::health::Health;
use super::lineages::Lineages;
use super::moment::{Look, StuckWatch, differs, look};
use super::positions::Positions;
use super::seal::Sealing;
use super::source::with_kept;
use crate::context::Context;
use crate::emit::Emitter;

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
    /// Ids of the set for topics of a converted archive.
    pub(crate) lineages: Arc<Lineages>,
    /// Topics that the source may still have, though they cannot be read now.
    pub(crate) missing: BTreeSet<Uuid>,
    /// What each point says of them.
    pub(crate) held_back: Vec<HeldBack>,
    /// Their configs, from the last point.
    pub(crate) kept_configs: TopicConfigs,
    memory: Memory,
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
    /// The last look failed.
    unseen: bool,
}

/// What a run keeps over all changes of its source.
#[derive(Debug)]
pub(crate) struct Memory {
    cadence: Cadence,
    stuck: StuckWatch,
    /// Consumer groups of the last look; before the first one, of the last point.
    groups: Arc<Vec<GroupSnapshot>>,
}

impl Memory {
    pub(crate) fn new(backup: &BackupSpec, groups: Arc<Vec<GroupSnapshot>>) -> Self {
        Self { cadence: Cadence::new(backup), stuck: StuckWatch::default(), groups }
    }
}

impl Follow {
    pub(crate) fn new(
        context: &Context,
        emitter: &Emitter,
        cluster: &Arc<Cluster>,
        backup: &Arc<BackupSpec>,
        topics: &[Topic],
        memory: Memory,
    ) -> Self {
        Self {
            context: context.clone(),
            emitter: emitter.clone(),
            cluster: Arc::clone(cluster),
            backup: Arc::clone(backup),
            topics: topics.to_vec(),
            lineages: Arc::default(),
            missing: BTreeSet::new(),
            held_back: Vec::new(),
            kept_configs: TopicConfigs::new(),
            memory,
            asked: None,
            discovery: None,
            refresh_at: Instant::now() + Duration::from_secs(backup.topic_refresh_secs),
            waiting: None,
            sealed: None,
            without: BTreeSet::new(),
            moved: false,
            unseen: false,
        }
    }

    /// A checkpoint is due: the source is looked at, unless the last look still waits for its data.
    pub(crate) fn checkpoint(&mut self, positions: &Positions) {
        // While nobody says what the source has, something new may wait.
        let is_awaited = self.moved || self.waiting.is_some() || self.asked.is_some() || self.unseen;
        let waiting = self.waiting.as_ref();
        let behind = || waiting.and_then(|look| look.behind(positions));
        self.memory.cadence.tell_overdue(&self.emitter, is_awaited, behind);
        if self.waiting.is_none() && self.asked.is_none() {
            let (cluster, backup) = (Arc::clone(&self.cluster), Arc::clone(&self.backup));
            let (emitter, last) = (self.emitter.clone(), Arc::clone(&self.memory.groups));
            let (epochs, now_ms) = (positions.epochs(), self.context.clock.now().as_millisecond());
            let stuck = self.memory.stuck.long(Duration::from_secs(backup.open_transaction_wait_secs));
            let lineages = Arc::clone(&self.lineages);
            let look =
                async move { look(&cluster, (&backup, &lineages), &emitter, &last, &epochs, &stuck, now_ms).await };
            self.asked = Some(look.boxed_local());
        }
    }

    /// When everything was last known to be archived that the source had at a look.
    pub(crate) fn whole_at(&self) -> Option<String> {
        self.memory.cadence.whole_text()
    }

    /// What the next recovery point waits for, while it is overdue.
    pub(crate) fn overdue(&self) -> Option<String> {
        self.memory.cadence.reason()
    }

    /// When the first look is due.
    pub(crate) fn next_look(&self) -> Instant {
        self.memory.cadence.next_look()
    }

    /// What the next one goes on with, when the source changed.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
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
                let found = self.bearable(found)?;
                self.unseen = found.is_none();
                let Some(found) = found else { return Ok(()) };
                if differs(&found.topics, &self.topics) {
                    return Err(changed());
                }
                if let Some(groups) = &found.groups {
                    self.memory.groups = Arc::new(groups.clone());
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
                let lineages = Arc::clone(&self.lineages);
                let discovery = async move { Ok(lineages.rediscover(&cluster, &backup).await?.topics) };
                self.discovery = Some(discovery.boxed_local());
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
    pub(crate) fn due(&mut self, positions: &mut Positions, health: &Health) -> Option<Sealing> {
        let without = self.waiting.as_ref()?.without(positions, health)?;
        let look = self.waiting.take()?;
        let mut held_back = self.memory.stuck.held_back(&look, &self.emitter);
        let facts = (look.configs.clone(), look.groups.clone());
        let is_whole = without.is_empty() && self.held_back.is_empty();
        self.memory.cadence.is_done(is_whole.then(|| self.context.now_text()));
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
        Some(Sealing { moves: positions.take_all(), live, held_back, configs, groups })
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
