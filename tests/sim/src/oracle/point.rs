//! What a recovery point holds, read back through the archive's reader, against what was written to the model.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{ArchiveError, GapReason, HeldBack, HeldReason, Layout, PartitionState, Point, Store, Timelines, Wanted};
use batch::{Decompressor, PAYLOAD_LIMIT, RecordIter, Window, payload};
use contract::Report;
use uuid::Uuid;

use super::AllMarks;
use crate::attempt::Ground;
use crate::encode::VALUE_HEAD;
use crate::log::{Fate, Gone, Log, Marks};
use crate::script::Mode;

/// A recovery point as it was read.
pub(super) struct Held {
    pub(super) point: Point,
    /// Committed records by partition and offset: the number that each value begins with.
    records: BTreeMap<(Uuid, i32), BTreeMap<i64, u64>>,
    /// Offsets that came twice.
    doubled: Vec<(Uuid, i32, i64)>,
}

impl Held {
    /// Names of the topics that the source had.
    pub(super) fn live(&self) -> BTreeSet<String> {
        self.point.seal.topics.iter().filter(|topic| topic.live).map(|topic| topic.name.clone()).collect()
    }

    /// What the seal says of a partition that the point lacks records of: one row for each reason.
    fn back(&self, topic: &str, partition: i32) -> Vec<&HeldBack> {
        self.point.seal.held_back.iter().filter(|back| back.topic == topic && back.partition == partition).collect()
    }

    fn rows(&self) -> impl Iterator<Item = (Uuid, &str, bool, &PartitionState)> {
        self.point.seal.partitions.iter().filter_map(|row| {
            let topic = self.point.seal.topics.get(row.topic as usize)?;
            Some((topic.id, topic.name.as_str(), topic.live, row))
        })
    }
}

/// Reads a point.
pub(super) async fn read(store: &Store, set: &str, entry: u64) -> Result<Held, ArchiveError> {
    let point = Point::load(store, &Layout::new(set), entry).await?;
    let mut held = Held { records: BTreeMap::new(), doubled: Vec::new(), point };
    let from: HashMap<_, _> = held.rows().map(|(id, _, _, row)| ((id, row.partition), i64::MIN)).collect();
    let wanted = Wanted::new(from, Timelines::new(held.point.forks()), Window::ALL);
    let mut stream = held.point.stream(wanted).await?;
    let mut decompressor = Decompressor::default();
    while let Some(read) = stream.next().await? {
        let place = (read.topic, read.partition);
        for raw in &read.batches {
            let shown = |error| ArchiveError::Batch { key: format!("{place:?}"), source: error };
            let plain = payload(raw, &mut decompressor, PAYLOAD_LIMIT).map_err(shown)?;
            for record in RecordIter::new(&raw.header, &plain) {
                let record = record.map_err(shown)?;
                let offset = raw.header.base_offset + i64::from(record.offset_delta);
                if offset < read.from || offset >= read.until {
                    continue;
                }
                let value = record.value.and_then(|value| value.first_chunk::<VALUE_HEAD>());
                let id = value.map_or(0, |head| u64::from_be_bytes(*head));
                if held.records.entry(place).or_default().insert(offset, id).is_some() {
                    held.doubled.push((place.0, place.1, offset));
                }
            }
        }
    }
    Ok(held)
}

/// How a point came to be.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    /// What its run said; `None` when it was killed, or all is well since.
    pub(super) said: Option<&'a Report>,
    /// Something was wrong while it was made, so that partitions may be held back.
    pub(super) troubled: bool,
}

/// Compares; returns the number of records compared and what is wrong.
pub(super) fn compare(ground: &Ground, held: &Held, lower: Option<&AllMarks>, made: Made<'_>) -> (u64, Vec<String>) {
    let state = ground.kafka.look();
    let mut out: Vec<String> = Vec::new();
    let mut count = 0;
    for (topic, partition, offset) in &held.doubled {
        out.push(format!("{topic}/{partition}: offset {offset} is there twice"));
    }
    let nothing = BTreeMap::new();
    for (id, name, live, row) in held.rows() {
        let Some(topic) = state.any_topic(id) else {
            out.push(format!("{name}: no such topic was ever there"));
            continue;
        };
        let place = format!("{name}/{}", row.partition);
        let Some(p) = topic.partitions.get(row.partition as usize) else {
            out.push(format!("{place}: no such partition was ever there"));
            continue;
        };
        let records = held.records.get(&(id, row.partition)).unwrap_or(&nothing);
        count += records.len() as u64;
        let gaps: Vec<(i64, i64)> = held
            .point
            .gaps()
            .iter()
            .filter(|g| (g.topic, g.partition) == (id, row.partition) && g.timeline.is_none())
            .map(|g| (g.from, g.to))
            .collect();
        for gap in held.point.gaps().iter().filter(|g| {
            (g.topic, g.partition, g.reason) == (id, row.partition, GapReason::SegmentLost) && g.timeline.is_none()
        }) {
            let has = p.log.truth.range(gap.from.max(p.log.start)..gap.to.max(p.log.start));
            let has = has.filter(|(_, all)| all.iter().any(|w| w.fate == Fate::Committed && w.gone.is_none())).count();
            if has > 0 && topic.deleted_ms.is_none() {
                out.push(format!(
                    "{place}: lost {gap:?} was not read again, though the source has {has} records of it"
                ));
            }
        }
        let set = format!("{}/", held.point.set());
        let claimed = ground.store.created().iter().find(|made| made.key.starts_with(&set)).map(|made| made.at_ms);
        // Each offset once, however often it was read.
        if records.len() as u64 != row.held() {
            out.push(format!("{place}: the point counts {} records and has {}", row.held(), records.len()));
        }
        let forks = || held.point.forks().iter().filter(|f| (f.topic, f.partition) == (id, row.partition));
        if let Some(fork) = forks().next().filter(|_| p.log.cuts.is_empty() && !ground.script.settings.reread) {
            out.push(format!("{place}: a timeline begins at {} though the log was never cut", fork.from));
        }
        let late = topic.made_ms.get(row.partition as usize).copied() > claimed;
        let begins_at_start = late || !ground.script.settings.latest;
        // Retention keeps nothing of a topic that no point which stays had.
        let is_owed = live || !ground.script.has_retention();
        let found = Partition { log: &p.log, row, records, gaps: &gaps, begins_at_start, is_owed };
        found.compare(&mut |text| out.push(format!("{place}: {text}")));
        let marks = lower.and_then(|lower| lower.get(&(id, row.partition)));
        let back = held.back(name, row.partition);
        let tail = |back: &HeldBack| p.log.ends_in_nothing(back.from);
        let away = back.iter().any(|back| back.reason != HeldReason::OpenTransaction && !tail(back));
        if away && !made.troubled {
            out.push(format!("{place} is held back though nothing was wrong: {back:?}"));
        }
        if let Some(marks) = marks.filter(|_| topic.deleted_ms.is_none() && !(away && made.troubled)) {
            let from = back.iter().map(|back| back.from).min();
            let back = from.zip(back.iter().map(|back| back.to).max());
            let follows = ground.script.settings.mode == Mode::Continuous;
            found.reaches(marks, back, follows, &mut |text| out.push(format!("{place}: {text}")));
        }
    }
    missing_topics(&state, held, lower, made, &mut out);
    (count, out)
}

/// Topics and partitions that the source had before and has now must be in the point.
fn missing_topics(
    state: &crate::broker::State,
    held: &Held,
    lower: Option<&AllMarks>,
    made: Made<'_>,
    out: &mut Vec<String>,
) {
    for (id, partition) in lower.into_iter().flat_map(BTreeMap::keys) {
        let Some(topic) = state.topics.values().find(|topic| topic.id == *id) else { continue };
        let there = held.rows().any(|(other, _, live, row)| other == *id && row.partition == *partition && live);
        let named = made.said.is_none_or(|report| {
            let text = topic.name.as_str();
            let warned = report.warnings.iter().any(|warning| warning.contains(text));
            let back = report.held_back.iter().any(|back| back["topic"] == text && back["partition"] == *partition);
            let gaps = report.gaps.iter().any(|gap| gap.to_string().contains(text));
            warned || back || gaps || report.failure.is_some()
        });
        let back = !held.back(&topic.name, *partition).is_empty();
        // Of a topic that no broker describes nobody knows how many partitions it has.
        let is_away = |member: &contract::MemberChange| member.topic == topic.name && member.change.is_missing();
        let away = made.said.is_some_and(|report| report.members.iter().any(is_away));
        let excused = made.troubled && named && (topic.forbidden || back || away);
        if !there && !excused {
            out.push(format!("{}/{partition} is missing, and the report does not name it", topic.name));
        }
    }
}

/// One partition of a point beside the truth.
struct Partition<'a> {
    log: &'a Log,
    row: &'a PartitionState,
    records: &'a BTreeMap<i64, u64>,
    gaps: &'a [(i64, i64)],
    begins_at_start: bool,
    /// Whether it has all that consumers saw.
    is_owed: bool,
}

impl Partition<'_> {
    fn in_gap(&self, offset: i64) -> bool {
        self.gaps.iter().any(|(from, to)| (*from..*to).contains(&offset))
    }

    fn compare(&self, say: &mut dyn FnMut(String)) {
        self.nothing_foreign(say);
        self.nothing_missing(say);
        self.one_history(say);
        if self.begins_at_start && self.row.first > self.log.start && self.log.cuts.is_empty() {
            say(format!("begins at {} though the source begins at {}", self.row.first, self.log.start));
        }
        if self.log.cuts.is_empty() {
            for (from, to) in self.gaps {
                let inside = self.records.range(from..to).count();
                if inside > 0 {
                    say(format!("the gap {from} to {to} names {inside} records that are there"));
                }
            }
        }
    }

    /// Every record was written there, and consumers see it.
    fn nothing_foreign(&self, say: &mut dyn FnMut(String)) {
        for (offset, id) in self.records {
            let written = self.log.truth.get(offset).and_then(|all| all.iter().find(|written| written.id == *id));
            match written.map(|written| written.fate) {
                Some(Fate::Committed) => {}
                Some(fate) => return say(format!("offset {offset} is in the point though it is {fate:?}")),
                None => return say(format!("offset {offset} holds a record that was never written there")),
            }
            if *offset >= self.row.next {
                return say(format!("offset {offset} is in the point, whose end is {}", self.row.next));
            }
        }
    }

    /// Every record that consumers see, from the point's first offset to its end, is there or named.
    fn nothing_missing(&self, say: &mut dyn FnMut(String)) {
        if self.row.first >= self.row.next || !self.is_owed {
            return;
        }
        let mut missing = Vec::new();
        for (offset, all) in self.log.truth.range(self.row.first..self.row.next) {
            let owed = |w: &&crate::log::Written| w.fate == Fate::Committed && w.gone.is_none();
            if all.iter().any(|w| owed(&w)) && !self.records.contains_key(offset) && !self.in_gap(*offset) {
                missing.push(*offset);
            }
        }
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            say(format!(
                "{} committed records from {first} to {last} are not there, and no gap names them (the point has {} to {})",
                missing.len(),
                self.row.first,
                self.row.next
            ));
        }
    }

    /// Records from before and after a cut of the log do not stand together above it. Where the source deleted what lies
    /// between them, nobody can tell that the log was cut: the gap parts them.
    fn one_history(&self, say: &mut dyn FnMut(String)) {
        for (number, at) in self.log.cuts.iter().enumerate() {
            let (mut old, mut new) = (None, None);
            for (offset, id) in self.records.range(at..) {
                let written = self.log.truth.get(offset).and_then(|all| all.iter().find(|w| w.id == *id));
                let Some(written) = written else { continue };
                if written.gone == Some(Gone::Cut(number)) {
                    old = Some(*offset);
                } else if written.cuts_before > number {
                    new = new.or(Some(*offset));
                }
            }
            let (Some(old), Some(new)) = (old, new) else { continue };
            // A log that begins just where the archive ends leaves no gap, and forgets the epoch before.
            let joins = old < self.log.start && self.log.start == new;
            if !joins && !self.gaps.iter().any(|(from, to)| old < *from && *to <= new) {
                say(format!("the log was cut at {at}; offset {old} of before stands beside {new} of after"));
            }
        }
    }

    /// The point holds what the source had at a moment before.
    fn reaches(&self, marks: &Marks, held: Option<(i64, i64)>, follows: bool, say: &mut dyn FnMut(String)) {
        let mut owed = if follows || held.is_some() { marks.stable } else { marks.end };
        for cut in self.log.cuts.iter().skip(marks.cuts) {
            owed = owed.min(*cut);
        }
        let reached = self.gaps.iter().map(|(_, to)| *to).fold(self.row.next, i64::max);
        // What the cleaner removed above the end is not owed.
        let left = self
            .log
            .truth
            .range(reached..owed.max(reached))
            .any(|(_, all)| all.iter().any(|w| w.fate == Fate::Committed && w.gone.is_none()));
        if reached < owed && left {
            say(format!("ends at {reached}, but the source had {owed} before ({marks:?}, held back {held:?})"));
        }
        if let Some((from, _)) = held
            && from > self.row.next
            && self.log.cuts.is_empty()
            && self.log.truth.range(self.row.next..from).any(|(_, all)| all.iter().any(|w| w.fate == Fate::Committed))
        {
            say(format!("is held back from {from} on, but ends at {}", self.row.next));
        }
    }
}
