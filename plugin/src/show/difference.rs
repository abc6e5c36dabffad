//! How two recovery points differ, as text. Pure.

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::difference::{Difference, PartitionDifference, Range, Side, TopicChange, TopicDifference};
use crate::words::{count, plural};

/// Notes that are shown before they are counted.
const NOTES: usize = 10;
/// What stands for what is not there.
const NONE: &str = "-";

/// The topics that differ; `wide` shows each partition that differs and every note.
#[must_use]
pub fn difference(found: &Difference, wide: bool, style: &Style) -> String {
    let mut out = Page::default();
    let side = |side: &Side| {
        // What is no time is shown as it is.
        let at = side.at.parse().map_or_else(|_| side.at.clone(), |at| style.time(at));
        format!("{}, taken {at}", side.point)
    };
    out.line(style.paint(Tone::Strong, &format!("Before: {}", side(&found.before))));
    out.line(style.paint(Tone::Strong, &format!("After:  {}", side(&found.after))));
    if found.before.cluster_id != found.after.cluster_id {
        let (before, after) = (&found.before.cluster_id, &found.after.cluster_id);
        let text = format!("The points are of two clusters, {before} and {after}: topics are compared by name.");
        out.line(style.paint(Tone::Warn, &text));
    }
    out.line("");
    if found.topics.is_empty() {
        out.line(format_args!("Nothing differs: {}.", plural(found.same_topics, "topic")));
        return out.finish();
    }
    out.text(&if wide { partitions(found, style) } else { topics(found, style) });
    notes(found, wide, style, &mut out);
    out.line(format_args!(
        "{} not differ.",
        match found.same_topics {
            1 => "1 topic does".to_owned(),
            many => format!("{} do", plural(many, "topic")),
        }
    ));
    out.finish()
}

fn topics(found: &Difference, style: &Style) -> String {
    let row = |topic: &TopicDifference| -> Vec<Cell> {
        vec![
            topic.topic.clone().into(),
            change(topic),
            count(topic.partitions.len() as u64).into(),
            signed('+', topic.came()).into(),
            signed('-', topic.went()).into(),
            loss(topic.partitions.iter().filter(|partition| partition.loss.is_some())),
        ]
    };
    let titles = ["~TOPIC", "CHANGE", ">PARTITIONS", ">RECORDS ADDED", ">RECORDS GONE", "~"];
    table(&titles, &found.topics.iter().map(row).collect::<Vec<_>>(), style)
}

fn partitions(found: &Difference, style: &Style) -> String {
    let rows = found.topics.iter().flat_map(|topic| {
        let row = |partition: &PartitionDifference| -> Vec<Cell> {
            vec![
                topic.topic.clone().into(),
                change(topic),
                partition.partition.to_string().into(),
                range(partition.before).into(),
                range(partition.after).into(),
                signed('+', partition.came()).into(),
                signed('-', partition.went()).into(),
                Cell::toned(partition.loss.map_or("", crate::view::difference::Loss::words), Tone::Bad),
            ]
        };
        topic.partitions.iter().map(row)
    });
    let titles = ["~TOPIC", "CHANGE", ">PART", ">BEFORE", ">AFTER", ">ADDED", ">GONE", "~"];
    table(&titles, &rows.collect::<Vec<_>>(), style)
}

fn change(topic: &TopicDifference) -> Cell {
    let word = match topic.change {
        TopicChange::Added => "added",
        TopicChange::Removed => "removed",
        TopicChange::Recreated => "made again",
        TopicChange::Changed => "changed",
    };
    if topic.is_loss() { Cell::toned(word, Tone::Bad) } else { word.into() }
}

fn signed(sign: char, records: u64) -> String {
    if records == 0 { NONE.to_owned() } else { format!("{sign}{}", count(records)) }
}

/// The offsets of a range, both ends included.
fn range(range: Option<Range>) -> String {
    match range {
        None => NONE.to_owned(),
        Some(range) if range.first >= range.next => format!("{} (empty)", range.next),
        Some(range) => format!("{} to {}", range.first, range.next - 1),
    }
}

/// The first partition that lacks something, and how many more do.
fn loss<'a>(mut lacking: impl Iterator<Item = &'a PartitionDifference>) -> Cell {
    let Some((partition, loss)) = lacking.next().and_then(|first| Some((first.partition, first.loss?))) else {
        return Cell::from("");
    };
    let more = match lacking.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Cell::toned(format!("partition {partition}: {}{more}", loss.words()), Tone::Bad)
}

fn notes(found: &Difference, all: bool, style: &Style, out: &mut Page) {
    let of_topic = |topic: &TopicDifference| -> Vec<String> {
        let name = &topic.topic;
        let replicas = topic.replication.map(|(old, new)| format!("{name}: replicas {old} -> {new}"));
        let configs = topic.configs.iter().map(|config| {
            format!("{name}: {}", setting(&config.key, config.before.as_deref(), config.after.as_deref()))
        });
        let gaps = topic.partitions.iter().flat_map(|partition| {
            let number = partition.partition;
            let gap = move |gap: &crate::view::difference::NewGap| {
                format!("{name}/{number}: gap at offsets {} to {} ({})", gap.from, gap.to - 1, gap.reason)
            };
            partition.gaps.iter().map(gap)
        });
        replicas.into_iter().chain(configs).chain(gaps).collect()
    };
    let notes: Vec<String> = found.topics.iter().flat_map(of_topic).collect();
    let shown = if all { notes.len() } else { NOTES };
    if !notes.is_empty() {
        out.line("");
    }
    out.first(&notes, shown, Tone::Warn, style, "-o wide shows them all");
    out.line("");
}

/// A config that has another value, or none.
pub(super) fn setting(key: &str, before: Option<&str>, after: Option<&str>) -> String {
    format!("{key} {} -> {}", before.unwrap_or("(not set)"), after.unwrap_or("(not set)"))
}
