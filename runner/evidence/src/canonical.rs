//! JSON with one form for one value: names sorted, no spaces, whole numbers only. So bytes can be signed, and whoever writes the
//! same value in another language gets the same bytes (RFC 8785, with whole numbers as they are). Pure.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;

/// Why a value has no such form.
#[derive(Debug, thiserror::Error)]
pub enum NotCanonical {
    /// It has a number that is not whole.
    #[error("it has the number {0}, and only whole ones have one form")]
    Fraction(String),
    /// JSON cannot hold it.
    #[error("it cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The bytes of a value.
///
/// # Errors
/// A number that is not whole; what JSON cannot hold.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            return Err(NotCanonical::Fraction(number.to_string()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => serde_json::to_writer(out, value)?,
        Value::Array(items) => {
            out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push(b'{');
            for (number, (name, field)) in fields.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(field, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// SHA-256 of bytes, hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_and_nothing_is_between() {
        let value = json!({"b": [1, -2, true, null], "a": {"z": "\u{1f}\n\"ä", "": u64::MAX}});
        let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
        assert_eq!(text, "{\"a\":{\"\":18446744073709551615,\"z\":\"\\u001f\\n\\\"ä\"},\"b\":[1,-2,true,null]}");
        assert!(matches!(canonical(&json!({"a": [0.5]})), Err(NotCanonical::Fraction(_))));
        // UTF-16 sorts what lies above the basic plane before what lies at its end.
        let text = String::from_utf8(canonical(&json!({"\u{ff5e}": 1, "\u{1f600}": 2})).unwrap()).unwrap();
        assert_eq!(text, "{\"\u{1f600}\":2,\"\u{ff5e}\":1}");
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_value_has_one_form_and_is_read_back(value in any_value()) {
            let bytes = canonical(&value).unwrap();
            let back: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical(&back).unwrap(), bytes);
        }
    }
}
