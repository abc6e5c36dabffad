//! What stands for the answer of a store where none came: errors of the HTTP library, from which the line for people is read
//! again ([`Answer::find`]). Pure.

use std::time::Duration;

use contract::Code;
use object_store::client::{HttpError, HttpErrorKind};

use crate::answer::Answer;

/// What stands for an answer in the library's errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(String);

impl Unanswered {
    /// The library's error for what was found on this side.
    pub(super) fn found(code: Code, words: String) -> object_store::Error {
        let source = Box::new(Self(Answer::found(code, words).mark()));
        object_store::Error::Generic { store: "identity", source }
    }
}

/// The store said nothing for so long.
pub(super) fn silent(limit: Duration, carried: u64) -> HttpError {
    let what = if carried > 0 { format!(" to {carried} bytes that were sent") } else { String::new() };
    let words = format!(
        "the store gave no answer within {:.0} s{what}; circuitBreaker.operationTimeoutMs says how long it may be silent",
        limit.as_secs_f64()
    );
    HttpError::new(HttpErrorKind::Timeout, Unanswered(Answer::none(words).mark()))
}

/// An answer has more bytes than what was asked for can have.
pub(super) fn too_long(most: u64) -> HttpError {
    let words = format!(
        "the store sends more than {most} bytes, which is the most that this answer can have; is storage.endpoint a store?"
    );
    over(Code::StoreRefused, words)
}

/// What the innermost cause says: it is the one that says something. What the system refuses is said in words of ours.
pub(super) fn innermost(error: &HttpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(refused) if refused.raw_os_error().is_some() => contract::words::of_connection(refused),
        _ => cause.to_string(),
    }
}

/// What to do about a name that DNS does not know.
const FIX: &str = "correct storage.endpoint, storage.region or the name of the bucket or account";

/// DNS knows no such host; `believed` says for how long, once nobody shall ask again.
pub(super) fn nowhere(host: &str, believed: Option<Duration>) -> HttpError {
    let Some(unknown) = believed else {
        return for_now(format!("DNS knows no host {host}; {FIX}"));
    };
    let words = format!("DNS knows no host {host}, for {} s; {FIX}", unknown.as_secs());
    over(Code::StoreNameUnknown, words)
}

/// A failure that no try heals: the library does not send this kind again.
pub(super) fn over(code: Code, words: String) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Unanswered(Answer::found(code, words).mark()))
}

/// A failure that no try heals, most likely: a few more show it.
pub(super) fn so_far(code: Code, words: String) -> HttpError {
    HttpError::new(HttpErrorKind::Connect, Unanswered(Answer::found(code, words).mark()))
}

/// A failure that may pass.
pub(super) fn for_now(words: String) -> HttpError {
    HttpError::new(HttpErrorKind::Connect, Unanswered(Answer::none(words).mark()))
}

/// No answer came, and why, in plain words; from which host and port, where that is known.
pub(super) fn unreached(error: &HttpError, cause: &str, at: Option<&str>) -> HttpError {
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let words = match error.kind() {
        HttpErrorKind::Connect => format!("the store cannot be reached{at}: {cause}"),
        // Every other kind is of a connection that was there.
        _ => format!("the connection to the store ended: {cause}"),
    };
    // A connection that ends while a refusal is on its way ends like this as well: it counts as not sent.
    let kind = if error.kind() == HttpErrorKind::Unknown { HttpErrorKind::Interrupted } else { error.kind() };
    HttpError::new(kind, Unanswered(Answer::none(words).mark()))
}
