//! What a verification found, as text. Pure.

use inspect::{Depth, Verified};

use super::page::Page;
use crate::screen::{Style, Tone};
use crate::words::{count, plural, safe, size};

/// The checks, what is wrong, and the verdict.
#[must_use]
pub fn verified(found: &Verified, depth: Depth, style: &Style) -> String {
    let good = found.problems.is_empty();
    let mut out = Page::default();
    out.line(style.paint(Tone::Strong, &found.name));
    let mut check = |text: &str| out.line(format_args!("  {}    {text}", style.paint(Tone::Good, "ok")));
    if good {
        check(&format!("the log is whole, {} as long as it says", plural(found.segments, "segment")));
        if depth != Depth::Structure {
            check(&format!("the digest of every block, {}", size(found.bytes)));
        }
        if depth == Depth::Decode {
            check(&format!(
                "{} batches and {} records, their checksums, counts and order",
                count(found.batches),
                count(found.records)
            ));
        }
    }
    for problem in &found.problems {
        let mark = style.paint(Tone::Bad, "FAIL");
        out.line(format_args!("  {mark}  {} {}", safe(&problem.key), safe(&problem.what)));
    }
    for note in &found.notes {
        out.line(format_args!("  note  {} {}", safe(&note.key), safe(&note.what)));
    }
    let verdict = if good {
        style.paint(Tone::Good, "verdict: whole")
    } else {
        style.paint(Tone::Bad, &format!("verdict: DAMAGED, {}", plural(found.problems.len() as u64, "problem")))
    };
    out.line(verdict);
    out.finish()
}

#[cfg(test)]
mod tests {
    use inspect::Problem;

    use super::*;
    use crate::show::tests::style;

    #[test]
    fn the_verdict_comes_last() {
        let mut found = Verified {
            name: "orders-20261120-020000".into(),
            segments: 2,
            bytes: 2_048,
            batches: 7,
            records: 1_200,
            problems: Vec::new(),
            notes: Vec::new(),
        };
        assert_eq!(
            verified(&found, Depth::Decode, &style(None)),
            "orders-20261120-020000\n\
            \x20 ok    the log is whole, 2 segments as long as it says\n\
            \x20 ok    the digest of every block, 2.0 KiB\n\
            \x20 ok    7 batches and 1 200 records, their checksums, counts and order\n\
             verdict: whole\n"
        );
        found.problems.push(Problem { key: "orders/segments/1".into(), what: "is missing".into() });
        assert!(
            verified(&found, Depth::Decode, &style(None))
                .ends_with("  FAIL  orders/segments/1 is missing\nverdict: DAMAGED, 1 problem\n")
        );
    }
}
