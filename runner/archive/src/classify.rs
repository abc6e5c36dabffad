//! What a failure of the object store library means: a code of ours and one line for people. Pure.

use std::error::Error as _;
use std::io::ErrorKind;

use contract::{Code, words};

use crate::answer::Answer;

/// Most of a library's own words that is shown.
const WORDS: usize = 300;

/// The class of a store's failure, and one line that says what happened.
pub(crate) fn describe(error: &object_store::Error) -> (Code, String) {
    if let Some(answer) = answer_of(error) {
        return (answer.class(), answer.line());
    }
    if let Some((kind, words)) = of_system(error) {
        let (code, hint) = of_file_system(kind);
        return (code, format!("{words}{hint}"));
    }
    let text = chain(error);
    if text.contains("ETag Header missing") {
        let line = "the store's answer to a part has no ETag: it cannot take objects in parts. Set backup.segmentMaxBytes below 8388608, or use another store";
        return (Code::StoreRefused, line.to_owned());
    }
    let code = match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Code::StoreDenied,
        object_store::Error::NotFound { .. } => Code::StoreMissing,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => Code::StoreRefused,
        // What is not known to stay may pass: it is tried again.
        _ => Code::StoreUnreachable,
    };
    (code, text)
}

/// What the store answered, when the failure is an answer of a store or the lack of one.
pub(crate) fn answer_of(error: &object_store::Error) -> Option<Answer> {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(answer) = Answer::find(&inner.to_string()) {
            return Some(answer);
        }
        cause = inner.source();
    }
    None
}

/// Whether the store says that there is no such upload in parts.
pub(crate) fn is_no_upload(error: &object_store::Error) -> bool {
    answer_of(error).is_some_and(|answer| answer.no_upload())
}

/// Whether it is no answer of a store to a request and no failure of a system: what the library found inside of an answer.
pub(crate) fn is_said_inside(error: &object_store::Error) -> bool {
    answer_of(error).is_none() && of_system(error).is_none()
}

/// Whether the same request may well succeed in a moment. What a file system says stays so.
pub(crate) fn passes(error: &object_store::Error) -> bool {
    describe(error).0 == Code::StoreUnreachable && of_system(error).is_none()
}

fn of_file_system(kind: ErrorKind) -> (Code, &'static str) {
    match kind {
        ErrorKind::NotFound => (Code::StoreMissing, ""),
        ErrorKind::PermissionDenied => (Code::StoreDenied, " (the process may not write there)"),
        ErrorKind::ReadOnlyFilesystem => (Code::StoreDenied, " (mount it writable, or use another directory)"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Code::StoreFull, " (make room, then run again)"),
        ErrorKind::Unsupported => (Code::StoreUnsafe, " (this file system has no hard links)"),
        // The same of a file system.
        _ => (Code::StoreUnreachable, ""),
    }
}

/// What the system said, where a failure comes from it.
fn of_system(error: &object_store::Error) -> Option<(ErrorKind, String)> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Some((io.kind(), words::of_system(io)));
        }
        source = inner.source();
    }
    None
}

/// The library's chain of causes, from the outside in, without repeats.
fn chain(error: &object_store::Error) -> String {
    let whole = error.to_string();
    // "Generic S3 error: " says nothing.
    let mut text = match whole.split_once(" error: ") {
        Some((start, rest)) if start.starts_with("Generic ") => rest.to_owned(),
        _ => whole,
    };
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    // Markup begins a store's raw answer: what stands before it is the library's.
    let own = text.split('<').next().unwrap_or_default();
    let line: String = own.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    without_signature(line.trim_end_matches([' ', ':']))
}

/// A shared access signature travels in URLs, and URLs stand in messages.
fn without_signature(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sig=").into_iter().chain(rest.find("Signature=").map(|at| at + 6)).min() {
        let (before, after) = rest.split_at(at + 4);
        out.push_str(before);
        out.push_str("***");
        rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "%+/=-_.".contains(c));
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn signatures_are_left_out_of_messages() {
        let text = "GET https://a/b?sv=1&sig=Abc%2Bdef%3D&se=2 failed";
        assert_eq!(without_signature(text), "GET https://a/b?sv=1&sig=***&se=2 failed");
        let text = "GET https://a/b?X-Amz-Signature=abcdef012&x=2 failed";
        assert_eq!(without_signature(text), "GET https://a/b?X-Amz-Signature=***&x=2 failed");
    }

    #[test]
    fn a_raw_answer_never_reaches_a_message() {
        let (code, line) = describe(&generic("error response: <Error><Code>X</Code>AKIAIOSFODNN7EXAMPLE</Error>"));
        assert_eq!((code, line.as_str()), (Code::StoreUnreachable, "error response"));
        assert!(passes(&generic("a cut body")));
    }

    #[test]
    fn what_the_store_said_counts_before_the_library_s_words() {
        let said = Answer { status: 404, code: "NoSuchBucket".into(), ..Answer::default() };
        let error = object_store::Error::NotFound { path: "k".into(), source: said.mark().into() };
        assert_eq!(describe(&error).0, Code::StoreMissing);
        let said = Answer { status: 404, code: "NoSuchUpload".into(), ..Answer::default() };
        let error = object_store::Error::NotFound { path: "k".into(), source: said.mark().into() };
        assert_eq!(describe(&error).0, Code::StoreUnreachable);
    }
}
