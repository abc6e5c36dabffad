//! The state of backups, restores and validations as one screen. Pure.

use jiff::Timestamp;

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::others::OtherLine;
use crate::view::status::{BackupLine, Health, RestoreLine, Status};
use crate::view::validations::ValidationLine;
use crate::words::{self, count, duration, plural, safe, size, wrap};

/// Restores that are over and still shown.
const RESTORES: usize = 5;

/// The whole screen.
#[must_use]
pub fn status(status: &Status, all: bool, style: &Style) -> String {
    let mut out = Page::default();
    if let Some(problem) = &status.operator {
        out.line(format_args!("{}     {}", style.paint(Tone::Strong, "Operator"), style.paint(Tone::Bad, problem)));
        out.line(format_args!("           {}", style.paint(Tone::Faint, "next: kubectl kafka-backup doctor")));
    }
    out.line(format_args!("{}   {}", style.paint(Tone::Strong, "Protection"), summary(&status.backups)));
    let rows: Vec<_> = status.backups.iter().map(|line| backup(line, style)).collect();
    let notes: Vec<_> = status.backups.iter().map(|line| (line.problem.as_ref(), line.hint.as_ref())).collect();
    lines(&rows, &notes, style, &mut out);
    let running: Vec<_> = status.backups.iter().filter(|line| line.records.is_some()).map(pace).collect();
    if !running.is_empty() {
        out.line(style.paint(Tone::Strong, "Running"));
        lines(&running, &[], style, &mut out);
    }
    let mut over = 0;
    let shown: Vec<&RestoreLine> = status
        .restores
        .iter()
        .filter(|line| {
            over += usize::from(matches!(line.health, Health::Ok | Health::Failed));
            all || over <= RESTORES || matches!(line.health, Health::Running | Health::Waiting)
        })
        .collect();
    if !shown.is_empty() {
        out.line(style.paint(Tone::Strong, "Restores"));
        let rows: Vec<_> = shown.iter().map(|line| restore(line, style)).collect();
        let notes: Vec<_> = shown.iter().map(|line| (line.problem.as_ref(), line.hint.as_ref())).collect();
        lines(&rows, &notes, style, &mut out);
    }
    let hidden = status.restores.len() - shown.len();
    if hidden > 0 {
        out.line(format_args!("  and {hidden} older; -o wide shows all"));
    }
    if !status.validations.is_empty() {
        out.line(style.paint(Tone::Strong, "Validations"));
        let rows: Vec<_> = status.validations.iter().map(|line| validation(line, style)).collect();
        let notes: Vec<_> = status.validations.iter().map(|line| (line.problem.as_ref(), line.hint.as_ref())).collect();
        lines(&rows, &notes, style, &mut out);
    }
    if !status.others.is_empty() {
        out.line(style.paint(Tone::Strong, "Others"));
        let rows: Vec<_> = status.others.iter().map(|line| other(line, style)).collect();
        let notes: Vec<_> = status.others.iter().map(|line| (line.problem.as_ref(), line.hint.as_ref())).collect();
        lines(&rows, &notes, style, &mut out);
    }
    out.finish()
}

fn other(line: &OtherLine, style: &Style) -> Vec<Cell> {
    vec![
        word(line.health),
        format!("{}/{}", line.namespace, line.name).into(),
        line.kind.clone().into(),
        line.ended.map_or_else(String::new, |at| style.distance(at)).into(),
        Cell::from(String::new()),
    ]
}

fn summary(backups: &[BackupLine]) -> String {
    let mut out = plural(backups.len() as u64, "backup");
    let kinds = [
        (Health::Ok, "ok"),
        (Health::Running, "running"),
        (Health::Waiting, "waiting"),
        (Health::Paused, "paused"),
        (Health::Late, "late"),
        (Health::Failed, "failed"),
    ];
    let counts =
        kinds.iter().map(|(health, word)| (backups.iter().filter(|line| line.health == *health).count(), word));
    let counts: Vec<String> =
        counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if !counts.is_empty() {
        out = format!("{out}: {}", counts.join(", "));
    }
    out
}

fn word(health: Health) -> Cell {
    match health {
        Health::Ok => Cell::toned("ok", Tone::Good),
        Health::Running => Cell::toned("running", Tone::Good),
        Health::Waiting => Cell::toned("waiting", Tone::Warn),
        Health::Paused => Cell::toned("paused", Tone::Faint),
        Health::Late => Cell::toned("LATE", Tone::Bad),
        Health::Failed => Cell::toned("FAILED", Tone::Bad),
    }
}

fn backup(line: &BackupLine, style: &Style) -> Vec<Cell> {
    let every = match (line.continuous, line.every_seconds) {
        (true, _) => "continuous".to_owned(),
        (false, Some(every)) => format!("every {}", duration(every)),
        (false, None) => "once".to_owned(),
    };
    vec![
        word(line.health),
        format!("{}/{}", line.namespace, line.name).into(),
        line.newest.map_or_else(|| "no point yet".to_owned(), |at| format!("last {}", style.distance(at))).into(),
        every.into(),
        line.next.map_or_else(String::new, |at| next(at, style)).into(),
    ]
}

fn next(at: Timestamp, style: &Style) -> String {
    if at <= style.now { "due now".to_owned() } else { format!("next {}", style.distance(at)) }
}

fn pace(line: &BackupLine) -> Vec<Cell> {
    vec![
        format!("{}/{}", line.namespace, line.name).into(),
        plural(line.records.unwrap_or(0), "record").into(),
        size(line.bytes.unwrap_or(0)).into(),
        line.bytes_per_sec.map_or_else(String::new, words::rate).into(),
    ]
}

fn restore(line: &RestoreLine, style: &Style) -> Vec<Cell> {
    let done = match (line.health, line.percent) {
        (Health::Running, Some(percent)) => {
            let left = line.left_seconds.map(|left| format!(", {} left", duration(left as i64)));
            format!("{}%{}", percent.floor(), left.unwrap_or_default())
        }
        // A share is worth showing only while it grows.
        _ => line.ended.map_or_else(String::new, |at| style.distance(at)),
    };
    let what =
        if line.dry_run { "plan only".to_owned() } else { format!("{} records", count(line.records.unwrap_or(0))) };
    let topic = line.topic.as_deref().filter(|_| line.health == Health::Running).unwrap_or_default();
    vec![word(line.health), format!("{}/{}", line.namespace, line.name).into(), what.into(), done.into(), topic.into()]
}

fn validation(line: &ValidationLine, style: &Style) -> Vec<Cell> {
    let result = line.result.clone().unwrap_or_else(|| "no result yet".to_owned());
    let ended = match line.ended {
        Some(at) => format!("{result} {}", style.distance(at)),
        None => result,
    };
    vec![
        word(line.health),
        format!("{}/{}", line.namespace, line.name).into(),
        ended.into(),
        line.next.map_or_else(String::new, |at| next(at, style)).into(),
        line.point.clone().unwrap_or_default().into(),
    ]
}

/// Rows, each with what is wrong and what to do about it below.
fn lines(rows: &[Vec<Cell>], notes: &[(Option<&String>, Option<&String>)], style: &Style, out: &mut Page) {
    let narrow = Style { titles: false, width: style.width.map(|width| width.saturating_sub(2)), ..style.clone() };
    let text = table(&["", "", "", "", "~"], rows, &narrow);
    let room = style.width.map_or(usize::MAX, |width| width.saturating_sub(11));
    for (place, line) in text.lines().enumerate() {
        out.line(format_args!("  {line}"));
        let Some((problem, hint)) = notes.get(place) else { continue };
        if let Some(problem) = problem {
            for line in problem.lines().flat_map(|line| wrap(&safe(line), room)) {
                out.line(format_args!("           {line}"));
            }
        }
        if let Some(hint) = hint {
            out.line(format_args!("           {}", style.paint(Tone::Faint, &format!("next: {hint}"))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    fn line(name: &str, health: Health) -> BackupLine {
        BackupLine {
            namespace: "shop".into(),
            name: name.into(),
            health,
            point: None,
            newest: "2026-11-22T02:00:00Z".parse().ok(),
            exposed_seconds: Some(36_000),
            next: "2026-11-23T02:00:00Z".parse().ok(),
            every_seconds: Some(86_400),
            continuous: false,
            records: None,
            bytes: None,
            bytes_per_sec: None,
            problem: None,
            hint: None,
        }
    }

    fn sample() -> Status {
        let broken = BackupLine {
            newest: None,
            problem: Some(
                "RunFailed: KB2001: no broker could be reached: kafka-bootstrap.kafka.svc:9092, refused".into(),
            ),
            hint: Some("kubectl kafka-backup explain KB2001".into()),
            ..line("payments", Health::Failed)
        };
        let working = BackupLine {
            records: Some(1_200_000),
            bytes: Some(3 << 30),
            bytes_per_sec: Some(2.0e8),
            ..line("audit", Health::Running)
        };
        let restore = RestoreLine {
            namespace: "shop".into(),
            name: "back".into(),
            health: Health::Running,
            dry_run: false,
            percent: Some(62.4),
            records: Some(7_440),
            topic: Some("orders".into()),
            left_seconds: Some(100),
            ended: None,
            problem: None,
            hint: None,
        };
        let checked = ValidationLine {
            namespace: "shop".into(),
            name: "weekly".into(),
            health: Health::Failed,
            result: Some("Fail".into()),
            point: Some("nightly-20261122-020000".into()),
            ended: "2026-11-22T10:00:00Z".parse().ok(),
            next: None,
            problem: Some("ChecksFailed: KB6001: decode failed".into()),
            hint: Some("kubectl kafka-backup validation show weekly -n shop".into()),
        };
        let backups = vec![working, line("nightly", Health::Ok), broken];
        Status { backups, restores: vec![restore], validations: vec![checked], others: Vec::new(), operator: None }
    }

    #[test]
    fn one_screen_tells_all() {
        assert_eq!(
            status(&sample(), false, &style(Some(80))),
            "Protection   3 backups: 1 ok, 1 running, 1 failed\n\
            \x20 running   shop/audit      last 10h ago   every 1d   next in 14h\n\
            \x20 ok        shop/nightly    last 10h ago   every 1d   next in 14h\n\
            \x20 FAILED    shop/payments   no point yet   every 1d   next in 14h\n\
            \x20          RunFailed: KB2001: no broker could be reached:\n\
            \x20          kafka-bootstrap.kafka.svc:9092, refused\n\
            \x20          next: kubectl kafka-backup explain KB2001\n\
             Running\n\
            \x20 shop/audit   1 200 000 records   3.0 GiB   190.7 MiB/s\n\
             Restores\n\
            \x20 running   shop/back   7 440 records   62%, 1m 40s left   orders\n\
             Validations\n\
            \x20 FAILED   shop/weekly   Fail 2h ago      nightly-20261122-020000\n\
            \x20          ChecksFailed: KB6001: decode failed\n\
            \x20          next: kubectl kafka-backup validation show weekly -n shop\n"
        );
    }

    #[test]
    fn a_cluster_without_an_operator_is_not_well() {
        let away = Status { operator: Some("none is installed: nothing is run".to_owned()), ..Status::default() };
        assert!(away.is_bad());
        let text = status(&away, false, &style(Some(80)));
        assert!(text.starts_with("Operator     none is installed: nothing is run\n           next: "), "{text}");
    }

    #[test]
    fn forty_columns_are_enough() {
        let text = status(&sample(), false, &style(Some(40)));
        assert!(text.contains("\n  FAILED    shop/payments   ") && text.contains("no broker"), "{text}");
        assert!(text.lines().filter(|line| !line.contains("next:")).all(|line| line.len() <= 49), "{text}");
        let wide = Style { colour: true, ..style(Some(80)) };
        assert!(status(&sample(), false, &wide).contains("\u{1b}[31mFAILED"), "words and colours");
    }
}
