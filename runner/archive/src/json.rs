//! Reads JSON documents of a store within a bound on the memory that they take. What is wrong with one is said in our words:
//! the words of the parser quote the document.

use std::io::{BufReader, Read};

use serde::Deserialize;
use serde::de::DeserializeSeed;

use crate::json_fault::json_fault;
use crate::memory;
use crate::metered::{Meter, Metered};

/// Why a document cannot be read; shown in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not what it must be.
    #[error("{}", json_fault(.0))]
    Fault(serde_json::Error),
    /// It takes too much memory.
    #[error(
        "takes more than {} MiB of memory when it is read, which is the most that one document may take: two thirds of what this process has, and at most 1024 MiB",
        .0 >> 20
    )]
    TooLarge(u64),
}

/// Reads a document. What it takes in memory counts, the document itself included.
///
/// # Errors
/// When it is not what it must be, or takes too much memory.
pub fn from_json<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, JsonError> {
    within(json, 0, memory::of_document())
}

/// The same where other bytes are held meanwhile.
pub(crate) fn from_json_beside<T: for<'de> Deserialize<'de>>(json: &[u8], held: usize) -> Result<T, JsonError> {
    within(json, held, memory::of_document())
}

/// Reads a document of any size as a stream. What `seed` keeps of it counts; what it reads as [`crate::metered::Passing`] does not.
///
/// # Errors
/// When it is not what it must be, or what is kept takes too much memory.
pub fn from_json_stream<T>(
    bytes: impl Read,
    seed: impl for<'de> DeserializeSeed<'de, Value = T>,
) -> Result<T, JsonError> {
    let limit = memory::of_document();
    let meter = Meter::new(limit);
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(bytes));
    let read = seed.deserialize(Metered::new(&mut reader, &meter)).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| if meter.is_over() { JsonError::TooLarge(limit) } else { JsonError::Fault(error) })
}

fn within<T: for<'de> Deserialize<'de>>(json: &[u8], held: usize, limit: u64) -> Result<T, JsonError> {
    let meter = Meter::new(limit);
    let read = || {
        meter.take::<serde_json::Error>((json.len() as u64).saturating_add(held as u64))?;
        let mut reader = serde_json::Deserializer::from_slice(json);
        let value = T::deserialize(Metered::new(&mut reader, &meter))?;
        reader.end()?;
        Ok(value)
    };
    read().map_err(|error| if meter.is_over() { JsonError::TooLarge(limit) } else { JsonError::Fault(error) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    enum Kind {
        Plain,
        One(u32),
        More { a: Option<String>, b: (u8, bool) },
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Document {
        id: uuid::Uuid,
        kinds: Vec<Kind>,
        map: BTreeMap<i32, BTreeMap<String, Option<i64>>>,
        #[serde(default)]
        absent: Vec<u64>,
        free: serde_json::Value,
    }

    const TEXT: &str = r#"{"id": "00000000-0000-0000-0000-000000000007", "unknown": [1, {"x": []}],
        "kinds": ["Plain", {"One": 5}, {"More": {"a": "b\n", "b": [1, true]}}],
        "map": {"-3": {"x": null, "y": 9}}, "free": {"n": [1.5, "t", null]}}"#;

    #[test]
    fn a_document_reads_as_without_a_meter() {
        let plain: Document = serde_json::from_str(TEXT).unwrap();
        assert_eq!(from_json::<Document>(TEXT.as_bytes()).unwrap(), plain);
        for bad in [r#"{"id": "x"}"#, "{", "", &format!("{TEXT} 1"), r#"{"kinds": [{"One": "5"}]}"#] {
            let error = from_json::<Document>(bad.as_bytes()).unwrap_err();
            let expected = json_fault(&serde_json::from_str::<Document>(bad).unwrap_err());
            assert_eq!(error.to_string(), expected, "{bad}");
        }
    }

    #[test]
    fn a_stream_reads_as_a_document() {
        let seed = std::marker::PhantomData::<Document>;
        assert_eq!(from_json_stream(TEXT.as_bytes(), seed).unwrap(), from_json(TEXT.as_bytes()).unwrap());
        for (bad, words) in
            [(&TEXT[..50], "is cut short"), (&format!("{TEXT} 1"), "is no JSON"), ("[]", "lacks a field")]
        {
            let error = from_json_stream(bad.as_bytes(), seed).unwrap_err().to_string();
            assert!(error.starts_with(words), "{bad}: {error}");
        }
    }

    #[test]
    fn what_a_document_takes_counts_and_what_nobody_keeps_does_not() {
        let read = |text: &str, limit| within::<BTreeMap<String, BTreeMap<String, String>>>(text.as_bytes(), 0, limit);
        let text = format!("{{{}}}", (0..1_000).map(|n| format!(r#""{n}":{{"":""}}"#)).collect::<Vec<_>>().join(","));
        // Fourteen bytes on disk are most of a thousand in memory.
        let took = (text.len() as u64..).step_by(1_000).find(|limit| read(&text, *limit).is_ok()).unwrap();
        assert!(took > 50 * text.len() as u64, "{took} of {}", text.len());
        let error = read(&text, took - 1_000).unwrap_err();
        assert!(matches!(error, JsonError::TooLarge(_)), "{error}");
        assert!(within::<serde::de::IgnoredAny>(text.as_bytes(), 0, 2 * text.len() as u64).is_ok());
        assert!(matches!(
            within::<serde::de::IgnoredAny>(text.as_bytes(), 1_000, text.len() as u64),
            Err(JsonError::TooLarge(_))
        ));
        assert!(error.to_string().contains("MiB of memory"), "{error}");
    }
}
