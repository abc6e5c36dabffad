//! Where the bytes of a range come from: a local file, or an answer that has arrived.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{GetResult, GetResultPayload};

use crate::ArchiveError;

/// Where the bytes of a range come from.
pub(super) enum Source {
    /// A local file, not read yet, and where what was asked for ends in it.
    File(File, u64),
    /// Bytes that have arrived, from this place of the object on.
    Read { start: u64, bytes: Bytes },
    /// More bytes came than were asked for.
    TooMuch,
}

/// The bytes of an answer; `None` where more than `most` come, whatever the store said of its length.
pub(super) async fn arrived(found: GetResult, most: u64) -> Result<Option<Bytes>, object_store::Error> {
    if matches!(found.payload, GetResultPayload::File(..)) {
        return found.bytes().await.map(Some);
    }
    let expected = found.range.end.saturating_sub(found.range.start).min(most);
    let (mut stream, mut first, mut out) = (found.into_stream(), Bytes::new(), Vec::new());
    while let Some(bytes) = stream.try_next().await? {
        if (first.len() + out.len() + bytes.len()) as u64 > most {
            return Ok(None);
        }
        if first.is_empty() && out.is_empty() {
            // Most answers come in one piece: it is not copied.
            first = bytes;
            continue;
        }
        if out.is_empty() {
            out.reserve_exact(usize::try_from(expected).unwrap_or(first.len()));
            out.extend_from_slice(&std::mem::take(&mut first));
        }
        out.extend_from_slice(&bytes);
    }
    Ok(Some(if out.is_empty() { first } else { out.into() }))
}

impl Source {
    /// The bytes of a part of the range that was asked for; a file is read into `buffer`, without clearing its memory
    /// first. `shown` is the object in messages.
    pub(super) fn part(&mut self, shown: &str, range: Range<u64>, buffer: Vec<u8>) -> Result<Bytes, ArchiveError> {
        let wanted = range.end - range.start;
        let bytes = match self {
            Self::File(_, end) if *end < range.end => {
                return Err(ArchiveError::damaged(shown, format!("it ends at byte {end}, not {}", range.end)));
            }
            Self::File(file, _) => read_file(file, range, buffer).map_err(|source| {
                let source = Box::new(source);
                ArchiveError::store("read", shown, &object_store::Error::Generic { store: "file system", source })
            })?,
            Self::Read { start, bytes } => {
                let place =
                    |at: u64| usize::try_from(at.saturating_sub(*start)).map_or(bytes.len(), |at| at.min(bytes.len()));
                bytes.slice(place(range.start)..place(range.end))
            }
            Self::TooMuch => {
                let reason = format!("the store sends more than the {wanted} bytes that were asked for");
                return Err(ArchiveError::damaged(shown, reason));
            }
        };
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(ArchiveError::damaged(shown, format!("{} bytes instead of {wanted}", bytes.len())))
        }
    }
}

fn read_file(file: &mut File, range: Range<u64>, mut buffer: Vec<u8>) -> std::io::Result<Bytes> {
    let length = range.end - range.start;
    buffer.clear();
    buffer.reserve_exact(usize::try_from(length).map_err(std::io::Error::other)?);
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut buffer)?;
    Ok(buffer.into())
}
