//! When a schedule is due next. Pure.

use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::ticks::Tick;

/// Ticks, a line each, under a title.
#[must_use]
pub fn ticks(title: &str, ticks: &[Tick], style: &Style) -> String {
    let row = |tick: &Tick| -> Vec<Cell> {
        vec![
            tick.shown.clone().into(),
            style.distance(tick.at).into(),
            Cell::toned(tick.note.clone().unwrap_or_default(), Tone::Warn),
        ]
    };
    let rows: Vec<_> = ticks.iter().map(row).collect();
    format!("{}\n{}", style.paint(Tone::Strong, title), table(&["NEXT", "IN", "~"], &rows, style))
}
