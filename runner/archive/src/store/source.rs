//! Where the bytes of a range come from: a local file, or an answer that has arrived.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;

use crate::ArchiveError;

/// Where the bytes of a range come from.
pub(super) enum Source {
    /// A local file, not read yet, and where what was asked for ends in it.
    File(File, u64),
    /// Bytes that have arrived, from this place of the object on.
    Read { start: u64, bytes: Bytes },
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
