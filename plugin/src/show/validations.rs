//! What validations found, as text. Pure.

use api::oso::{CheckResult, PastValidation};
use jiff::Timestamp;

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::validations::Validation;
use crate::words::{duration, safe, wrap};

/// Past results that are shown.
const PAST: usize = 10;

/// A result in its tone.
fn result(word: &str) -> (Tone, String) {
    match word {
        "Pass" => (Tone::Good, word.to_owned()),
        "Warn" => (Tone::Warn, word.to_owned()),
        "Fail" => (Tone::Bad, "FAIL".to_owned()),
        other => (Tone::Bad, other.to_owned()),
    }
}

/// What came of a check, in its tone.
fn mark(outcome: &str) -> Cell {
    match outcome {
        "Passed" => Cell::toned("ok", Tone::Good),
        "Warning" => Cell::toned("warn", Tone::Warn),
        "Failed" => Cell::toned("FAIL", Tone::Bad),
        "Skipped" => Cell::toned("skip", Tone::Warn),
        other => Cell::from(other),
    }
}

/// One validation: its result, each check, what came of those before, and what is next.
#[must_use]
pub fn validation(found: &Validation, style: &Style) -> String {
    let status = &found.status;
    let mut out = Page::default();
    let title = style.paint(Tone::Strong, &safe(&format!("{}/{}", found.namespace, found.name)));
    let (tone, word) = match (&status.validation_result, status.phase.as_deref()) {
        (Some(word), _) => result(word),
        (None, Some(phase)) => (if phase == "Failed" { Tone::Bad } else { Tone::Faint }, phase.to_owned()),
        (None, None) => (Tone::Faint, "not run yet".to_owned()),
    };
    let ended =
        time(status.completion_time.as_ref()).map(|at| format!("   {}", style.distance(at))).unwrap_or_default();
    let point = status.recovery_point.as_ref().map(|point| format!("   {}", safe(point))).unwrap_or_default();
    out.line(format_args!("{title}   {}{point}{ended}", style.paint(tone, &safe(&word))));
    let room = style.width.map_or(usize::MAX, |width| width.saturating_sub(2));
    if let Some(message) = status.message.as_ref().filter(|_| !found.is_good()) {
        for line in message.lines().flat_map(|line| wrap(&safe(line), room)) {
            out.line(format_args!("  {line}"));
        }
    }
    checks(&status.check_results, style, &mut out);
    if let Some(seed) = status.sample_seed {
        out.line(format_args!("  a sample was read; seed {seed} draws it again"));
    }
    if let Some(path) = &status.report_path {
        out.line(format_args!("  report: {}", safe(path)));
    }
    if let Some(path) = &status.evidence_report_path {
        let signed = if status.evidence_report_signed == Some(true) { "signed" } else { "not signed" };
        out.line(format_args!("  evidence, {signed}: {}", safe(path)));
    }
    past(&status.history, style, &mut out);
    if let Some(next) = time(status.next_scheduled_validation.as_ref()) {
        let when = if next <= style.now { "due now".to_owned() } else { style.distance(next) };
        out.line(format_args!("next validation {when}"));
    }
    out.finish()
}

fn checks(all: &[CheckResult], style: &Style, out: &mut Page) {
    if all.is_empty() {
        return;
    }
    let took = |check: &CheckResult| {
        let secs = check.duration_ms.map(|millis| millis / 1_000).filter(|secs| *secs > 0);
        secs.map_or_else(String::new, |secs| duration(i64::try_from(secs).unwrap_or(i64::MAX)))
    };
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|check| {
            let said = check.message.clone().unwrap_or_default();
            vec![mark(&check.outcome), check.check_name.clone().into(), took(check).into(), said.into()]
        })
        .collect();
    // What a check found is never cut: a name stands at its end.
    let whole = Style { width: None, ..style.clone() };
    let text = table(&["", "CHECK", ">TOOK", "FOUND"], &rows, &whole);
    for line in text.lines() {
        out.line(format_args!("  {line}"));
    }
}

fn past(all: &[PastValidation], style: &Style, out: &mut Page) {
    // The newest is what stands above.
    let Some((_, before)) = all.split_last().filter(|(_, before)| !before.is_empty()) else { return };
    out.line(style.paint(Tone::Strong, "Before"));
    for one in before.iter().rev().take(PAST) {
        let (tone, word) = result(&one.result);
        // What is no time is shown as it is.
        let at = one.at.parse::<Timestamp>().map_or_else(|_| safe(&one.at), |at| style.distance(at));
        let point = one.recovery_point.as_ref().map(|point| format!("   {}", safe(point))).unwrap_or_default();
        out.line(format_args!("  {}   {at}{point}", style.paint(tone, &format!("{:<5}", safe(&word)))));
    }
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::show::tests::style;

    fn found(status: serde_json::Value) -> Validation {
        Validation {
            namespace: "shop".into(),
            name: "weekly".into(),
            schedule: None,
            status: serde_json::from_value(status).unwrap(),
        }
    }

    #[test]
    fn each_check_tells_what_it_found() {
        let text = validation(
            &found(json!({
                "phase": "Completed", "validationResult": "Fail", "message": "KB6001: 1 of 2 checks failed",
                "recoveryPoint": "nightly-20261122-020000", "completionTime": "2026-11-22T10:00:00Z",
                "nextScheduledValidation": "2026-11-23T12:00:00Z",
                "checkResults": [
                    {"checkName": "structure", "outcome": "Passed", "message": "12 segments", "durationMs": 61_000},
                    {"checkName": "decode", "outcome": "Failed", "message": "a\u{1b}[2J", "durationMs": 61_000},
                ],
                "history": [
                    {"run": "a", "at": "2026-11-21T10:00:00Z", "result": "Pass", "recoveryPoint": "nightly-20261121-020000"},
                    {"run": "b", "at": "2026-11-22T10:00:00Z", "result": "Fail"},
                ],
            })),
            &style(Some(80)),
        );
        assert_eq!(
            text,
            "shop/weekly   FAIL   nightly-20261122-020000   2h ago\n\
            \x20 KB6001: 1 of 2 checks failed\n\
            \x20        CHECK        TOOK   FOUND\n\
            \x20 ok     structure   1m 1s   12 segments\n\
            \x20 FAIL   decode      1m 1s   a\\u{1b}[2J\n\
             Before\n\
            \x20 Pass    1d 2h ago   nightly-20261121-020000\n\
             next validation in 1d\n"
        );
    }

    #[test]
    fn one_that_has_not_run_says_so() {
        assert_eq!(validation(&found(json!({})), &style(None)), "shop/weekly   not run yet\n");
    }
}
