//! The compression codecs of Kafka and of archive blocks, each with a limit on its output.
//!
//! Contexts are kept between calls, because making a zstd context costs more than a small batch.

mod lz4;
mod reader;

use std::io::{Read, Write};

use zstd::zstd_safe;

use crate::BatchError;

pub(crate) use reader::reader;

/// A compression codec; the numbers are those of the batch attributes (protocol guide, KIP-110).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Bytes as they are.
    None,
    /// RFC 1952, several members allowed.
    Gzip,
    /// Snappy, raw or in the xerial framing that Java producers write.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Codec {
    /// The codec with this number.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd].get(usize::from(id)).copied()
    }

    /// The number of this codec.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name as Kafka's `compression.type` writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// First bytes of snappy data in xerial framing; a version and a compatible version (4 bytes each) follow.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER: usize = 16;
/// Uncompressed bytes per xerial block, as Java's writer uses.
const XERIAL_BLOCK: usize = 32 * 1024;
/// Room to grow into at a time while the output size is unknown.
const STEP: usize = 64 * 1024;

/// Decompresses payloads; reusable.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<zstd_safe::DCtx<'static>>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    /// Replaces `out` by the decompressed `input`.
    ///
    /// # Errors
    /// When the input is damaged, or would grow past `limit` bytes.
    pub fn decompress(
        &mut self,
        codec: Codec,
        input: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), BatchError> {
        out.clear();
        match codec {
            Codec::None if input.len() > limit => Err(BatchError::TooLarge { limit }),
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => read_limited(flate2::read::MultiGzDecoder::new(input), codec, limit, out),
            Codec::Lz4 => read_limited(lz4_flex::frame::FrameDecoder::new(input), codec, limit, out),
            Codec::Snappy => unsnap(input, limit, out),
            Codec::Zstd => self.unzstd(input, limit, out),
        }
    }

    fn unzstd(&mut self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
        let context = self.zstd.get_or_insert_with(zstd_safe::DCtx::create);
        let fail = |code| damaged(Codec::Zstd, zstd_safe::get_error_name(code));
        context.reset(zstd_safe::ResetDirective::SessionOnly).map_err(fail)?;
        if let Ok(Some(size)) = zstd_safe::get_frame_content_size(input) {
            out.reserve(usize::try_from(size).unwrap_or(usize::MAX).min(limit).min(input.len().saturating_mul(32)));
        }
        let mut source = zstd_safe::InBuffer::around(input);
        loop {
            let before = (source.pos, out.len());
            out.reserve(STEP);
            let written = out.len();
            let mut target = zstd_safe::OutBuffer::around_pos(out, written);
            let hint = context.decompress_stream(&mut target, &mut source).map_err(fail)?;
            if out.len() > limit {
                return Err(BatchError::TooLarge { limit });
            }
            let consumed = source.pos == input.len();
            if consumed && hint == 0 {
                return Ok(());
            }
            if before == (source.pos, out.len()) {
                return Err(damaged(Codec::Zstd, "the frame is cut off"));
            }
        }
    }
}

fn read_limited(source: impl Read, codec: Codec, limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source.take(bound).read_to_end(out).map_err(|error| damaged(codec, &error.to_string()))?;
    if out.len() > limit {
        return Err(BatchError::TooLarge { limit });
    }
    Ok(())
}

fn unsnap(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    if !input.starts_with(&XERIAL_MAGIC) {
        return unsnap_block(input, limit, out);
    }
    let mut rest = input.get(XERIAL_HEADER..).ok_or_else(|| damaged(Codec::Snappy, "the xerial header is cut off"))?;
    while !rest.is_empty() {
        let cut = || damaged(Codec::Snappy, "a xerial block is cut off");
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut())?;
        let block = tail.get(..length).ok_or_else(cut)?;
        unsnap_block(block, limit, out)?;
        rest = tail.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn unsnap_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let fail = |error: snap::Error| damaged(Codec::Snappy, &error.to_string());
    let size = snap::raw::decompress_len(block).map_err(fail)?;
    let start = out.len();
    if size > limit.saturating_sub(start) {
        return Err(BatchError::TooLarge { limit });
    }
    out.resize(start + size, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, target).map_err(fail)?;
    Ok(())
}

pub(crate) fn damaged(codec: Codec, reason: &str) -> BatchError {
    BatchError::Decompress { codec: codec.name(), reason: reason.to_owned() }
}

/// Compresses payloads with one codec and level; reusable.
pub struct Compressor {
    codec: Codec,
    level: Option<i32>,
    lz4: lz4::BlockSize,
    zstd: Option<zstd_safe::CCtx<'static>>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("codec", &self.codec).field("level", &self.level).finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor; `level` counts for gzip (1-9) and zstd (1-22), `None` is the codec's own default.
    #[must_use]
    pub fn new(codec: Codec, level: Option<i32>) -> Self {
        Self { codec, level, lz4: lz4::SMALL, zstd: None }
    }

    /// A compressor for blocks of archives, which no Kafka client reads: faster where that takes another framing.
    #[must_use]
    pub fn for_blocks(codec: Codec, level: Option<i32>) -> Self {
        Self { lz4: lz4::LARGE, ..Self::new(codec, level) }
    }

    /// The codec that this compressor writes.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the compressed `input` to `out`.
    ///
    /// # Errors
    /// When the codec's library refuses.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), BatchError> {
        let codec = self.codec;
        let fail = |reason: String| BatchError::Compress { codec: codec.name(), reason };
        match codec {
            Codec::None => out.extend_from_slice(input),
            Codec::Gzip => {
                let level = self.level.and_then(|l| u32::try_from(l).ok()).unwrap_or(6).min(9);
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
                encoder.write_all(input).and_then(|()| encoder.finish().map(drop)).map_err(|e| fail(e.to_string()))?;
            }
            Codec::Lz4 => lz4::compress(input, self.lz4, out).map_err(|e| fail(e.to_string()))?,
            Codec::Snappy => snap_xerial(input, out).map_err(|e| fail(e.to_string()))?,
            Codec::Zstd => {
                let context = self.zstd.get_or_insert_with(zstd_safe::CCtx::create);
                let start = out.len();
                out.resize(start + zstd_safe::compress_bound(input.len()), 0);
                let target = out.get_mut(start..).unwrap_or_default();
                let level = self.level.unwrap_or(zstd_safe::CLEVEL_DEFAULT);
                let size = context
                    .compress(target, input, level)
                    .map_err(|code| fail(zstd_safe::get_error_name(code).to_owned()))?;
                out.truncate(start + size);
            }
        }
        Ok(())
    }
}

fn snap_xerial(input: &[u8], out: &mut Vec<u8>) -> Result<(), snap::Error> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK) {
        let packed = encoder.compress_vec(block)?;
        out.extend_from_slice(&i32::try_from(packed.len()).unwrap_or(i32::MAX).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
