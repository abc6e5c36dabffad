//! Judging restores in the model: what one that says that it is complete left in the target, and what one that failed did.
//! Other restores, producers and administrators may have been there, too.

use std::collections::{BTreeMap, BTreeSet};

use contract::{ExitCode, Report};
use uuid::Uuid;

use crate::broker::State;
use crate::broker::state::{EPOCH_MS, Topic};
use crate::log::{Fate, Log};
use crate::script::{Action, Part, Script};

/// Records that are written in the target by others have higher ids.
pub(crate) const OF_OTHERS: u64 = 1 << 40;
/// A topic that no restore is about.
pub(crate) const BYSTANDER: &str = "bystander";
/// Virtual milliseconds between the last look of a restore and its last word.
const LAST_LOOK_MS: u64 = 3_000;
/// Codes with which a restore may end for good once somebody else was at the target.
const OF_RIVALS: [&str; 8] = ["KB2006", "KB5001", "KB5002", "KB5004", "KB5007", "KB5008", "KB5010", "KB5011"];

/// What must be there.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    /// Committed records of the source, in order; of source partitions that meet, those of the first one come first.
    wanted: BTreeMap<(String, i32), Vec<u64>>,
    /// Configs of the source, which topics get that the restore creates.
    source: BTreeMap<String, BTreeMap<String, String>>,
    /// Ids and configs of the target topics before: those that are there still have the same in the end.
    before: BTreeMap<String, (Uuid, BTreeMap<String, String>)>,
    /// Id, end and configs of the topic that no restore is about.
    bystander: Option<(Uuid, i64, BTreeMap<String, String>)>,
    /// Configs that somebody else sets.
    touched: BTreeSet<(String, String)>,
    /// When topics or records are deleted by somebody else.
    deletions: Vec<u64>,
    /// How long the process is frozen in all, perhaps between its last look and its last word.
    frozen: u64,
    /// Whether others are at the target.
    pub(crate) contested: bool,
    /// Whether another restore is.
    rivals: bool,
}

impl Judge {
    /// From both clusters before the restore begins.
    pub(crate) fn new(script: &Script, source: &State, target: &State) -> Self {
        let place = |topic: &Topic| {
            let logs = topic.partitions.iter().enumerate();
            let name = topic.name.clone();
            let wanted = |log: &Log| {
                let (mut ids, inside) = (visible(log), inside(log, script.settings.part));
                ids.retain(|id| inside.contains(id));
                ids
            };
            let mut all: BTreeMap<(String, i32), Vec<u64>> = BTreeMap::new();
            for (n, p) in logs {
                all.entry((name.clone(), n as i32)).or_default();
                let target = script.settings.part.target_of(n as i32);
                all.entry((name.clone(), target)).or_default().extend(wanted(&p.log));
            }
            all
        };
        let actions = || script.actions.iter().map(|at| &at.what);
        let touched = actions().filter_map(|action| match action {
            Action::Config(topic, name, _) => Some((topic.clone(), name.clone())),
            _ => None,
        });
        let deletion =
            |at: &&crate::script::At| matches!(at.what, Action::Delete(_) | Action::Trim(..) | Action::Sweep);
        Self {
            wanted: source.topics.values().flat_map(place).collect(),
            source: source.topics.values().map(|topic| (topic.name.clone(), topic.configs.clone())).collect(),
            before: target.topics.values().map(|t| (t.name.clone(), (t.id, t.configs.clone()))).collect(),
            bystander: snapshot(target),
            touched: touched.collect(),
            deletions: script.actions.iter().filter(deletion).map(|at| at.ms).collect(),
            frozen: actions().map(|action| if let Action::Freeze(ms) = action { *ms } else { 0 }).sum(),
            contested: actions().any(|action| {
                matches!(
                    action,
                    Action::Restore(_)
                        | Action::Produce(..)
                        | Action::Config(..)
                        | Action::Delete(_)
                        | Action::Trim(..)
                        | Action::Create(..)
                )
            }),
            rivals: actions().any(|action| matches!(action, Action::Restore(_))),
        }
    }

    /// Records that are to be restored.
    pub(crate) fn records(&self) -> u64 {
        self.wanted.values().map(|ids| ids.len() as u64).sum()
    }

    /// What is wrong after a restore ended with this word, `since` milliseconds after the script began.
    pub(crate) fn ended(&self, who: &str, report: &Report, exit: ExitCode, target: &State, since: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        if snapshot(target) != self.bystander {
            wrong.push(format!("{who} changed {BYSTANDER}, which it is not about"));
        }
        let code = report.failure.as_ref().map(|failure| failure.code.as_str()).unwrap_or_default();
        match exit {
            // What was deleted after the restore ended is nothing that it says.
            ExitCode::Done if report.outcome == "AlreadyDone" && self.deletions.iter().any(|ms| *ms < since) => {}
            ExitCode::Done => self.complete(target, since, &mut wrong),
            ExitCode::Resumable => {}
            ExitCode::Fenced if self.rivals => {}
            ExitCode::Final if self.contested && OF_RIVALS.contains(&code) => {
                // Another restore may hold them off now.
                if !self.rivals && code != "KB5007" {
                    self.configs(target, &mut wrong);
                }
            }
            _ => wrong.push(format!("ended for good with {exit:?}: {:?}", report.failure)),
        }
        wrong.into_iter().map(|text| format!("{who}: {text}")).collect()
    }

    fn complete(&self, target: &State, since: u64, out: &mut Vec<String>) {
        let late = LAST_LOOK_MS + self.frozen;
        if self.deletions.iter().any(|ms| (*ms..ms + late).contains(&since)) {
            return;
        }
        for ((topic, partition), wanted) in &self.wanted {
            let log = target.topics.get(topic).and_then(|topic| topic.partitions.get(*partition as usize));
            let found = log.map(|p| visible(&p.log)).unwrap_or_default();
            // What others write comes after everything.
            let behind = found.iter().position(|id| *id > OF_OTHERS).unwrap_or(found.len());
            let (ours, rest) = found.split_at(behind);
            if ours != wanted || rest.iter().any(|id| *id < OF_OTHERS) {
                out.push(format!("{topic}/{partition}: {}", difference(wanted, &found)));
            }
        }
        // Another restore may hold them off now.
        if !self.rivals {
            self.configs(target, out);
        }
    }

    /// Batches that were written while a config was not held off. Of several restores nobody knows whose they are.
    pub(crate) fn beside_strangers(&self, target: &State) -> Vec<String> {
        if self.rivals { Vec::new() } else { target.strangers.wrong.iter().cloned().collect() }
    }

    /// What is wrong at the end, after everybody ended, of a restore that was complete.
    pub(crate) fn still(&self, target: &State) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.deletions.is_empty() {
            self.complete(target, 0, &mut wrong);
        }
        wrong.into_iter().map(|text| format!("at the end: {text}")).collect()
    }

    /// Configs are what they shall be in the end.
    fn configs(&self, target: &State, out: &mut Vec<String>) {
        for (name, of_source) in &self.source {
            let Some(topic) = target.topics.get(name) else { continue };
            // A topic that somebody deleted before the restore saw it is one that the restore creates.
            let own = self.before.get(name).filter(|(id, _)| *id == topic.id);
            let wanted = own.map_or(of_source, |(_, configs)| configs);
            let mine = |map: &BTreeMap<String, String>| {
                let mine = map.iter().filter(|(key, _)| !self.touched.contains(&(name.clone(), (*key).clone())));
                mine.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
            };
            if mine(&topic.configs) != mine(wanted) {
                out.push(format!("{name}: configs {:?} instead of {wanted:?}", topic.configs));
            }
        }
    }
}

fn snapshot(target: &State) -> Option<(Uuid, i64, BTreeMap<String, String>)> {
    let topic = target.topics.get(BYSTANDER)?;
    Some((topic.id, topic.partitions.first()?.log.end, topic.configs.clone()))
}

/// Ids of the committed records that consumers see in a log, in offset order.
fn visible(log: &Log) -> Vec<u64> {
    let shown = log.truth.range(log.start..log.stable().max(log.start)).flat_map(|(_, all)| all);
    shown.filter(|w| w.fate == Fate::Committed && w.gone.is_none()).map(|w| w.id).collect()
}

/// Ids of the records whose times a restore is about.
fn inside(log: &Log, part: Part) -> BTreeSet<u64> {
    let time = |millis: Option<u64>, open: i64| millis.map_or(open, |millis| EPOCH_MS + millis as i64);
    let times = time(part.start, i64::MIN)..=time(part.end, i64::MAX);
    let is_inside = |bytes: &bytes::Bytes| times.contains(&batch::BatchHeader::parse(bytes).unwrap().max_timestamp);
    let batches = log.batches.iter().filter(|batch| is_inside(&batch.bytes));
    batches.flat_map(|batch| batch.records.iter().map(|record| record.id)).collect()
}

fn difference(wanted: &[u64], found: &[u64]) -> String {
    let mut counts: BTreeMap<u64, i64> = BTreeMap::new();
    let found: Vec<_> = found.iter().copied().filter(|id| *id < OF_OTHERS).collect();
    for (id, one) in wanted.iter().map(|id| (*id, -1)).chain(found.iter().map(|id| (*id, 1))) {
        *counts.entry(id).or_default() += one;
    }
    let lost: i64 = counts.values().filter(|count| **count < 0).sum();
    let more: i64 = counts.values().filter(|count| **count > 0).sum();
    let order = if lost == 0 && more == 0 { "; out of order, or mixed with those of others" } else { "" };
    format!("{} of {} records are lost, {more} too many{order}", -lost, wanted.len())
}
