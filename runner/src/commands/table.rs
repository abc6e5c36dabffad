//! Tables of the command line: columns by spaces, no lines. Pure.

use contract::words::safe;

/// Rows under headings, columns aligned; nothing of a cell acts on a terminal. A heading that begins with `>` has its column to
/// the right.
pub(crate) fn aligned(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let name = |heading: &&str| heading.trim_start_matches('>').to_owned();
    let mut lines = vec![headings.iter().map(name).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| safe(cell)).collect::<Vec<_>>()));
    let mut widths = vec![0; headings.len()];
    for cells in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let pad = |((cell, width), heading): ((&String, &usize), &&str)| {
        if heading.starts_with('>') { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    };
    let draw = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().zip(&widths).zip(headings).map(pad).collect();
        cells.join("   ").trim_end().to_owned()
    };
    lines.iter().map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_acts() {
        let rows = [vec!["a\u{1b}[31m".to_owned(), "5".to_owned()], vec!["b".to_owned(), "1250".to_owned()]];
        let text = aligned(&["NAME", ">COUNT"], &rows);
        assert!(text.iter().all(|line| !line.contains('\u{1b}')), "{text:?}");
        let ends: Vec<usize> = text.iter().map(|line| line.chars().count()).collect();
        assert!(ends.iter().all(|end| *end == ends[0]) && text[0].ends_with("   COUNT"), "{text:?}");
    }
}
