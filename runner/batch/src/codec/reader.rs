//! Decompressing as a stream, for payloads that are too large to hold.

use std::io::{BufRead, BufReader, Cursor, Error, Read, Result};

use super::{Codec, XERIAL_HEADER, XERIAL_MAGIC, unsnap_block};
use crate::BatchError;

/// Snappy copies at most 64 bytes with 3: data that says it grows more is damaged.
const SNAPPY_RATIO: usize = 32;

/// The decompressed bytes of `input`, as they are read.
///
/// # Errors
/// When the input is damaged so that its first bytes show it.
pub(crate) fn reader(codec: Codec, input: &[u8]) -> std::result::Result<Box<dyn BufRead + Send + '_>, BatchError> {
    Ok(match codec {
        Codec::None => Box::new(input),
        Codec::Gzip => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(input))),
        Codec::Lz4 => Box::new(BufReader::new(lz4_flex::frame::FrameDecoder::new(input))),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            Box::new(BufReader::new(decoder.map_err(|error| super::damaged(codec, &error.to_string()))?))
        }
        Codec::Snappy if input.starts_with(&XERIAL_MAGIC) => {
            let rest = input.get(XERIAL_HEADER..).unwrap_or_default();
            Box::new(BufReader::new(Xerial { rest, block: Cursor::new(Vec::new()) }))
        }
        // One block: there is no way to have only a part of it.
        Codec::Snappy => {
            let mut plain = Vec::new();
            unsnap_block(input, input.len().saturating_mul(SNAPPY_RATIO), &mut plain)?;
            Box::new(Cursor::new(plain))
        }
    })
}

/// Snappy in the xerial framing, block by block.
struct Xerial<'a> {
    rest: &'a [u8],
    block: Cursor<Vec<u8>>,
}

impl Read for Xerial<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let read = self.block.read(out)?;
            if read > 0 || self.rest.is_empty() || out.is_empty() {
                return Ok(read);
            }
            let cut = || Error::other("a xerial block is cut off");
            let (length, tail) = self.rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut())?;
            let block = tail.get(..length).ok_or_else(cut)?;
            let mut plain = std::mem::take(self.block.get_mut());
            plain.clear();
            unsnap_block(block, length.saturating_mul(SNAPPY_RATIO), &mut plain).map_err(Error::other)?;
            self.block = Cursor::new(plain);
            self.rest = tail.get(length..).unwrap_or_default();
        }
    }
}
