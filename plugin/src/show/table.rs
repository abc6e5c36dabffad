//! Tables as kubectl prints them: columns by spaces, no lines. What does not fit is cut on terminals only. Pure.

use crate::screen::{Style, Tone};
use crate::words::{cut, safe, width};

/// Spaces between columns.
const BETWEEN: usize = 3;
/// A column is not cut below this.
const NARROWEST: usize = 16;

/// A cell. Nothing of its text acts, wherever that comes from.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: safe(&text.into()), tone: None }
    }
}

impl Cell {
    /// A cell in a tone.
    #[must_use]
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: safe(&text.into()), tone: Some(tone) }
    }
}

/// Lays out rows under titles. A title that begins with `>` has its column to the right. Columns whose title begins with `~`
/// are cut where there is no room; half a number, a time or a name that people copy would mislead. Where cutting is not
/// enough, the last columns are left out.
#[must_use]
pub fn table(titles: &[&str], rows: &[Vec<Cell>], style: &Style) -> String {
    let mut widths: Vec<usize> = titles.iter().map(|title| width(name(title))).collect();
    if !style.titles {
        widths.fill(0);
    }
    for row in rows {
        for (known, cell) in widths.iter_mut().zip(row) {
            *known = width(&cell.text).max(*known);
        }
    }
    if let Some(most) = style.width {
        shrink(&mut widths, titles, most);
    }
    let mut out = String::new();
    if style.titles {
        let cells: Vec<Cell> = titles.iter().map(|title| Cell::toned(name(title), Tone::Strong)).collect();
        line(&cells, titles, &widths, style, &mut out);
    }
    for row in rows {
        line(row, titles, &widths, style, &mut out);
    }
    out
}

fn name<'a>(title: &&'a str) -> &'a str {
    title.strip_prefix(['>', '~']).unwrap_or(title)
}

/// Leaves out the last columns until the rest has room if it is cut, and cuts the widest that may be.
fn shrink(widths: &mut Vec<usize>, titles: &[&str], most: usize) {
    let may_be_cut = |title: &str| title.starts_with('~');
    let least = |(width, title): (&usize, &&str)| if may_be_cut(title) { NARROWEST.min(*width) } else { *width };
    while widths.len() > 2 && widths.iter().zip(titles).map(least).sum::<usize>() + BETWEEN * (widths.len() - 1) > most
    {
        widths.pop();
    }
    while widths.iter().sum::<usize>() + BETWEEN * (widths.len() - 1) > most {
        let cuttable = widths.iter_mut().zip(titles).filter(|(_, title)| may_be_cut(title));
        let Some(widest) = cuttable.map(|(width, _)| width).max().filter(|widest| **widest > NARROWEST) else { return };
        *widest -= 1;
    }
}

fn line(cells: &[Cell], titles: &[&str], widths: &[usize], style: &Style, out: &mut String) {
    let mut spaces = 0;
    let used = cells.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    for ((cell, title), most) in cells.iter().zip(titles).zip(widths).take(used) {
        let text = cut(&cell.text, *most);
        let rest = most - width(&text).min(*most);
        let (before, after) = if title.starts_with('>') { (rest, 0) } else { (0, rest) };
        out.push_str(&" ".repeat(spaces + before));
        out.push_str(&cell.tone.map_or_else(|| text.clone(), |tone| style.paint(tone, &text)));
        spaces = after + BETWEEN;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["orders".into(), "12".into(), Cell::toned("ok", Tone::Good)],
            vec!["a-topic-with-a-long-name-that-goes-on".into(), "7".into(), Cell::toned("late", Tone::Bad)],
        ]
    }

    #[test]
    fn columns_are_as_wide_as_what_they_hold() {
        let text = table(&["~TOPIC", ">RECORDS", "STATE"], &rows(), &style(None));
        assert_eq!(
            text,
            "TOPIC                                   RECORDS   STATE\n\
             orders                                       12   ok\n\
             a-topic-with-a-long-name-that-goes-on         7   late\n"
        );
    }

    #[test]
    fn narrow_terminals_cut_what_may_be_cut() {
        let text = table(&["~TOPIC", ">RECORDS", "STATE"], &rows(), &style(Some(40)));
        assert_eq!(
            text,
            "TOPIC                    RECORDS   STATE\n\
             orders                        12   ok\n\
             a-topic-with-a-long...         7   late\n"
        );
        assert!(text.lines().all(|line| width(line) <= 40));
        let text = table(&["~TOPIC", ">RECORDS", "STATE"], &rows(), &style(Some(30)));
        assert!(text.starts_with("TOPIC                  RECORDS\n"), "what has no room is left out: {text}");
    }

    #[test]
    fn titles_may_be_left_out_and_colours_do_not_move_columns() {
        let plain = Style { titles: false, ..style(None) };
        assert!(!table(&["~TOPIC", ">RECORDS", "STATE"], &rows(), &plain).contains("TOPIC"));
        let colourful = Style { colour: true, ..style(None) };
        let text = table(&["STATE", "TOPIC"], &[vec![Cell::toned("ok", Tone::Good), "orders".into()]], &colourful);
        assert!(text.ends_with("\u{1b}[32mok\u{1b}[0m      orders\n"), "{text:?}");
    }
}
