//! Evidence whose time is over: so many days after it was written, by the store's own clock. What a document promised when it was
//! written is kept, and so is what the specification says today: the longer of both.
//!
//! Only what is this validation's is deleted: the document says so, in the folder of its own id. What cannot be read, is
//! another's, or has no document is left alone and told.

use archive::{KeptEvidence, KeptFile};
use contract::{Failure, RunSpec};
use evidence::{DOCUMENT, FILES, Statement};
use jiff::{SignedDuration, Timestamp};

/// Bytes of a document that are read.
pub(super) const LARGEST: u64 = 8 << 20;
/// Most results whose evidence one run deletes; the next run goes on.
const MOST: u64 = 500;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    /// Results whose evidence was deleted.
    pub(super) removed: u64,
    /// Results that are old enough, and are not shown to be this validation's.
    pub(super) unclear: Vec<String>,
}

/// Deletes what is kept for longer than was asked for. `own` is what this run wrote: when, the store says.
///
/// # Errors
/// When the store fails or refuses.
pub(super) async fn delete_expired(
    kept: &KeptEvidence,
    spec: &RunSpec,
    own: &str,
    days: u32,
    out: &mut Expired,
) -> Result<(), Failure> {
    let all = kept.list().await?;
    let Some(now) = all.get(own).and_then(|files| written(files)) else { return Ok(()) };
    for (id, files) in all.iter().filter(|(id, _)| *id != own) {
        let Some(at) = written(files).filter(|at| is_over(*at, now, days)) else { continue };
        let Some(document) = document(kept, id, files, spec).await? else {
            out.unclear.push(id.clone());
            continue;
        };
        if !is_over(at, now, document.retention.days) {
            continue;
        }
        // The document last: whoever goes on finds what is left by it.
        for name in FILES.into_iter().filter(|name| files.iter().any(|file| file.name == *name)) {
            kept.delete(id, name).await?;
        }
        out.removed += 1;
        if out.removed >= MOST {
            break;
        }
    }
    Ok(())
}

/// When the newest file was written.
fn written(files: &[KeptFile]) -> Option<Timestamp> {
    files.iter().map(|file| file.at).collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn is_over(at: Timestamp, now: Timestamp, days: u32) -> bool {
    now.duration_since(at) > SignedDuration::from_hours(24).saturating_mul(i32::try_from(days).unwrap_or(i32::MAX))
}

/// The document of a result, where it says that it is this validation's.
async fn document(
    kept: &KeptEvidence,
    id: &str,
    files: &[KeptFile],
    spec: &RunSpec,
) -> Result<Option<Statement>, Failure> {
    if !files.iter().any(|file| file.name == DOCUMENT) {
        return Ok(None);
    }
    let bytes = match kept.read(id, DOCUMENT, LARGEST).await {
        Ok(bytes) => bytes,
        // A larger one is none of ours.
        Err(archive::ArchiveError::Config { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let document: Option<Statement> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(document.filter(|document| is_of(document, id, spec)))
}

fn is_of(document: &Statement, id: &str, spec: &RunSpec) -> bool {
    let subject = &document.subject;
    document.schema == evidence::SCHEMA
        && document.id == id
        && subject.namespace == spec.namespace
        && subject.name == spec.name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_over_after_whole_days() {
        let at: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        for (now, days, over) in [
            ("2026-11-02T00:00:00Z", 1, false),
            ("2026-11-02T00:00:01Z", 1, true),
            ("2026-10-01T00:00:00Z", 1, false),
            ("2036-11-02T00:00:00Z", u32::MAX, false),
        ] {
            assert_eq!(is_over(at, now.parse().unwrap(), days), over, "{now} {days}");
        }
    }

    #[test]
    fn a_file_without_a_time_makes_no_age() {
        let file = |at: Option<&str>| KeptFile { name: "x".into(), at: at.map(|at| at.parse().unwrap()) };
        assert_eq!(written(&[]), None);
        assert_eq!(written(&[file(Some("2026-11-01T00:00:00Z")), file(None)]), None);
        let newest = written(&[file(Some("2026-11-01T00:00:00Z")), file(Some("2026-11-02T00:00:00Z"))]);
        assert_eq!(newest.map(|at| at.to_string()).as_deref(), Some("2026-11-02T00:00:00Z"));
    }
}
