//! The document as pages for people: the verdict on the first, then every check, then the chain from the recovery point to the
//! signature. The same document makes the same bytes. Pure.

mod font;

mod sheet;

use std::io::Write;

use contract::words::{count, plural, size};
use contract::{CheckVerdict, ValidationScope, ValidationVerdict};

use self::font::Weight;
use self::sheet::{BLACK, Cell, Colour, GREY, Look, Sheets, WIDE};
use crate::document::Statement;
use crate::names::{DOCUMENT, SIGNATURE};

pub use font::NoPages;

const TITLE: Look = Look { weight: Weight::Bold, size: 20.0, colour: BLACK };
const HEAD: Look = Look { weight: Weight::Bold, size: 13.0, colour: BLACK };
const STRONG: Look = Look { weight: Weight::Bold, size: 9.5, colour: BLACK };
const TEXT: Look = Look { weight: Weight::Regular, size: 9.5, colour: BLACK };
const QUIET: Look = Look { weight: Weight::Regular, size: 9.5, colour: GREY };
const GREEN: Colour = (0.05, 0.45, 0.22);
const AMBER: Colour = (0.66, 0.42, 0.02);
const RED: Colour = (0.7, 0.1, 0.1);
/// Where the second column of a list begins.
const SECOND: f32 = 128.0;
const RESULT: f32 = 60.0;
/// Findings of a check that are shown; the document has more.
const SHOWN: usize = 12;

/// The pages of a document with this SHA-256, which the key with this id signs.
///
/// # Errors
/// When they cannot be made, which tests exclude.
pub fn pages(document: &Statement, sha256: &str, key: Option<&str>) -> Result<Vec<u8>, NoPages> {
    let mut sheets = Sheets::open()?;
    first(&mut sheets, document);
    sheets.new_page();
    checks(&mut sheets, document);
    chain(&mut sheets, document, sha256, key);
    let title = format!("Evidence of the validation {}", document.subject.name);
    let foot = format!("{} · SHA-256 of the document {}", document.id, sha256.get(..16).unwrap_or(sha256));
    sheets.finish(&title, &foot)
}

fn heading(sheets: &mut Sheets, text: &str) {
    sheets.space(10.0);
    sheets.room(60.0);
    sheets.text(HEAD, text);
    sheets.space(4.0);
    sheets.rule();
}

fn line(sheets: &mut Sheets, name: &str, text: &str) {
    if !text.is_empty() {
        let (left, width) = (SECOND, WIDE - SECOND);
        sheets.row(&[
            Cell { left: 0.0, width: SECOND - 8.0, look: QUIET, text: name },
            Cell { left, width, look: TEXT, text },
        ]);
        sheets.space(2.0);
    }
}

/// The page of the verdict.
fn first(sheets: &mut Sheets, document: &Statement) {
    let (word, colour, text) = match document.verdict {
        ValidationVerdict::Pass => ("PASS", GREEN, "Every check was made, and passed."),
        ValidationVerdict::Warn => {
            ("WARN", AMBER, "Every check was made and none failed. Some warned, or had nothing to look at.")
        }
        ValidationVerdict::Fail => ("FAIL", RED, "A check failed. The next pages say which, and what was found."),
    };
    sheets.text(TITLE, "Evidence of a validation of a Kafka backup");
    sheets.space(14.0);
    sheets.text(Look { weight: Weight::Bold, size: 34.0, colour }, word);
    sheets.space(4.0);
    sheets.text(TEXT, text);
    heading(sheets, "What was tested");
    what(sheets, document);
    heading(sheets, "Checks");
    for check in &document.checks {
        let (word, colour) = result(check.verdict);
        sheets.row(&[
            Cell { left: 0.0, width: SECOND - 8.0, look: STRONG, text: &check.name },
            Cell { left: SECOND, width: RESULT, look: Look { colour, ..STRONG }, text: word },
            Cell {
                left: SECOND + RESULT,
                width: WIDE - SECOND - RESULT,
                look: TEXT,
                text: &first_words(&check.message),
            },
        ]);
        sheets.space(2.0);
    }
    heading(sheets, "What this document does not say");
    for text in &document.limits {
        sheets.text(QUIET, text);
    }
}

fn what(sheets: &mut Sheets, document: &Statement) {
    let point = document.point.as_ref();
    line(sheets, "Recovery point", point.map_or("could not be read", |point| point.id.as_str()));
    if let Some(point) = point {
        let scope = match document.scope {
            Some(ValidationScope::Log) => ", with all entries of its log",
            Some(ValidationScope::Point) | None => "",
        };
        line(sheets, "Backup set", &format!("{}{scope}", point.set));
        line(sheets, "Source cluster", point.source_cluster.as_deref().unwrap_or("not known"));
        let holds =
            [plural(point.topics, "topic"), plural(point.partitions, "partition"), plural(point.records, "record")];
        let lacks = [(point.gaps, "gap"), (point.held_back, "partition held back")];
        let lacks = lacks.iter().filter(|(number, _)| *number > 0).map(|(number, what)| plural(*number, what));
        let holds: Vec<String> = holds.into_iter().chain([size(point.bytes)]).chain(lacks).collect();
        line(sheets, "It holds", &holds.join(", "));
    }
    line(sheets, "Tested", &format!("{} to {}", document.started_at, document.finished_at));
    if let Some(age) = document.measured.point_age_secs {
        line(sheets, "Age of the point", &format!("{} s at the start of the test", count(age)));
    }
    let read = &document.read;
    if read.segments > 0 {
        let speed = document.measured.bytes_per_sec.map(|speed| format!(", {} per second", size(speed)));
        let text = format!(
            "{} of {}, {}, in {:.1} s{}",
            size(read.bytes),
            plural(read.segments, "segment"),
            plural(read.records, "record"),
            document.measured.read_millis as f64 / 1000.0,
            speed.unwrap_or_default()
        );
        line(sheets, "Read", &text);
    }
    let sample = document.sample.as_ref().map(|sample| {
        let (some, all) = (count(sample.segments), plural(sample.of_segments, "segment"));
        format!("{some} of {all}, {} of {}, drawn by seed {}", size(sample.bytes), size(sample.of_bytes), sample.seed)
    });
    line(
        sheets,
        "Sample",
        sample.as_deref().unwrap_or(if read.segments > 0 { "none: everything was read" } else { "" }),
    );
    line(sheets, "Cluster asked", document.cluster.as_deref().unwrap_or_default());
    let restore = document.restore.as_ref();
    let restore = restore.map(|one| format!("{} of {}: {}", one.name, one.point, plural(one.records, "record")));
    line(sheets, "Restore compared", restore.as_deref().unwrap_or_default());
    let subject = &document.subject;
    let place = if subject.namespace.is_empty() { String::new() } else { format!("{}/", subject.namespace) };
    line(sheets, "Validation", &format!("{place}{}, run {}", subject.name, subject.run));
    line(sheets, "Made by", &format!("{} {}", document.tool.name, document.tool.version));
}

fn result(verdict: CheckVerdict) -> (&'static str, Colour) {
    let colour = match verdict {
        CheckVerdict::Pass => GREEN,
        CheckVerdict::Warn => AMBER,
        CheckVerdict::Fail => RED,
        CheckVerdict::Skipped | CheckVerdict::NotRun => GREY,
    };
    (verdict.word(), colour)
}

/// What fits beside a check on the first page; the whole stands on the next.
fn first_words(text: &str) -> String {
    const MOST: usize = 140;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}

fn checks(sheets: &mut Sheets, document: &Statement) {
    heading(sheets, "Every check");
    for check in &document.checks {
        sheets.room(40.0);
        let (word, colour) = result(check.verdict);
        let took = match check.verdict {
            CheckVerdict::NotRun => String::new(),
            // Every check that was made took its time.
            _ => format!("{:.1} s", check.millis as f64 / 1000.0),
        };
        sheets.row(&[
            Cell { left: 0.0, width: SECOND + RESULT - 8.0, look: STRONG, text: &check.name },
            Cell { left: SECOND + RESULT, width: RESULT, look: Look { colour, ..STRONG }, text: word },
            Cell { left: SECOND + 2.0 * RESULT, width: 80.0, look: QUIET, text: &took },
        ]);
        sheets.text(TEXT, &check.message);
        let counts: Vec<String> =
            check.counts.iter().map(|(name, number)| format!("{name} {}", count(*number))).collect();
        if !counts.is_empty() {
            sheets.text(QUIET, &counts.join(", "));
        }
        for finding in check.findings.iter().take(SHOWN) {
            let (word, colour) = if finding.is_wrong { ("wrong", RED) } else { ("note", GREY) };
            sheets.row(&[
                Cell { left: 12.0, width: 40.0, look: Look { colour, ..TEXT }, text: word },
                Cell { left: 52.0, width: WIDE - 52.0, look: TEXT, text: &finding.to_string() },
            ]);
        }
        let more = check.findings_total.saturating_sub(check.findings.len().min(SHOWN) as u64);
        if more > 0 {
            sheets
                .text(QUIET, &format!("and {} more; the document has up to {}", count(more), contract::MOST_FINDINGS));
        }
        sheets.space(8.0);
    }
    if !document.warnings.is_empty() {
        heading(sheets, "Warnings of the run");
        for warning in &document.warnings {
            sheets.text(TEXT, warning);
        }
    }
}

fn chain(sheets: &mut Sheets, document: &Statement, sha256: &str, key: Option<&str>) {
    heading(sheets, "The chain");
    if let Some(point) = &document.point {
        let text = "The seal of a recovery point names, by digests, everything that the point holds.";
        sheets.text(QUIET, text);
        line(sheets, "Seal", &format!("entry {} of the log of {}", point.entry, point.set));
        line(sheets, "Digest of the seal", &format!("{} (BLAKE3-256)", point.digest));
        line(sheets, "Time of the point", &point.at);
        line(sheets, "Written by", point.written_by.as_deref().unwrap_or_default());
    }
    if let Some(restore) = &document.restore {
        line(sheets, "Plan of the restore", &restore.plan_fingerprint);
    }
    line(sheets, "Archive", &document.archive);
    line(sheets, "Document", &format!("{sha256} (SHA-256 of {DOCUMENT})"));
    let signed = key.map_or_else(
        || "not signed".to_owned(),
        |key| format!("ECDSA P-256 with SHA-256, by the key {key} (SHA-256 of its public key in DER)"),
    );
    line(sheets, "Signature", &signed);
    line(sheets, "Kept", &format!("{} at least", plural(u64::from(document.retention.days), "day")));
    if key.is_some() {
        let (json, sig) = (DOCUMENT, SIGNATURE);
        let command = format!("openssl dgst -sha256 -verify signing-key-pub.pem -signature {json}{sig} {json}");
        line(sheets, "To verify it", &command);
    }
    if !document.controls.is_empty() {
        heading(sheets, "Controls that ask for what was tested");
        for control in &document.controls {
            sheets.room(40.0);
            let name = format!("{}, {}: {}", control.framework, control.control, control.about);
            sheets.text(STRONG, &name);
            sheets.text(TEXT, &control.tested.replace('`', ""));
            sheets.space(5.0);
        }
    }
}

/// Bytes as a file has them.
fn deflated(bytes: &[u8]) -> Result<Vec<u8>, NoPages> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes)?;
    Ok(out.finish()?)
}
