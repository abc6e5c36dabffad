//! How much a specification may hold: whoever judges one takes time and memory for it. No honest resource meets these limits: the
//! run that it asks for has less room. Pure.

use std::fmt::Display;

use serde_json::Value;

use crate::finding::{Finding, Level};

/// Most bytes of a specification as JSON.
const LARGEST: usize = 512 << 10;
/// Most entries of a list or a block.
pub(super) const MOST_ENTRIES: usize = 10_000;
/// Most bytes of the path of a field, as `spec.topicMapping.orders`.
const LONGEST_PATH: usize = 1_024;

/// The first limit that a specification passes. One that passes any is not looked at further.
pub(crate) fn exceeded(spec: &Value) -> Option<Finding> {
    let bytes = size(spec);
    if bytes > LARGEST {
        let rule = format!("is larger than {LARGEST} bytes");
        return Some(too_much(
            "spec",
            format!("{bytes} bytes"),
            rule,
            "use patterns in the place of long lists of names",
        ));
    }
    below("spec", spec).err()
}

/// Bytes of a value as JSON.
pub(super) fn size(value: &Value) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| text.len())
}

fn below(at: &str, value: &Value) -> Result<(), Finding> {
    match value {
        Value::Object(fields) => {
            entries(at, fields.len())?;
            for (name, value) in fields {
                below(&path(at, name)?, value)?;
            }
        }
        Value::Array(items) => {
            entries(at, items.len())?;
            for (number, item) in items.iter().enumerate().filter(|(_, item)| item.is_object() || item.is_array()) {
                below(&format!("{at}[{number}]"), item)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn entries(at: &str, count: usize) -> Result<(), Finding> {
    if count <= MOST_ENTRIES {
        return Ok(());
    }
    let rule = format!("has more than {MOST_ENTRIES} entries");
    Err(too_much(at, format!("{count} entries"), rule, "use patterns in the place of names, or several resources"))
}

fn path(at: &str, name: &str) -> Result<String, Finding> {
    if at.len() + name.len() < LONGEST_PATH {
        return Ok(format!("{at}.{name}"));
    }
    let rule = format!("has a field whose path is longer than {LONGEST_PATH} bytes");
    Err(too_much(at, format!("a name of {} bytes", name.len()), rule, "write shorter names"))
}

fn too_much(field: &str, value: impl Display, rule: String, fix: &str) -> Finding {
    Finding { level: Level::Error, field: field.to_owned(), value: Some(value.to_string()), rule, fix: fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(spec: &Value) -> String {
        exceeded(spec).map(|finding| finding.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_runs_take_fits() {
        let topics: Vec<_> = (0..MOST_ENTRIES).map(|number| format!("orders-{number}")).collect();
        let mapping: serde_json::Map<_, _> = topics.iter().map(|name| (name.clone(), name.clone().into())).collect();
        assert_eq!(says(&json!({"topics": topics, "topicMapping": mapping})), "");
        assert_eq!(says(&json!({"groupMapping": {"x".repeat(900): "y"}})), "");
    }

    #[test]
    fn what_none_takes_is_named() {
        let long = "x".repeat(LONGEST_PATH);
        let mut deep = json!("end");
        for _ in 0..60 {
            deep = json!({ "a-name-of-twenty-four-bytes": deep });
        }
        for (spec, words) in [
            (
                json!({"topics": vec!["a"; MOST_ENTRIES + 1]}),
                "spec.topics (10001 entries): has more than 10000 entries",
            ),
            (json!({"a": [{"b": vec![json!({}); MOST_ENTRIES + 1]}]}), "spec.a[0].b (10001 entries)"),
            (json!({"sourceClusterId": "x".repeat(LARGEST)}), "is larger than 524288 bytes; use patterns"),
            (json!({"topicMapping": {long: "a"}}), "spec.topicMapping (a name of 1024 bytes)"),
            (json!({"resource": deep}), "whose path is longer than 1024 bytes"),
        ] {
            assert!(says(&spec).contains(words), "{words}: {}", says(&spec));
        }
    }
}
