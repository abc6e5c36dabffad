//! Rules of `backup.config` and `restore.config`. A key with a typed field is checked as that field; one that has a meaning here is
//! checked for itself; one whose loss would change what is kept or written is refused by name; any other is named in a warning.

use contract::{HeaderPreflight, OnMissingTopic};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::{Finding, Findings};
use crate::strimzi::config::{Breaker, Configured, get, named, with};

/// What becomes of a key that has no typed field.
enum Fate {
    /// It works; the value is one of these.
    Works(&'static str, fn(&Value) -> bool),
    /// It works with this value only, and leaving another one out would change data.
    Only(fn(&Value) -> bool, &'static str, &'static str),
    /// It is left out.
    Idle(&'static str),
}

/// Whether a value reads as such a type.
fn reads<T: DeserializeOwned>(value: &Value) -> bool {
    serde_json::from_value::<T>(value.clone()).is_ok()
}

fn breaker(value: &Value) -> bool {
    // A count of 0 is none.
    let whole = |block: Breaker| block.failure_threshold.min(block.success_threshold) > 0 && block.reset_timeout_ms > 0;
    serde_json::from_value::<Breaker>(value.clone()).is_ok_and(whole)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

const BREAKER: &str =
    "must be a block of enabled, failure_threshold, reset_timeout_ms and success_threshold, numbers above 0";
const HERE: &str = "is not done by this operator";

fn of_backup(key: &str) -> Option<Fate> {
    Some(match key {
        "on_missing_topic" => Fate::Works("must be one of fail, warn", reads::<OnMissingTopic>),
        "circuit_breaker" => Fate::Works(BREAKER, breaker),
        "capture_topic_configs" => Fate::Only(
            |value| *value == Value::Bool(true),
            "must be true: configs of topics are always archived",
            "leave it out",
        ),
        "require_topic_configs" => Fate::Only(
            |value| *value == Value::Bool(false),
            "must be false: configs that may not be read are a warning, and the run goes on",
            "leave it out, and grant DescribeConfigs",
        ),
        "retention" => Fate::Only(|_| false, "does not work: it would delete segments", "use spec.retention"),
        "fetch_max_bytes" => Fate::Idle("fetches are sized by the run itself"),
        "segment_max_records" => Fate::Idle("segments end by size and time (segmentSize, segmentMaxIntervalMs)"),
        _ => return None,
    })
}

fn of_restore(key: &str) -> Option<Fate> {
    Some(match key {
        "header_preflight" => Fate::Works("must be one of auto, full, skip", reads::<HeaderPreflight>),
        "circuit_breaker" => Fate::Works(BREAKER, breaker),
        "restore_topic_configs" => Fate::Only(
            |value| *value == Value::Bool(true),
            "must be true: topics are created with the configs of their source",
            "leave it out, and create the topics first where they shall have others",
        ),
        "existing_topic_config_policy" => Fate::Only(
            |value| value == "validate_only",
            "must be validate_only: configs of topics that exist are not changed",
            "leave it out",
        ),
        "topic_config_overrides" => Fate::Only(is_empty, HERE, "leave it out, and create the topics first"),
        "rewrite_schema_ids" => Fate::Only(
            |value| *value == Value::Bool(false),
            "must be false: records are restored as they are archived",
            "leave it out",
        ),
        "schema_id_mapping" => {
            Fate::Only(is_empty, "must be empty: records are restored as they are archived", "leave it out")
        }
        "dry_run_check_segments" => Fate::Idle("every segment is looked for before the restore writes anything"),
        _ => return None,
    })
}

/// Judges the block, and moves findings of typed fields to the keys that stand for them.
pub(super) fn config<T: Configured>(out: &mut Findings, spec: &T, of_fields: Findings) {
    let mut keys: Vec<(String, String)> = Vec::new();
    for (twin, value) in named(spec) {
        let field = format!("{}.{}", T::AT, twin.key);
        if with(spec, twin, value).is_some() {
            differs(out, spec, (&field, twin.field), twin.read, value);
            keys.push((format!("spec.{}", twin.field), field));
        } else {
            let fix = "write what the engine takes, or use the typed field";
            out.wrong(&field, value, &format!("must be a value for spec.{}", twin.field), fix);
        }
    }
    for finding in of_fields.into_vec() {
        let key = keys.iter().find_map(|(field, key)| Some(format!("{key}{}", below(&finding.field, field)?)));
        out.add(match key {
            Some(field) => Finding { field, ..finding },
            None => finding,
        });
    }
    let of_key = if T::AT == "spec.backup.config" { of_backup } else { of_restore };
    let is_twin = |key: &str| T::TWINS.iter().any(|twin| twin.key == key);
    for (key, value) in spec.config().into_iter().flatten().filter(|(key, value)| !is_twin(key) && !value.is_null()) {
        judge(out, &format!("{}.{key}", T::AT), of_key(key), value);
    }
}

/// What follows `field` in the path of a finding, if it is one of that field.
fn below<'a>(path: &'a str, field: &str) -> Option<&'a str> {
    path.strip_prefix(field).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The typed field says something else.
fn differs<T: Configured>(
    out: &mut Findings,
    spec: &T,
    (field, typed): (&str, &str),
    read: fn(&Value) -> Option<Value>,
    value: &Value,
) {
    let document = serde_json::to_value(spec).ok(); // plain data: it was JSON before
    let before = document.as_ref().and_then(|document| get(document, typed));
    // A flag that is off may be absent as well.
    if let Some(before) = before.filter(|before| **before != Value::Bool(false) && read(value).as_ref() != Some(before))
    {
        let rule = format!("wins over spec.{typed}, which is {before}");
        out.warn(field, Some(value.to_string()), &rule, "keep one of them");
    }
}

fn judge(out: &mut Findings, field: &str, fate: Option<Fate>, value: &Value) {
    match fate {
        Some(Fate::Works(_, takes)) if takes(value) => {}
        Some(Fate::Works(rule, _)) => out.wrong(field, value, rule, "write it as the engine reads it"),
        Some(Fate::Only(takes, _, _)) if takes(value) => {}
        Some(Fate::Only(_, rule, fix)) => out.wrong(field, value, rule, fix),
        Some(Fate::Idle(why)) => out.warn(field, None, &format!("has no effect: {why}"), "leave it out"),
        None => out.warn(field, None, "has no effect: it is no key that this operator knows", "correct or remove it"),
    }
}
