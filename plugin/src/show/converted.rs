//! What a conversion did, as text. Pure.

use contract::Report;

use super::page::Page;
use crate::screen::{Style, Tone};
use crate::words::{plural, safe, size};

/// The recovery point, what it holds, and what the archive lost.
#[must_use]
pub fn converted(report: &Report, style: &Style) -> String {
    let mut out = Page::default();
    let point = report.point.as_deref().unwrap_or("-");
    out.line(format_args!("{}  {}", style.paint(Tone::Strong, &safe(point)), safe(&report.outcome)));
    let records = report.records.saturating_add(report.earlier.records);
    out.line(format_args!(
        "  {}, {}, {}",
        plural(report.topics, "topic"),
        plural(report.partitions, "partition"),
        plural(records, "record")
    ));
    if report.stored_bytes > 0 {
        out.line(format_args!("  {} stored in {}", size(report.stored_bytes), plural(report.segments, "segment")));
    }
    for loss in &report.warnings {
        out.line(format_args!("  note  {}", safe(loss)));
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    #[test]
    fn what_is_lost_is_named() {
        let report = Report {
            point: Some("orders-20260131-080000".into()),
            outcome: "CompletedWithGaps".into(),
            topics: 1,
            partitions: 2,
            records: 1_150,
            warnings: vec!["t/0: offsets 400 to 449 are lost".into()],
            ..Report::default()
        };
        let text = converted(&report, &style(Some(80)));
        assert!(text.contains("orders-20260131-080000  CompletedWithGaps"), "{text}");
        assert!(text.contains("1 topic, 2 partitions, 1 150 records"), "{text}");
        assert!(text.contains("note  t/0: offsets 400 to 449 are lost"), "{text}");
    }
}
