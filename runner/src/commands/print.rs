//! Printing: results that wait for their reader, tables, and how failures and reports look. Reports of runs do not wait
//! ([`outlet`]): a run must end also where nobody reads.

use contract::{Code, Failure, Report};

use super::table::aligned;
use super::{Output, pruned, validation};
use crate::outlet::{self, Worth};
pub(crate) use contract::words::size;
use contract::words::{safe, safe_json, safe_lines};

/// Prints a line of a command's result; nothing of it acts on a terminal. A closed pipe is not an error.
pub(crate) fn line(text: &str) {
    wait_and_say(&safe(text));
}

fn wait_and_say(text: &str) {
    outlet::stdout().wait_and_say(format!("{text}\n").into_bytes());
}

/// Prints a text of several lines.
pub(crate) fn lines(text: &str) {
    text.split('\n').for_each(line);
}

/// Says on standard error what somebody must know of an answer.
pub(crate) fn warning(text: &str) {
    aside(&format!("warning: {text}"));
}

/// Prints a value as JSON.
///
/// # Errors
/// A value that JSON cannot hold.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let fail = |error| Failure::new(Code::Internal, format!("the result cannot be written as JSON: {error}"));
    wait_and_say(&safe_json(&text.map_err(fail)?));
    Ok(())
}

fn say(text: &str) {
    outlet::stdout().say(Worth::Event, format!("{}\n", safe(text)).into_bytes());
}

/// Says a line on standard error.
pub(crate) fn aside(text: &str) {
    outlet::stderr().say(Worth::Event, format!("{}\n", safe_lines(text)).into_bytes());
}

/// Says on standard error what is waited for: a line, or an event for programs.
pub(crate) fn waiting(seconds: u64, what: String, is_json: bool) {
    if is_json {
        aside(&serde_json::json!({"event": "waiting", "what": what, "seconds": seconds}).to_string());
    } else {
        aside(&contract::waits::line(seconds, &what));
    }
}

/// Prints rows under headings, columns aligned.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    for text in aligned(headings, rows) {
        line(&text);
    }
}

/// Says on standard error what went wrong and where to read more.
pub(crate) fn failure(failure: &Failure) {
    aside(&format!("error {}: {}", failure.code, failure.message));
    aside(&format!("  `kafka-backup-runner explain {}` says more", failure.code));
}

/// Prints the result of a run.
pub(crate) fn report(report: &Report, output: Output) {
    // A reader that takes its time gets all events before the report.
    outlet::stdout().settle();
    if output == Output::Json {
        let text = serde_json::json!({"source": "kafka-backup", "event": "report", "report": report}).to_string();
        outlet::stdout().say(Worth::Event, format!("{}\n", safe_json(&text)).into_bytes());
    } else {
        summary(report);
    }
    if let Some(cause) = &report.failure {
        failure(cause);
    }
}

fn summary(report: &Report) {
    report.warnings.iter().for_each(|text| warning(text));
    if let Some(found) = &report.validation {
        return validation::lines(report, found).iter().for_each(|line| say(line));
    }
    if let Some(found) = &report.prune {
        return pruned::lines(report, found).iter().for_each(|line| say(line));
    }
    if report.failure.is_some() {
        return;
    }
    say(&format!("{} {}: {}", report.kind, report.point.as_deref().unwrap_or("-"), report.outcome));
    let mut parts = vec![format!("{} topics", report.topics), format!("{} partitions", report.partitions)];
    parts.push(format!("{} records", report.records));
    parts.push(format!("{} read", size(report.bytes)));
    if ["backup", "convert"].contains(&report.kind.as_str()) {
        parts.push(format!("{} stored in {} segments", size(report.stored_bytes), report.segments));
    }
    say(&format!("  {}", parts.join(", ")));
    for member in &report.members {
        say(&format!("  {member}"));
    }
    for group in &report.groups {
        say(&format!("  {group}"));
    }
    for gap in &report.gaps {
        say(&format!("  gap: {gap}"));
    }
    if let Some(text) = report.details.get("text").and_then(|text| text.as_str()) {
        text.split('\n').for_each(say);
    }
    if let Some(fingerprint) = &report.plan_fingerprint {
        say(&format!("plan fingerprint: {fingerprint}"));
    }
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn time(millis: i64) -> String {
    // What is no time is shown as it is.
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
