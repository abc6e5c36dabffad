//! Rules of the Strimzi groups.

mod backup;
mod cluster;
mod pod;
mod restore;
mod storage;

use regex::Regex;

pub(super) use backup::backup;
pub(super) use restore::restore;

use super::names::is_topic;
use crate::finding::Findings;

/// How a group writes patterns of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patterns {
    /// Regular expressions over the whole name; what is none and reads as a glob is one (`backup.strimzi.io`).
    Regex,
    /// Globs, or `~` and a regular expression (`kafkabackup.com`).
    Glob,
}

/// Patterns of topics, and a word where they may mean something else than their author thinks.
fn topics(out: &mut Findings, field: &str, patterns: &[String], kind: Patterns) {
    for (number, pattern) in patterns.iter().enumerate() {
        let field = format!("{field}[{number}]");
        let shown = format!("{pattern:?}");
        let glob = is_topic(&pattern.replace(['*', '?'], "x"));
        let expression = pattern.strip_prefix('~');
        let compiles = Regex::new(expression.unwrap_or(pattern));
        if pattern.is_empty() {
            out.wrong(&field, shown, "must not be empty", "write a topic or a pattern");
        } else if kind == Patterns::Glob && expression == Some("") {
            let rule = "is an empty regular expression, which every topic has: all topics are meant";
            out.warn(&field, Some(shown), rule, "write * for every topic, or an expression behind the ~");
        } else if kind == Patterns::Glob && expression.is_none() && glob {
            if pattern.contains(".*") {
                let rule = "is read as a glob: the dot stands for itself";
                out.warn(&field, Some(shown), rule, "put ~ before a regular expression");
            }
        } else if let Err(error) = &compiles {
            if glob {
                out.warn(
                    &field,
                    Some(shown),
                    "is no regular expression and is read as a glob",
                    "write .* for anything",
                );
            } else {
                out.wrong(&field, shown, &not_an_expression(error), "mend the expression");
            }
        } else if kind == Patterns::Glob && expression.is_none() {
            let rule = "is no glob and is read as a regular expression over the whole name";
            out.warn(&field, Some(shown), rule, "put ~ before it");
        }
    }
}

/// Regular expressions over whole names of groups.
fn groups(out: &mut Findings, field: &str, patterns: &[String]) {
    for (number, pattern) in patterns.iter().enumerate() {
        if let Err(error) = Regex::new(pattern) {
            let field = format!("{field}[{number}]");
            out.wrong(&field, format!("{pattern:?}"), &not_an_expression(&error), "mend the expression");
        }
    }
}

fn not_an_expression(error: &regex::Error) -> String {
    let reason = error.to_string();
    let reason = reason.lines().last().unwrap_or_default().trim();
    format!("must compile as a regular expression ({reason})")
}

/// A number of one unit, as `30d`: seconds, minutes, hours, days or weeks.
fn age(out: &mut Findings, field: &str, text: &str) {
    let number = text.strip_suffix(['s', 'm', 'h', 'd', 'w']);
    if !number.is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number > 0)) {
        let rule = "must be a number above 0 and one of s, m, h, d, w";
        out.wrong(field, format!("{text:?}"), rule, "write it like 30d");
    }
}

/// A field that is accepted for the sake of other tools.
fn without_effect(out: &mut Findings, field: &str, is_set: bool, why: &str) {
    if is_set {
        out.warn(field, None, &format!("has no effect: {why}"), "leave it out");
    }
}
