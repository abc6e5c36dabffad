//! What one recovery point holds, as text. Pure.

use inspect::{Group, PartitionDetail, PointDetail, TopicDetail};

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::words::{count, plural, safe, size};

/// Gaps and other notes that are shown before they are counted.
const NOTES: usize = 10;

/// The point and its topics.
#[must_use]
pub fn point(detail: &PointDetail, style: &Style) -> String {
    let mut out = Page::default();
    head(detail, style, &mut out);
    let row = |topic: &TopicDetail| -> Vec<Cell> {
        let sum = |of: fn(&PartitionDetail) -> u64| topic.partitions.iter().map(of).sum();
        let note = if topic.live { String::new() } else { format!("no longer in the source: lineage {}", topic.id) };
        vec![
            topic.name.clone().into(),
            count(topic.partitions.len() as u64).into(),
            count(sum(|row| row.records)).into(),
            size(sum(|row| row.bytes)).into(),
            time(topic.partitions.iter().filter_map(|row| row.newest).max(), style).into(),
            time(topic.partitions.iter().filter_map(|row| row.oldest).min(), style).into(),
            topic.replication.to_string().into(),
            Cell::toned(note, Tone::Faint),
        ]
    };
    // What matters most stands first: narrow terminals show no more.
    let titles = ["~TOPIC", ">PARTITIONS", ">RECORDS", ">SIZE", "NEWEST", "OLDEST", ">REPLICAS", "~"];
    out.text(&table(&titles, &detail.topics.iter().map(row).collect::<Vec<_>>(), style));
    notes(detail, style, &mut out);
    out.finish()
}

fn head(detail: &PointDetail, style: &Style, out: &mut Page) {
    let label = detail.source_cluster_id.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    // What is no time is shown as it is.
    let at = detail.at.parse().map_or_else(|_| detail.at.clone(), |at| style.time(at));
    let records = detail.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.records).sum();
    let groups = detail.groups.as_ref().map_or_else(
        || "not asked for".to_owned(),
        |all| match all.len() {
            0 => "none".to_owned(),
            count => plural(count as u64, "group"),
        },
    );
    let rows = [
        ("Point", detail.name.clone()),
        ("Taken", at),
        ("Set", format!("{}, entry {}", detail.set, detail.entry)),
        ("Cluster", format!("{}{label}", detail.cluster_id)),
        ("Holds", format!("{}, {}", plural(detail.topics.len() as u64, "topic"), plural(records, "record"))),
        ("Stored", format!("{} in {}", size(detail.stored_bytes), plural(detail.segments, "segment"))),
        ("Groups", groups),
        ("Written by", detail.writer.clone()),
    ];
    for (name, value) in rows {
        out.line(format_args!(
            "{}{}",
            style.paint(Tone::Strong, &format!("{name}:{}", " ".repeat(12 - name.len()))),
            safe(&value)
        ));
    }
    out.line("");
}

fn notes(detail: &PointDetail, style: &Style, out: &mut Page) {
    let mut notes = Vec::new();
    notes.extend(detail.gaps.iter().map(|gap| {
        let only = gap.timeline.map_or_else(String::new, |timeline| format!(", only timeline {timeline}"));
        let (from, to) = (gap.from, gap.to - 1);
        format!("gap: {}/{} offsets {from} to {to} ({}{only})", gap.name, gap.partition, gap.reason)
    }));
    notes.extend(detail.held_back.iter().map(|held| format!("held back: {held}")));
    notes.extend(detail.forks.iter().map(|fork| {
        format!("timeline: {}/{} timeline {} begins at offset {}", fork.name, fork.partition, fork.timeline, fork.from)
    }));
    if notes.is_empty() {
        return;
    }
    out.line("");
    out.first(&notes, NOTES, Tone::Warn, style, "-o json has them all");
}

/// One topic: its configs and partitions.
#[must_use]
pub fn topic(detail: &PointDetail, topic: &TopicDetail, partition: Option<i32>, style: &Style) -> String {
    let mut out = Page::default();
    let of = safe(&format!("in {}, id {}", detail.name, topic.id));
    out.line(format_args!("{}  {of}", style.paint(Tone::Strong, &topic.name)));
    for (name, value) in &topic.configs {
        out.line(safe(&format!("  {name} = {value}")));
    }
    out.line("");
    let wanted = topic.partitions.iter().filter(|row| partition.is_none_or(|wanted| wanted == row.partition));
    let row = |row: &PartitionDetail| -> Vec<Cell> {
        vec![
            row.partition.to_string().into(),
            row.first.to_string().into(),
            row.next.to_string().into(),
            count(row.records).into(),
            size(row.bytes).into(),
            time(row.newest, style).into(),
            time(row.oldest, style).into(),
        ]
    };
    let titles = [">PARTITION", ">FIRST", ">NEXT", ">RECORDS", ">SIZE", "NEWEST", "OLDEST"];
    out.text(&table(&titles, &wanted.map(row).collect::<Vec<_>>(), style));
    out.finish()
}

/// Positions of consumer groups.
#[must_use]
pub fn groups(groups: &[Group], style: &Style) -> String {
    let rows = groups.iter().flat_map(|group| {
        group.offsets.iter().map(|offset| -> Vec<Cell> {
            let behind = offset.end.map(|end| end.saturating_sub(offset.offset));
            vec![
                group.group.clone().into(),
                offset.topic.clone().into(),
                offset.partition.to_string().into(),
                offset.offset.to_string().into(),
                behind.map_or_else(|| "-".to_owned(), |behind| behind.to_string()).into(),
                group.kind.clone().into(),
                group.state.clone().into(),
            ]
        })
    });
    let titles = ["~GROUP", "~TOPIC", ">PARTITION", ">OFFSET", ">BEHIND", "TYPE", "STATE"];
    table(&titles, &rows.collect::<Vec<_>>(), style)
}

fn time(millis: Option<i64>, style: &Style) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| style.millis(millis))
}
