//! The result of a validation for people: a table of its checks, what was found, and what was read. Pure.

use contract::words::{count, plural, size};
use contract::{CheckVerdict, Report, ValidationCheck, ValidationReport, ValidationScope, ValidationVerdict};

use super::table::aligned;

/// Findings of a check that are shown; the JSON report has more.
const SHOWN: usize = 10;

/// The lines of the result.
pub(crate) fn lines(report: &Report, found: &ValidationReport) -> Vec<String> {
    let verdict = match found.verdict {
        Some(ValidationVerdict::Pass) => "PASS",
        Some(ValidationVerdict::Warn) => "WARN",
        Some(ValidationVerdict::Fail) => "FAIL",
        None => "no verdict: not every check was made",
    };
    let point = report.point.as_deref().or(report.set.as_deref()).unwrap_or("-");
    let mut out = vec![format!("validation {point}: {verdict}")];
    out.extend(table(&found.checks));
    for check in found.checks.iter().filter(|check| !check.findings.is_empty()) {
        out.push(format!("{}:", check.name));
        let mark = |wrong: bool| if wrong { "wrong" } else { "note " };
        let shown = check.findings.iter().take(SHOWN);
        out.extend(shown.map(|finding| format!("  {}  {finding}", mark(finding.is_wrong))));
        let more = check.findings_total.saturating_sub(check.findings.len().min(SHOWN) as u64);
        if more > 0 {
            out.push(format!("  and {} more; -o json has up to {}", count(more), contract::MOST_FINDINGS));
        }
    }
    out.extend(read(found));
    out
}

fn table(checks: &[ValidationCheck]) -> Vec<String> {
    let row = |check: &ValidationCheck| {
        let seconds = if check.verdict == CheckVerdict::NotRun {
            "-".to_owned()
        } else {
            format!("{:.1}", check.millis as f64 / 1000.0)
        };
        vec![check.name.clone(), check.verdict.word().to_owned(), seconds, check.message.clone()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let lines = aligned(&["CHECK", "RESULT", ">SECONDS", "FOUND"], &rows);
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// What was looked at, and how.
fn read(found: &ValidationReport) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(point) = &found.point {
        let scope = match found.scope {
            Some(ValidationScope::Log) => ", with all of its log",
            Some(ValidationScope::Point) | None => "",
        };
        out.push(format!(
            "point {}, entry {} of {}{scope}: {} in {}; digest {}",
            point.id,
            point.entry,
            point.set,
            plural(point.records, "record"),
            plural(point.partitions, "partition"),
            point.digest
        ));
    }
    if let Some(restore) = &found.restore {
        out.push(format!(
            "compared with restore {} of {}: {}; plan {}",
            restore.name,
            restore.point,
            plural(restore.records, "record"),
            restore.plan_fingerprint
        ));
    }
    if let Some(sample) = &found.sample {
        out.push(format!(
            "sample: {} of {} and {} of {}, drawn by seed {}",
            count(sample.segments),
            plural(sample.of_segments, "segment"),
            size(sample.bytes),
            size(sample.of_bytes),
            sample.seed
        ));
    }
    if let Some(per_sec) = found.bytes_per_sec {
        out.push(format!(
            "read {} of {} in {:.1} s, {} per second",
            size(found.bytes_read),
            plural(found.segments_read, "segment"),
            found.read_millis as f64 / 1000.0,
            size(per_sec)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use contract::CheckFinding;

    use super::*;

    #[test]
    fn the_table_says_what_came_of_each_check_and_what_was_found() {
        let finding =
            |n: u64| CheckFinding { subject: format!("data/{n}"), what: "is missing".into(), is_wrong: n < 12 };
        let mut structure = ValidationCheck::new("structure", CheckVerdict::Fail, "12 problems in the log")
            .with_findings((0..13).map(finding).collect());
        structure.millis = 1_250;
        let decode = ValidationCheck::new("decode", CheckVerdict::NotRun, "no key");
        let checks = vec![structure, decode];
        let found = ValidationReport {
            verdict: ValidationReport::judge(&checks),
            checks,
            bytes_read: 2 << 20,
            bytes_per_sec: Some(1 << 20),
            read_millis: 2_000,
            segments_read: 2,
            ..ValidationReport::default()
        };
        let report = Report { point: Some("orders-20260101-000000".into()), ..Report::default() };
        let text = lines(&report, &found);
        assert_eq!(text[0], "validation orders-20260101-000000: FAIL");
        assert_eq!(text[1], "  CHECK       RESULT    SECONDS   FOUND");
        assert_eq!(text[2], "  structure   FAIL          1.2   12 problems in the log");
        assert_eq!(text[3], "  decode      not run         -   no key");
        assert_eq!(text[4], "structure:");
        assert_eq!(text[5], "  wrong  data/0: is missing");
        assert!(text.iter().any(|line| line.contains("and 3 more")), "{text:#?}");
        assert_eq!(text.last().unwrap(), "read 2.0 MiB of 2 segments in 2.0 s, 1.0 MiB per second");
    }
}
