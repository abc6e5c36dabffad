//! Printing: lines that survive a closed pipe, tables, and how failures and reports look.

use std::io::Write;

use contract::{Failure, Report};

use super::Output;
pub(crate) use contract::words::size;

/// Prints a line; a closed pipe is not an error.
pub(crate) fn line(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Prints a value as JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows under headings, columns aligned.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let draw = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(padded.collect::<Vec<_>>().join("   ").trim_end());
    };
    draw(&mut headings.iter().copied());
    for row in rows {
        draw(&mut row.iter().map(String::as_str));
    }
}

/// Says on standard error what went wrong and where to read more.
pub(crate) fn failure(failure: &Failure) {
    let mut err = std::io::stderr().lock();
    drop(writeln!(err, "error {}: {}", failure.code, failure.message));
    drop(writeln!(err, "  `kafka-backup-runner explain {}` says more", failure.code));
}

/// Prints the result of a run.
pub(crate) fn report(report: &Report, output: Output) {
    if output == Output::Json {
        line(&serde_json::json!({"source": "kafka-backup", "event": "report", "report": report}).to_string());
    } else {
        summary(report);
    }
    if let Some(cause) = &report.failure {
        failure(cause);
    }
}

fn summary(report: &Report) {
    for warning in &report.warnings {
        drop(writeln!(std::io::stderr().lock(), "warning: {warning}"));
    }
    if report.failure.is_some() {
        return;
    }
    line(&format!("{} {}: {}", report.kind, report.point.as_deref().unwrap_or("-"), report.outcome));
    let mut parts = vec![format!("{} topics", report.topics), format!("{} partitions", report.partitions)];
    parts.push(format!("{} records", report.records));
    parts.push(format!("{} read", size(report.bytes)));
    if report.kind == "backup" {
        parts.push(format!("{} stored in {} segments", size(report.stored_bytes), report.segments));
    }
    line(&format!("  {}", parts.join(", ")));
    for gap in &report.gaps {
        line(&format!("  gap: {gap}"));
    }
    if let Some(text) = report.details.get("text").and_then(|text| text.as_str()) {
        line(text);
    }
    if let Some(fingerprint) = &report.plan_fingerprint {
        line(&format!("plan fingerprint: {fingerprint}"));
    }
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(time(1_767_225_600_500), "2026-01-01T00:00:00.500Z");
    }
}
