//! Writes where the records of a restore went, as an offset mapping that resets go by (`offsets/mapping`, form 2).
//!
//! ```text
//! index -> stretches without holes ----\
//! records, where the index has holes ---+-> runs by epoch -> entries -> groups as they were located -> one object
//! ```
//! It is written as it is found, and never held whole. A partition of the target in which records of several partitions of
//! the source meet has no entry: no offset of the source has one place there. What groups need of it is computed for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use archive::{LongDocument, Point, SegmentRow, TopicIdPartition, Wanted};
use batch::{Decompressor, RawBatch, Window};
use contract::{Code, Failure, OnUnreadable};
use uuid::Uuid;

use crate::offsets::commit::GroupWork;
use crate::offsets::mapping::{Entry, FORM, MappedGroup, MappedOffset, Run};
use crate::restore::Restore;
use crate::restore::each_record::each_place;
use crate::restore::plan::{RestorePlan, TopicPlan};
use crate::restore::state::RestoreState;

/// Text that is kept until it goes out.
const TOGETHER: usize = 64 << 10;

/// Writes the mapping of everything that is restored, and of these groups. Returns where it is.
///
/// # Errors
/// When the archive cannot be read, does not fit the state of the restore, or the store fails.
pub(super) async fn save_mapping(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    groups: &[GroupWork],
    of: &str,
) -> Result<String, Failure> {
    let name = format!("{}-{of}", restore.state.life);
    let mut document = restore.journal.mapping(&name);
    match write(restore, plan, groups, &mut document).await {
        Ok(()) => Ok(document.finish().await?),
        Err(failure) => {
            document.abandon().await;
            Err(failure)
        }
    }
}

async fn write(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    groups: &[GroupWork],
    out: &mut LongDocument,
) -> Result<(), Failure> {
    let now = restore.context.clock.now().as_millisecond();
    let reader =
        Reader { point: &restore.point, plan, is_whole: restore.state.left_out == 0 && plan.windows().is_everything() };
    let singles = singles(plan, &restore.state)?;
    let stretches = reader.by_index(&singles).await?;
    let document = Document { state: &restore.state, cluster: restore.identity.cluster(), groups, now };
    let by_records = async |single: &Single<'_>, runs: &mut Runs<'_>, out: &mut LongDocument| {
        reader.by_records(single, runs, out).await
    };
    document.write(&singles, stretches, by_records, out).await
}

/// What stands in a mapping besides the records.
struct Document<'a> {
    state: &'a RestoreState,
    /// Id of the target.
    cluster: &'a str,
    groups: &'a [GroupWork],
    now: i64,
}

impl Document<'_> {
    /// Writes all of it; `by_records` adds the runs of a partition of which the index does not tell them.
    async fn write(
        &self,
        singles: &[Single<'_>],
        mut stretches: HashMap<TopicIdPartition, Indexed>,
        mut by_records: impl AsyncFnMut(&Single<'_>, &mut Runs<'_>, &mut LongDocument) -> Result<(), Failure>,
        out: &mut LongDocument,
    ) -> Result<(), Failure> {
        let (now, cluster, ids) = (self.now, json(self.cluster)?, json(&topic_ids(self.state))?);
        let head = format!(
            "{{\"format_version\":{FORM},\"source_cluster_id\":null,\"target_cluster_id\":{cluster},\"created_at\":{now},\"target_topic_ids\":{ids},\"detailed_mappings\":{{"
        );
        out.push(&head).await?;
        let mut entries = Vec::new();
        for single in singles {
            let key = json(&format!("{}/{}", single.topic.target, single.target))?;
            out.push(&format!("{}{key}:[", comma(entries.is_empty()))).await?;
            let mut runs = Runs::new(self.state, single.place);
            match stretches.remove(&single.key()).and_then(|found| found.exact) {
                Some(exact) => exact.into_iter().try_for_each(|stretch| runs.pass(stretch))?,
                None => by_records(single, &mut runs, out).await?,
            }
            let (text, ends) = runs.ended()?;
            out.push(&format!("{text}]")).await?;
            entries.push(format!("{key}:{}", json(&single.entry(ends))?));
        }
        out.push("},\"entries\":{").await?;
        for (number, entry) in entries.iter().enumerate() {
            out.push(&format!("{}{entry}", comma(number == 0))).await?;
        }
        out.push("},\"consumer_groups\":{").await?;
        for (number, group) in self.groups.iter().enumerate() {
            let text = format!("{}{}:{}", comma(number == 0), json(&group.line.target)?, json(&mapped(group, now))?);
            out.push(&text).await?;
        }
        Ok(out.push("}}").await?)
    }
}

/// The topics that the restore wrote to: one that is made again under its name is another one.
fn topic_ids(state: &RestoreState) -> BTreeMap<&str, Uuid> {
    let known = state.topics.iter().filter(|topic| !topic.id.is_nil());
    known.map(|topic| (topic.name.as_str(), topic.id)).collect()
}

fn comma(is_first: bool) -> &'static str {
    if is_first { "" } else { "," }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(Code::Internal, format!("an offset mapping as JSON: {error}")))
}

/// A group as it was located.
fn mapped(group: &GroupWork, now: i64) -> MappedGroup {
    let mut offsets: BTreeMap<String, BTreeMap<i32, MappedOffset>> = BTreeMap::new();
    for (line, metadata) in group.line.offsets.iter().zip(&group.metadata) {
        let at = MappedOffset {
            source_offset: line.sources.first().map_or(0, |source| source.offset),
            target_offset: Some(line.offset),
            timestamp: now,
            metadata: metadata.clone(),
        };
        offsets.entry(line.topic.clone()).or_default().insert(line.partition, at);
    }
    MappedGroup { group_id: group.line.target.clone(), kind: group.line.kind.clone(), offsets }
}

/// A partition of the source that is alone in its partition of the target.
struct Single<'a> {
    topic: &'a TopicPlan,
    source: i32,
    target: i32,
    /// Number of the target partition in the state.
    place: usize,
}

impl Single<'_> {
    fn key(&self) -> TopicIdPartition {
        (self.topic.source_id, self.source)
    }

    fn entry(&self, ends: Option<Ends>) -> Entry {
        let target = |end: fn(&Ends) -> i64| ends.as_ref().map(end);
        Entry {
            topic: self.topic.target.clone(),
            partition: self.target,
            source_first_offset: ends.as_ref().map_or(0, |ends| ends.first.source),
            source_last_offset: ends.as_ref().map_or(0, |ends| ends.last.source),
            target_first_offset: target(|ends| ends.first.target),
            target_last_offset: target(|ends| ends.last.target),
            first_timestamp: ends.as_ref().map_or(0, |ends| ends.first.timestamp),
            last_timestamp: ends.as_ref().map_or(0, |ends| ends.last.timestamp),
            source_topic: Some(self.topic.source.clone()),
            source_partition: Some(self.source),
        }
    }
}

fn singles<'a>(plan: &'a RestorePlan, state: &RestoreState) -> Result<Vec<Single<'a>>, Failure> {
    let mut out = Vec::new();
    for (number, topic) in plan.topics.iter().enumerate() {
        let mut meet: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let targets: Option<Vec<_>> = topic.partitions.iter().map(|source| topic.route.single(*source)).collect();
        // Keys or offsets decide where each of its records went.
        let Some(targets) = targets else { continue };
        for (source, target) in topic.partitions.iter().zip(targets) {
            meet.entry(target).or_default().push(*source);
        }
        for (target, sources) in meet {
            let [source] = sources.as_slice() else { continue };
            let place = state.place_of(number, target).ok_or_else(|| unknown(&format!("{}/{target}", topic.target)))?;
            out.push(Single { topic, source: *source, target, place });
        }
    }
    Ok(out)
}

fn unknown(place: &str) -> Failure {
    Failure::new(Code::StateMismatch, format!("the state of the restore does not say where {place} begins"))
}

/// Records that follow each other in the source, without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    start: i64,
    len: u64,
    first_timestamp: i64,
    last_timestamp: i64,
}

impl Stretch {
    fn end(&self) -> i64 {
        self.start.saturating_add(i64::try_from(self.len).unwrap_or(i64::MAX))
    }

    /// Whether the other one follows without a hole: then it is part of this one.
    fn joined(&mut self, next: &Self) -> bool {
        let follows = self.end() == next.start;
        if follows {
            self.len += next.len;
            self.last_timestamp = next.last_timestamp;
        }
        follows
    }
}

/// What the index says of one partition: its stretches, or nothing where rows have holes.
#[derive(Debug)]
struct Indexed {
    exact: Option<Vec<Stretch>>,
}

impl Indexed {
    /// Takes the next row; offsets of its timeline count below `end`.
    fn take(&mut self, row: &SegmentRow, end: i64) {
        let Some(exact) = self.exact.as_mut().filter(|_| row.committed > 0) else { return };
        let is_whole = u64::try_from(row.next - row.first).is_ok_and(|offsets| offsets == row.committed);
        if !is_whole || row.next > end {
            self.exact = None;
            return;
        }
        let (first_timestamp, last_timestamp) = (row.min_timestamp, row.max_timestamp);
        let stretch = Stretch { start: row.first, len: row.committed, first_timestamp, last_timestamp };
        if !exact.last_mut().is_some_and(|last| last.joined(&stretch)) {
            exact.push(stretch);
        }
    }
}

/// Reads the archive.
struct Reader<'a> {
    point: &'a Point,
    plan: &'a RestorePlan,
    /// Every committed record that the index counts was restored.
    is_whole: bool,
}

impl Reader<'_> {
    async fn by_index(&self, singles: &[Single<'_>]) -> Result<HashMap<TopicIdPartition, Indexed>, Failure> {
        if !self.is_whole {
            return Ok(HashMap::new());
        }
        let timelines = self.plan.timelines();
        let only: HashSet<TopicIdPartition> = singles.iter().map(Single::key).collect();
        let mut found: HashMap<TopicIdPartition, Indexed> =
            only.iter().map(|key| (*key, Indexed { exact: Some(Vec::new()) })).collect();
        let mut take = |topic, row: &SegmentRow| {
            if let Some(found) = found.get_mut(&(topic, row.partition)) {
                found.take(row, timelines.end_of(topic, row.partition, row.timeline));
            }
        };
        self.point.each_row(Some(&only), &mut take).await?;
        Ok(found)
    }

    /// Looks at each record of one partition.
    async fn by_records(
        &self,
        single: &Single<'_>,
        runs: &mut Runs<'_>,
        out: &mut LongDocument,
    ) -> Result<(), Failure> {
        let from = HashMap::from([(single.key(), i64::MIN)]);
        let mut stream = self.point.stream(Wanted::new(from, self.plan.timelines(), self.plan.window)).await?;
        let (window, mut decompressor) = (self.plan.windows().of(single.key()), Decompressor::default());
        while let Some(share) = stream.next().await? {
            let range = share.from..share.until;
            for batch in &share.batches {
                self.look(batch, (window, &range), runs, &mut decompressor)?;
            }
            if runs.text.len() > TOGETHER {
                out.push(&std::mem::take(&mut runs.text)).await?;
            }
        }
        Ok(())
    }

    fn look(
        &self,
        batch: &RawBatch,
        (window, range): (Window, &std::ops::Range<i64>),
        runs: &mut Runs<'_>,
        decompressor: &mut Decompressor,
    ) -> Result<(), Failure> {
        let header = &batch.header;
        let is_inside = header.base_offset >= range.start && header.last_offset() < range.end;
        if self.is_whole && is_inside && header.is_dense() {
            let (first_timestamp, last_timestamp) = (header.base_timestamp, header.max_timestamp);
            let (start, len) = (header.base_offset, header.records());
            return runs.pass(Stretch { start, len, first_timestamp, last_timestamp });
        }
        let mut found = Vec::new();
        let read = each_place(batch, (window, range), self.plan.on_unreadable, decompressor, |offset, timestamp| {
            found.push((offset, timestamp));
        });
        match read {
            Ok(()) => found.into_iter().try_for_each(|(start, at)| {
                runs.pass(Stretch { start, len: 1, first_timestamp: at, last_timestamp: at })
            }),
            // None of its records was restored.
            Err(_) if self.plan.on_unreadable == OnUnreadable::Skip => Ok(()),
            Err(error) => Err(Failure::new(Code::ArchiveDamaged, error.to_string())),
        }
    }
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    source: i64,
    target: i64,
    timestamp: i64,
}

/// The first and the last record of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: End,
    last: End,
}

/// The runs of one partition as text, from stretches in their order.
struct Runs<'a> {
    state: &'a RestoreState,
    place: usize,
    open: Option<Stretch>,
    /// Records before `open`.
    before: u64,
    text: String,
    ends: Option<Ends>,
}

impl<'a> Runs<'a> {
    fn new(state: &'a RestoreState, place: usize) -> Self {
        Self { state, place, open: None, before: 0, text: String::new(), ends: None }
    }

    fn pass(&mut self, stretch: Stretch) -> Result<(), Failure> {
        if self.open.as_mut().is_some_and(|open| open.joined(&stretch)) {
            return Ok(());
        }
        self.close()?;
        self.open = Some(stretch);
        Ok(())
    }

    /// Writes the open stretch: one run, or several where an epoch of the restore ended within it.
    fn close(&mut self) -> Result<(), Failure> {
        let Some(stretch) = self.open.take() else { return Ok(()) };
        let mut source = stretch.start;
        for (target, len) in self.pieces(stretch.len)? {
            let step = i64::try_from(len).map_err(|_| self.lost())?;
            let Stretch { first_timestamp, last_timestamp, .. } = stretch;
            let run = Run { source_start: source, target_start: target, len, first_timestamp, last_timestamp };
            let separator = comma(self.ends.is_none());
            self.text.push_str(separator);
            self.text.push_str(&json(&run)?);
            let last = End { source: source + step - 1, target: target + step - 1, timestamp: last_timestamp };
            let first = End { source, target, timestamp: first_timestamp };
            self.ends = Some(Ends { first: self.ends.map_or(first, |ends| ends.first), last });
            source += step;
        }
        self.before += stretch.len;
        Ok(())
    }

    /// Where the next `len` records went: target offsets, and how many follow each other there.
    fn pieces(&self, len: u64) -> Result<Vec<(i64, u64)>, Failure> {
        let (mut at, end, mut out) = (self.before, self.before + len, Vec::<(i64, u64)>::new());
        while at < end {
            let target = self.state.target_offset(self.place, at).ok_or_else(|| self.lost())?;
            let bases = self.state.epochs.iter().filter_map(|epoch| epoch.bases.get(self.place));
            let next = bases.copied().filter(|base| *base > at).min().unwrap_or(end).min(end);
            match out.last_mut() {
                Some((start, count)) if i64::try_from(*count).is_ok_and(|count| *start + count == target) => {
                    *count += next - at;
                }
                _ => out.push((target, next - at)),
            }
            at = next;
        }
        Ok(out)
    }

    fn lost(&self) -> Failure {
        let place = self.state.partitions.get(self.place).map_or_else(String::new, |place| self.state.place(place));
        unknown(&place)
    }

    /// The text that was not written yet, and the ends.
    fn ended(mut self) -> Result<(String, Option<Ends>), Failure> {
        self.close()?;
        // What the archive says and what was produced are counted apart: they must agree.
        let produced = self.state.produced.as_ref().and_then(|ends| ends.get(self.place));
        if let (Some(ends), Some(produced)) = (self.ends, produced)
            && ends.last.target >= *produced
        {
            let text = format!(
                "the archive has records up to offset {} of the target, and the restore produced up to {produced}",
                ends.last.target
            );
            return Err(Failure::new(Code::StateMismatch, text));
        }
        Ok((self.text, self.ends))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::{RestoreJournal, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::offsets::mapping::Heads;
    use crate::restore::plan::TargetAction;
    use crate::restore::plan::tests::{plan, topic};
    use crate::restore::state::{Epoch, TargetPartition};

    fn state(epochs: &[(u64, i64)], produced: i64) -> RestoreState {
        let epoch =
            |(base, start): &(u64, i64)| Epoch { producer_id: 1, number: 0, bases: vec![*base], starts: vec![*start] };
        RestoreState {
            partitions: vec![TargetPartition { topic: 0, partition: 0, start: 0 }],
            epochs: epochs.iter().map(epoch).collect(),
            produced: Some(vec![produced]),
            ..RestoreState::default()
        }
    }

    fn row(first: i64, next: i64, committed: u64) -> SegmentRow {
        SegmentRow {
            segment: 0,
            topic: 0,
            partition: 0,
            timeline: 0,
            first,
            next,
            bytes: 0,
            records: committed,
            committed,
            max_timestamp: next,
            min_timestamp: first,
            min_exact: true,
        }
    }

    fn indexed(rows: &[SegmentRow], end: i64) -> Option<Vec<Stretch>> {
        let mut found = Indexed { exact: Some(Vec::new()) };
        for row in rows {
            found.take(row, end);
        }
        found.exact
    }

    fn text(state: &RestoreState, stretches: Vec<Stretch>) -> String {
        let mut runs = Runs::new(state, 0);
        for stretch in stretches {
            runs.pass(stretch).unwrap();
        }
        runs.ended().unwrap().0
    }

    #[test]
    fn rows_without_holes_need_no_records() {
        let found = indexed(&[row(0, 100, 100), row(100, 250, 150), row(300, 301, 1), row(301, 305, 0)], i64::MAX);
        let lengths: Vec<_> = found.unwrap().iter().map(|stretch| (stretch.start, stretch.len)).collect();
        assert_eq!(lengths, [(0, 250), (300, 1)]);
        assert_eq!(indexed(&[row(0, 100, 99)], i64::MAX), None, "a hole");
        assert_eq!(indexed(&[row(0, 100, 100), row(100, 200, 100)], 150), None, "a timeline that was left");
    }

    #[test]
    fn runs_end_where_an_epoch_of_the_restore_ended() {
        // A marker stands between the epochs at 40 and 41; the third epoch follows the second without one.
        let state = state(&[(0, 0), (40, 41), (60, 61)], 1_000);
        let stretch = |start, len| Stretch { start, len, first_timestamp: 1, last_timestamp: 2 };
        let text = text(&state, vec![stretch(10, 50), stretch(60, 30), stretch(200, 5)]);
        let runs: Vec<serde_json::Value> = serde_json::from_str(&format!("[{text}]")).unwrap();
        let short: Vec<_> = runs
            .iter()
            .map(|run| {
                (
                    run["source_start"].as_i64().unwrap(),
                    run["target_start"].as_i64().unwrap(),
                    run["len"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(short, [(10, 0, 40), (50, 41, 40), (200, 81, 5)]);
        let mut wrong = Runs::new(&state, 0);
        wrong.pass(stretch(0, 2_000)).unwrap();
        assert_eq!(wrong.ended().unwrap_err().code, Code::StateMismatch, "more than was produced");
    }

    /// The promise of the format, of a whole document: no more than 1 KiB per partition where nothing is missing, however many
    /// records there are, and a second for a billion of them.
    #[tokio::test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    async fn a_billion_records_without_holes_are_one_run() {
        let plan = plan(vec![topic("t", TargetAction::Create, &[0])]);
        let state = state(&[(0, 0)], 1_000_000_000);
        let store = Store::new(Arc::new(InMemory::new()), "p", "place");
        let opened = RestoreJournal::open_offset_run::<serde_json::Value>(&store, "c", "i", "n".into()).await;
        let mut out = opened.unwrap().0.mapping("x");
        let singles = [Single { topic: &plan.topics[0], source: 0, target: 0, place: 0 }];
        let since = std::time::Instant::now();
        let mut found = Indexed { exact: Some(Vec::new()) };
        for number in 0..1_000_000 {
            found.take(&row(number * 1_000, (number + 1) * 1_000, 1_000), i64::MAX);
        }
        let by_records = async |_: &Single<'_>, _: &mut Runs<'_>, _: &mut LongDocument| -> Result<(), Failure> {
            panic!("the index knows all of them")
        };
        let document = Document { state: &state, cluster: "c", groups: &[], now: 1 };
        let stretches = [(singles[0].key(), found)].into();
        document.write(&singles, stretches, by_records, &mut out).await.unwrap();
        let path = out.finish().await.unwrap();
        assert!(since.elapsed() < std::time::Duration::from_secs(1), "{:?}", since.elapsed());
        let file = store.at(&path, 1 << 20).await.unwrap().unwrap();
        assert!(file.len() < 1_024, "{}", String::from_utf8_lossy(&file));
        let asked = [(("t".to_owned(), 0), [123_456_789].into())].into();
        let heads = Heads::read(&*file, "x", "c", &std::collections::BTreeSet::new()).unwrap();
        let mapping = heads.with_details(&*file, &asked).unwrap();
        let part = mapping.of_source(&("t".to_owned(), 0)).unwrap();
        assert_eq!(part.find(123_456_789).unwrap().0, 123_456_789);
    }
}
