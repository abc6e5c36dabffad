//! Evidence of validations, as text. Pure.

use evidence::{Claim, Verified};

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::evidence::EvidenceLine;
use crate::words::safe;

/// The evidence that resources tell of.
#[must_use]
pub fn list(lines: &[EvidenceLine], all: bool, style: &Style) -> String {
    let rows: Vec<Vec<Cell>> = lines
        .iter()
        .map(|line| {
            let at = line.at.map(|at| style.distance(at)).unwrap_or_default();
            let name = if all { format!("{}/{}", line.namespace, line.validation) } else { line.validation.clone() };
            let tone = match line.result.as_str() {
                "Pass" => Tone::Good,
                "Warn" => Tone::Warn,
                _ => Tone::Bad,
            };
            vec![
                name.into(),
                Cell::toned(line.result.clone(), tone),
                line.point.clone().unwrap_or_default().into(),
                at.into(),
                if line.signed { "yes" } else { "no" }.into(),
                line.path.clone().into(),
            ]
        })
        .collect();
    // A path is copied whole, or is of no use.
    let whole = Style { width: None, ..style.clone() };
    table(&["VALIDATION", "RESULT", "POINT", "ENDED", "SIGNED", "EVIDENCE"], &rows, &whole)
}

/// What is proven of a file.
#[must_use]
pub fn proven(file: &str, found: &Verified, style: &Style) -> String {
    let mut out = Page::default();
    let what = match found.claim {
        Claim::Document => "the document",
        Claim::Pages => "pages",
        Claim::Envelope => "an in-toto statement",
    };
    out.line(format_args!("{}   {}: {what}, signed by this key", style.paint(Tone::Good, "VERIFIED"), safe(file)));
    out.line(format_args!("  key      {}", found.key_id));
    out.line(format_args!("  SHA-256  {}", found.sha256));
    let Some(document) = &found.document else {
        out.line("  pages show the document beside them; verify that one, too");
        return out.finish();
    };
    let verdict = match document.verdict {
        contract::ValidationVerdict::Pass => "pass",
        contract::ValidationVerdict::Warn => "warn",
        contract::ValidationVerdict::Fail => "FAIL",
    };
    let subject = &document.subject;
    let place = if subject.namespace.is_empty() { String::new() } else { format!("{}/", safe(&subject.namespace)) };
    out.line(format_args!("  says     {verdict}, by {place}{}, run {}", safe(&subject.name), safe(&subject.run)));
    if let Some(point) = &document.point {
        out.line(format_args!("  of       {}, seal {}", safe(&point.id), safe(&point.digest)));
    }
    out.line(format_args!("  made     {} to {}", safe(&document.started_at), safe(&document.finished_at)));
    for check in &document.checks {
        out.line(format_args!("  {:<8} {}: {}", check.verdict.word(), safe(&check.name), safe(&check.message)));
    }
    out.finish()
}
