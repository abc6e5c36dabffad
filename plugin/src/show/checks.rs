//! What a check found, a line each, as it comes. Pure.

use std::fmt::Write as _;

use contract::{CheckLine, Verdict};

use crate::screen::{Style, Tone};
use crate::words::{plural, safe};

/// Widths of what stands before what was seen: the longest of each.
const PART: usize = 12;
const CHECK: usize = 16;

/// The titles.
#[must_use]
pub fn titles(style: &Style) -> String {
    if !style.titles {
        return String::new();
    }
    format!("{:<6}{:<w$}  {:<c$}  {}\n", "", "PART", "CHECK", "FOUND", w = PART, c = CHECK)
}

/// One line. What was seen is never cut: a fix stands at its end.
#[must_use]
pub fn line(line: &CheckLine, style: &Style) -> String {
    let tone = match line.verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Note => Tone::Warn,
        Verdict::Fail => Tone::Bad,
    };
    let mark = style.paint(tone, &format!("{:<4}", line.verdict.mark()));
    let code = line.code.map(|code| format!(" ({code})")).unwrap_or_default();
    format!(
        "{mark}  {:<w$}  {:<c$}  {}{code}\n",
        safe(&line.part),
        safe(&line.check),
        safe(&line.detail),
        w = PART,
        c = CHECK
    )
}

/// What all of it means, and what helps.
#[must_use]
pub fn verdict(lines: &[CheckLine]) -> String {
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count() as u64;
    let (bad, notes) = (count(Verdict::Fail), count(Verdict::Note));
    let beside = if notes > 0 { format!(", {}", plural(notes, "note")) } else { String::new() };
    let mut text = match bad {
        0 => format!("a run can do all of this{beside}"),
        _ => format!("{} of {} failed{beside}: a run would not work", bad, plural(lines.len() as u64, "check")),
    };
    if let Some(code) = lines.iter().find_map(|line| line.code) {
        // Writing to a string does not fail.
        let _ = write!(text, "\nnext: kubectl kafka-backup explain {code}");
    }
    text
}

#[cfg(test)]
mod tests {
    use contract::{Code, Failure};

    use super::*;
    use crate::show::tests::style;

    #[test]
    fn each_line_tells_what_was_tried_and_found() {
        let lines = [
            CheckLine::new("kafka", "dns", Verdict::Ok, "kafka:9092: kafka is 10.0.0.1"),
            CheckLine::new("kafka", "tls", Verdict::Note, "3 days left; renew it"),
            CheckLine::failed("storage", "open", Failure::new(Code::StoreDenied, "no right\u{1b}[2J; grant it")),
        ];
        let text = titles(&style(None)) + &lines.iter().map(|one| line(one, &style(None))).collect::<String>();
        assert_eq!(
            text,
            "      PART          CHECK             FOUND\n\
             ok    kafka         dns               kafka:9092: kafka is 10.0.0.1\n\
             note  kafka         tls               3 days left; renew it\n\
             FAIL  storage       open              no right\\u{1b}[2J; grant it (KB3002)\n"
        );
        let said = verdict(&lines);
        assert_eq!(
            said,
            "1 of 3 checks failed, 1 note: a run would not work\nnext: kubectl kafka-backup explain KB3002"
        );
        assert_eq!(verdict(&lines[..2]), "a run can do all of this, 1 note");
    }
}
