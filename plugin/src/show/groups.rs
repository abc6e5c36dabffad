//! Consumer groups of a recovery point, as text. Pure.

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::groups::{GroupPositions, Now, Position, Positions};
use crate::words::{cut, plural, wrap};

/// Groups that are named before they are counted.
const NAMED: usize = 10;
/// Most columns of a named group.
const NAME: usize = 60;
/// What stands for what is not there.
const NONE: &str = "-";

/// What `<=` means.
const AT_MOST: &str = "BETWEEN: records from the offset of the point to that of now. <=N: there are N offsets, and some of them may \
                       be no records: compacted, markers of transactions, or behind what is archived.";

/// The groups, and what is to be known of them.
#[must_use]
pub fn groups(all: &Positions, style: &Style) -> String {
    let mut out = Page::default();
    // What is no time is shown as it is.
    let at = all.at.parse().map_or_else(|_| all.at.clone(), |at| style.time(at));
    let count = plural(all.groups.len() as u64, "consumer group");
    out.line(style.paint(Tone::Strong, &format!("{count} of {}, taken {at}", all.point)));
    if !all.groups.is_empty() {
        let rows: Vec<_> = all.groups.iter().flat_map(|group| rows(group, all.live)).collect();
        out.text(&table(titles(all.live), &rows, style));
    }
    let is_open = |now: &Now| now.offsets_between.is_some() && now.records_between.is_none();
    if all.groups.iter().flat_map(|group| &group.positions).any(|at| at.now.as_ref().is_some_and(is_open)) {
        for line in wrap(AT_MOST, style.columns()) {
            out.line(style.paint(Tone::Faint, &line));
        }
    }
    if !all.only_now.is_empty() {
        let named: Vec<_> = all.only_now.iter().take(NAMED).map(|name| cut(name, NAME)).collect();
        let more = match all.only_now.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more; -o json has them all"),
        };
        let text = format!("in the source now, and not in the point: {}{more}", named.join(", "));
        out.line(style.paint(Tone::Faint, &text));
    }
    for unknown in &all.unknown {
        out.line(style.paint(Tone::Warn, &format!("not known: {unknown}")));
    }
    out.finish()
}

/// What matters most stands first: narrow terminals show no more.
fn titles(live: bool) -> &'static [&'static str] {
    if live {
        &[
            "~GROUP",
            "~TOPIC",
            ">PART",
            ">OFFSET",
            ">NOW",
            ">BETWEEN",
            "~STATE NOW",
            ">LAG",
            ">LOG END",
            "KIND",
            "~STATE",
            "~",
        ]
    } else {
        &["~GROUP", "~TOPIC", ">PART", ">OFFSET", ">LOG END", ">LAG", "KIND", "~STATE"]
    }
}

fn rows(group: &GroupPositions, live: bool) -> Vec<Vec<Cell>> {
    if group.positions.is_empty() {
        let nothing = Position {
            topic: NONE.to_owned(),
            partition: 0,
            offset: None,
            log_end: None,
            lag: None,
            now: Some(Now { note: Some("no committed offset".to_owned()), ..Now::default() }),
        };
        return vec![row(group, &nothing, NONE.to_owned(), live)];
    }
    group.positions.iter().map(|at| row(group, at, at.partition.to_string(), live)).collect()
}

fn row(group: &GroupPositions, at: &Position, partition: String, live: bool) -> Vec<Cell> {
    let number = |number: Option<i64>| number.map_or_else(|| NONE.to_owned(), |number| number.to_string());
    let (offset, end, lag) = (number(at.offset), number(at.log_end), number(at.lag));
    let mut cells: Vec<Cell> =
        vec![group.group.clone().into(), at.topic.clone().into(), partition.into(), offset.into()];
    if live {
        let now = at.now.as_ref();
        let note = now.and_then(|now| now.note.clone()).unwrap_or_default();
        let state = group.state_now.clone().unwrap_or_else(|| NONE.to_owned());
        cells.extend([number(now.and_then(|now| now.offset)).into(), between(now).into(), state.into(), lag.into()]);
        cells.extend([end.into(), group.kind.clone().into(), group.state.clone().into()]);
        cells.push(Cell::toned(note, Tone::Faint));
    } else {
        cells.extend([end.into(), lag.into(), group.kind.clone().into(), group.state.clone().into()]);
    }
    cells
}

/// How far a group moved: records, or at most so many of them.
fn between(now: Option<&Now>) -> String {
    let Some(now) = now else { return NONE.to_owned() };
    let Some(offsets) = now.offsets_between else { return NONE.to_owned() };
    let back = if offsets < 0 { "back " } else { "" };
    match now.records_between {
        Some(records) => format!("{back}{records}"),
        None => format!("{back}<={}", offsets.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use inspect::Offset;

    use super::*;
    use crate::show::tests::style;
    use crate::view::groups::tests::{group, head, live, now, stands, stood};
    use crate::words::width;

    fn shop() -> Vec<inspect::Group> {
        let outside =
            Offset { end: None, log_end: None, topic_id: None, no_holes_from: None, ..stood("elsewhere", 0, 7) };
        vec![
            group("shop", vec![outside, stood("orders", 0, 40), stood("orders", 1, 102)]),
            group("evil\u{1b}[2J\nid", vec![stood("orders", 0, 0)]),
            group("silent", Vec::new()),
        ]
    }

    #[test]
    fn a_point_alone() {
        let text = groups(&Positions::of(head(), shop(), None), &style(None));
        assert_eq!(
            text,
            "\
3 consumer groups of nightly-20261122-020000, taken 2026-11-22T02:00:00Z
GROUP               TOPIC       PART   OFFSET   LOG END   LAG   KIND       STATE
shop                elsewhere      0        7         -     -   consumer   Empty
shop                orders         0       40       102    62   consumer   Empty
shop                orders         1      102       102     0   consumer   Empty
evil\\u{1b}[2J\\nid   orders         0        0       102   102   consumer   Empty
silent              -              -        -         -     -   consumer   Empty
"
        );
    }

    #[test]
    fn beside_what_is_there_now() {
        let found = live(vec![
            now("shop", vec![stands("orders", 0, 90), stands("orders", 1, 120)]),
            now("new\u{7}", Vec::new()),
        ]);
        let text = groups(&Positions::of(head(), shop(), Some(found)), &style(None));
        let cells =
            |line: &str| line.split("   ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>().join("|");
        let lines: Vec<_> = text.lines().map(cells).collect();
        assert_eq!(lines[1], "GROUP|TOPIC|PART|OFFSET|NOW|BETWEEN|STATE NOW|LAG|LOG END|KIND|STATE", "{text}");
        assert_eq!(lines[2], "shop|elsewhere|0|7|-|-|Stable|-|-|consumer|Empty|no committed offset now", "{text}");
        assert_eq!(lines[3], "shop|orders|0|40|90|50|Stable|62|102|consumer|Empty", "{text}");
        assert_eq!(lines[4], "shop|orders|1|102|120|<=18|Stable|0|102|consumer|Empty", "{text}");
        assert!(lines[5].contains("|0|-|-|gone|102|102|"), "{text}");
        assert!(lines[7].starts_with("BETWEEN: records"), "{text}");
        assert_eq!(lines.last().unwrap(), "in the source now, and not in the point: new\\u{7}");
    }

    #[test]
    fn narrow_terminals_show_the_offsets_first() {
        let found = || live(vec![now("shop", vec![stands("orders", 0, 90)])]);
        for columns in [40, 80, 120] {
            for live in [None, Some(found())] {
                let text = groups(&Positions::of(head(), shop(), live), &style(Some(columns)));
                let mut table = text.lines().skip(1).take(4);
                assert!(table.clone().all(|line| width(line) <= columns), "{columns}: {text}");
                assert!(table.next().is_some_and(|titles| titles.starts_with("GROUP ")), "{columns}: {text}");
            }
        }
    }

    #[test]
    fn going_back_is_said() {
        let back =
            |offsets, records| Now { offset: Some(0), offsets_between: offsets, records_between: records, note: None };
        assert_eq!(between(Some(&back(Some(-5), Some(5)))), "back 5");
        assert_eq!(between(Some(&back(Some(-5), None))), "back <=5");
        assert_eq!(between(Some(&back(None, None))), "-");
        assert_eq!(between(None), "-");
    }
}
