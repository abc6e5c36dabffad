//! What a run does with groups, in words: where each partition stands, where it goes, and how that was found. Pure.

use std::fmt::Write as _;

use contract::words::{plural, safe};

use super::work::GroupWork;

/// The groups of a plan in words.
pub(super) fn text(work: &[GroupWork]) -> String {
    let mut out = String::new();
    for GroupWork { line, .. } in work {
        let separator = if out.is_empty() { "" } else { "\n" };
        let _ = write!(out, "{separator}group {}", safe(&line.target));
        if let Some(reason) = &line.reason {
            let _ = write!(out, ": {reason}");
        }
        for at in &line.offsets {
            let before = at.before.map_or_else(|| "no offset".to_owned(), |offset| format!("offset {offset}"));
            let (topic, partition, found) = (safe(&at.topic), at.partition, at.found.words());
            let _ = write!(out, "\n  {topic}/{partition}: {before} -> offset {} ({found})", at.offset);
        }
        for at in &line.deleted {
            let _ = write!(out, "\n  {}/{}: offset {} -> no offset", safe(&at.topic), at.partition, at.before);
        }
        for at in &line.inexact {
            let _ = write!(out, "\n  not exact: {}", safe(&at.words(&line.target)));
        }
        for config in &line.configs {
            let told = |value: &Option<String>| value.as_deref().map_or_else(|| "not set".to_owned(), safe);
            let (name, before, value) = (safe(&config.name), told(&config.before), told(&config.value));
            let _ = write!(out, "\n  config {name}: {before} -> {value}");
        }
        if line.elsewhere > 0 {
            let _ = write!(out, "\n  {} left alone", plural(line.elsewhere, "other offset"));
        }
    }
    out
}
