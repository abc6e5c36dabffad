//! LZ4 frames: compressed straight from the input into the output.
//!
//! The library's own frame writer copies every byte twice on its way. The format is that of the LZ4 frame format
//! description, version 1.6.1: independent blocks, and no checksum but the header's, as Kafka's clients write them.

use lz4_flex::block::{CompressError, compress_into, get_maximum_output_size};

/// Largest decompressed size of a frame's blocks, and the header of such frames: magic number, flags, block size code, and
/// the second byte of the XXH32 of those two.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockSize {
    bytes: usize,
    header: [u8; 7],
}

/// Blocks of 64 KiB, as Java's producer makes them.
pub(super) const SMALL: BlockSize = BlockSize { bytes: 64 << 10, header: [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82] };
/// Blocks of 1 MiB: the match table is cleared less often.
pub(super) const LARGE: BlockSize = BlockSize { bytes: 1 << 20, header: [0x04, 0x22, 0x4d, 0x18, 0x60, 0x60, 0x51] };
/// Set in a block's length when its bytes are not compressed.
const PLAIN: u32 = 1 << 31;

/// Appends a frame.
pub(super) fn compress(input: &[u8], size: BlockSize, out: &mut Vec<u8>) -> Result<(), CompressError> {
    out.extend_from_slice(&size.header);
    for block in input.chunks(size.bytes) {
        let start = out.len();
        out.resize(start + 4 + get_maximum_output_size(block.len()), 0);
        let target = out.get_mut(start + 4..).unwrap_or_default();
        let packed = compress_into(block, target)?;
        let length = if packed < block.len() {
            out.truncate(start + 4 + packed);
            packed as u32
        } else {
            out.truncate(start + 4);
            out.extend_from_slice(block);
            block.len() as u32 | PLAIN
        };
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize as Size, FrameEncoder, FrameInfo};

    use super::*;

    /// The library's own frames have the same headers.
    #[test]
    fn headers_are_those_of_the_library() {
        for (ours, theirs) in [(SMALL, Size::Max64KB), (LARGE, Size::Max1MB)] {
            let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(theirs);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&[7; 100]).unwrap();
            let expected = encoder.finish().unwrap();
            let mut frame = Vec::new();
            compress(&[7; 100], ours, &mut frame).unwrap();
            assert_eq!(frame, expected);
        }
    }
}
