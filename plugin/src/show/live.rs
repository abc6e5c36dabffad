//! How the source differs from a recovery point now, as text. Pure.

use inspect::{LiveState, LiveTopic};

use super::difference::setting;
use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::live::{LiveDifference, findings, is_contradiction, newer, sum};
use crate::words::{count, plural};

/// Findings that are shown before they are counted.
const FINDINGS: usize = 10;

/// The topics, and what contradicts the point.
#[must_use]
pub fn live(found: &LiveDifference, wide: bool, style: &Style) -> String {
    let mut out = Page::default();
    // What is no time is shown as it is.
    let at = found.head.at.parse().map_or_else(|_| found.head.at.clone(), |at| style.time(at));
    out.line(style.paint(Tone::Strong, &format!("Point:  {}, taken {at}", found.head.name)));
    out.line(style.paint(Tone::Strong, &format!("Source: cluster {}, now", found.head.cluster_id)));
    out.line("");
    let row = |topic: &LiveTopic| -> Vec<Cell> {
        let state = match topic.state {
            LiveState::Same if is_contradiction(topic) => Cell::toned("differs", Tone::Bad),
            LiveState::Same => Cell::toned("ok", Tone::Good),
            LiveState::Gone => Cell::toned("gone", Tone::Bad),
            LiveState::Recreated => Cell::toned("made again", Tone::Bad),
        };
        vec![
            topic.name.clone().into(),
            state,
            count(sum(topic, |part| part.same)).into(),
            count(sum(topic, |part| part.missing)).into(),
            count(sum(topic, |part| part.different)).into(),
            count(sum(topic, |part| part.not_archived)).into(),
            count(newer(topic)).into(),
            count(sum(topic, |part| part.expired)).into(),
            count(sum(topic, |part| part.compacted)).into(),
        ]
    };
    let titles =
        ["~TOPIC", "STATE", ">SAME", ">MISSING", ">DIFFERENT", ">NOT ARCHIVED", ">NEWER", ">EXPIRED", ">COMPACTED"];
    out.text(&table(&titles, &found.topics.iter().map(row).collect::<Vec<_>>(), style));
    out.line("");
    wrong(found, wide, style, &mut out);
    changed(found, style, &mut out);
    out.finish()
}

fn wrong(found: &LiveDifference, all: bool, style: &Style, out: &mut Page) {
    let told: Vec<String> =
        found.topics.iter().flat_map(|topic| topic.partitions.iter().flat_map(|part| findings(topic, part))).collect();
    let shown = if all { told.len() } else { FINDINGS };
    out.first(&told, shown, Tone::Bad, style, "-o wide shows them all");
    if found.contradicts {
        return;
    }
    out.line(if found.incomplete {
        "What was compared agrees with the source."
    } else {
        "The source still has everything that the point holds, but for what expired or was compacted."
    });
}

/// What changed without a contradiction.
fn changed(found: &LiveDifference, style: &Style, out: &mut Page) {
    let mut notes = Vec::new();
    for topic in &found.topics {
        let name = &topic.name;
        notes.extend(topic.replication.map(|(then, now)| format!("{name}: replicas {then} -> {now}")));
        notes.extend(
            topic
                .configs
                .iter()
                .map(|(key, (then, now))| format!("{name}: {}", setting(key, then.as_deref(), now.as_deref()))),
        );
        notes.extend(topic.configs_unknown.as_ref().map(|why| format!("{name}: configs are not known: {why}")));
        if topic.new_partitions > 0 {
            notes.push(format!("{name}: {} since the point", plural(topic.new_partitions, "new partition")));
        }
    }
    if !found.head.new_topics.is_empty() {
        notes.push(format!("not in the point: {}", found.head.new_topics.join(", ")));
    }
    for note in notes {
        out.line(style.paint(Tone::Warn, &note));
    }
}
