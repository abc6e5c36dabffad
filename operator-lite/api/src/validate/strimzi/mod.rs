//! Rules of the Strimzi groups.

mod backup;
mod cluster;
mod config;
mod pod;
mod restore;
mod storage;

pub(super) use backup::backup;
pub(super) use restore::restore;

use super::names::{Expressions, is_topic};
use crate::finding::Findings;
pub use crate::strimzi::Patterns;
use crate::strimzi::patterns::{is_expression, is_glob};
use crate::strimzi::{ClusterRef, FilesystemStorage, KafkaBackupSpec, Storage, StorageType};

/// Stands for the KafkaBackup that a restore names.
pub(super) fn elsewhere() -> KafkaBackupSpec {
    let folder = FilesystemStorage { path: super::ELSEWHERE.to_owned() };
    KafkaBackupSpec {
        strimzi_cluster_ref: ClusterRef {
            name: super::ELSEWHERE.to_owned(),
            namespace: None,
            ca_secret: None,
            listener: None,
        },
        authentication: None,
        topics: None,
        consumer_groups: None,
        connection: None,
        logging: None,
        env: Vec::new(),
        storage: Storage {
            kind: StorageType::Filesystem,
            s3: None,
            azure: None,
            gcs: None,
            filesystem: Some(folder),
            tls: None,
        },
        backup: None,
        metrics: None,
        offset_storage: None,
        schedule: None,
        retention: None,
        resources: None,
        template: None,
        image: None,
        backoff_limit: None,
    }
}

/// Patterns of topics, and a word where they may mean something else than their author thinks.
fn topics(out: &mut Findings, field: &str, patterns: &[String], kind: Patterns) {
    let count = patterns.iter().filter(|pattern| is_expression(pattern, kind)).count();
    let Some(expressions) = Expressions::of(out, field, count) else { return };
    for (number, pattern) in patterns.iter().enumerate() {
        let field = format!("{field}[{number}]");
        let shown = format!("{pattern:?}");
        let glob = is_glob(pattern);
        let expression = pattern.strip_prefix('~');
        let compiles =
            if is_expression(pattern, kind) { expressions.check(expression.unwrap_or(pattern)) } else { Ok(()) };
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
        } else if let Err(rule) = &compiles {
            if glob {
                out.warn(
                    &field,
                    Some(shown),
                    "is no regular expression and is read as a glob",
                    "write .* for anything",
                );
            } else {
                out.wrong(&field, shown, rule, "mend the expression");
            }
        } else if kind == Patterns::Glob && expression.is_none() {
            let rule = "is no glob and is read as a regular expression over the whole name";
            out.warn(&field, Some(shown), rule, "put ~ before it");
        }
    }
}

/// Regular expressions over whole names of groups.
fn groups(out: &mut Findings, field: &str, patterns: &[String]) {
    let is_expression = |pattern: &&String| !is_topic(pattern);
    let count = patterns.iter().filter(is_expression).count();
    let Some(expressions) = Expressions::of(out, field, count) else { return };
    for (number, pattern) in patterns.iter().enumerate().filter(|(_, pattern)| is_expression(pattern)) {
        if let Err(rule) = expressions.check(pattern) {
            out.wrong(&format!("{field}[{number}]"), format!("{pattern:?}"), &rule, "mend the expression");
        }
    }
}

/// A number of one unit, as `30d`: seconds, minutes, hours, days or weeks.
fn age(out: &mut Findings, field: &str, text: &str) {
    if contract::retention::age_secs(text).is_none() {
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
