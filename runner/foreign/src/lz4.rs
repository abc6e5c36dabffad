//! LZ4 blocks, read as a stream: a block of gigabytes takes 64 KiB of memory.
//!
//! The format is that of the LZ4 block format description: no frame, no checksum. Four bytes before it say how long the plain
//! bytes are; no number is believed before the bytes for it are there. Pure.

use std::io::{BufRead, Error, Read, Result};

/// How far back a match reaches.
const WINDOW: usize = 64 << 10;
/// The shortest match.
const SHORTEST: u64 = 4;

/// Reads the plain bytes of a block with its length before it.
#[derive(Debug)]
pub(crate) struct Lz4Block<R> {
    input: R,
    /// Plain bytes that are to come; `None` before the length was read.
    left: Option<u64>,
    window: Vec<u8>,
    /// Plain bytes so far.
    done: u64,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Token,
    /// Literals that are left, and the match length of the token.
    Literals(u64, u8),
    /// Distance, and bytes that are left.
    Match(usize, u64),
}

fn broken() -> Error {
    Error::other("the block is damaged")
}

impl<R: BufRead> Lz4Block<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: None, window: vec![0; WINDOW], done: 0, step: Step::Token }
    }

    fn byte(&mut self) -> Result<u8> {
        let mut one = [0];
        self.input.read_exact(&mut one)?;
        Ok(u8::from_le_bytes(one))
    }

    /// A length of which the token has the beginning.
    fn length(&mut self, begins: u8, most: u64) -> Result<u64> {
        let mut length = u64::from(begins);
        if begins == 15 {
            loop {
                let more = self.byte()?;
                length += u64::from(more);
                if length > most {
                    return Err(broken());
                }
                if more < 255 {
                    break;
                }
            }
        }
        Ok(length)
    }

    fn begin(&mut self) -> Result<u64> {
        if let Some(left) = self.left {
            return Ok(left);
        }
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let left = u64::from(u32::from_le_bytes(length));
        self.left = Some(left);
        Ok(left)
    }

    fn keep(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = (self.done % WINDOW as u64) as usize;
            if let Some(slot) = self.window.get_mut(place) {
                *slot = *byte;
            }
            self.done += 1;
        }
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
    }

    fn literals(&mut self, out: &mut [u8], left: u64, code: u8) -> Result<usize> {
        let room = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.input.read(out.get_mut(..room).unwrap_or_default())?;
        if read == 0 {
            return Err(broken());
        }
        self.keep(out.get(..read).unwrap_or_default());
        self.step = Step::Literals(left - read as u64, code);
        Ok(read)
    }

    fn copies(&mut self, out: &mut [u8], distance: usize, left: u64) -> usize {
        let room = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        for slot in out.iter_mut().take(room) {
            let from = (self.done.wrapping_sub(distance as u64) % WINDOW as u64) as usize;
            let byte = self.window.get(from).copied().unwrap_or(0);
            *slot = byte;
            self.keep(&[byte]);
        }
        let left = left - room as u64;
        self.step = if left == 0 { Step::Token } else { Step::Match(distance, left) };
        room
    }
}

impl<R: BufRead> Read for Lz4Block<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let left = self.begin()?;
            match self.step {
                Step::Literals(0, _) if left == 0 => return Ok(0),
                Step::Token if left == 0 && self.done == 0 => {
                    // Nothing at all is one token without anything, or not even that.
                    let mut one = [0];
                    return if self.input.read(&mut one)? == 0 || one == [0] { Ok(0) } else { Err(broken()) };
                }
                // Blocks end with literals.
                Step::Token if left == 0 => return Err(broken()),
                Step::Token => {
                    let token = self.byte()?;
                    let literals = self.length(token >> 4, left)?;
                    if literals > left {
                        return Err(broken());
                    }
                    self.step = Step::Literals(literals, token & 0x0f);
                }
                Step::Literals(0, code) => {
                    let distance = usize::from(u16::from_le_bytes([self.byte()?, self.byte()?]));
                    let length = self.length(code, left)? + SHORTEST;
                    if distance == 0 || distance as u64 > self.done || length > left {
                        return Err(broken());
                    }
                    self.step = Step::Match(distance, length);
                }
                Step::Literals(there, code) => return self.literals(out, there, code),
                Step::Match(distance, there) => return Ok(self.copies(out, distance, there)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        Lz4Block::new(packed).read_to_end(&mut out)?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn blocks_of_the_library_come_back(
            parts in proptest::collection::vec((any::<u8>(), 0usize..400, proptest::collection::vec(any::<u8>(), 0..40)), 0..40),
            repeat in 1usize..4,
        ) {
            let once: Vec<u8> = parts.iter().flat_map(|(byte, times, noise)| [vec![*byte; *times], noise.clone()].concat()).collect();
            let plain = once.repeat(repeat);
            prop_assert_eq!(unpacked(&lz4_flex::block::compress_prepend_size(&plain)).unwrap(), plain);
        }

        #[test]
        fn noise_never_panics_and_never_grows_beyond_its_length(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 0u32..5000) {
            let packed = [size.to_le_bytes().to_vec(), bytes].concat();
            if let Ok(plain) = unpacked(&packed) {
                prop_assert_eq!(plain.len(), size as usize);
            }
        }
    }

    #[test]
    fn matches_reach_back_as_far_as_the_format_allows() {
        let noise: Vec<u8> = (0u32..70_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let plain = [noise.clone(), noise].concat();
        assert_eq!(unpacked(&lz4_flex::block::compress_prepend_size(&plain)).unwrap(), plain);
    }

    #[test]
    fn a_block_that_is_cut_is_no_block() {
        let packed = lz4_flex::block::compress_prepend_size(&b"abcabcabcabcabcabcabcabcabcabcabc xyz".repeat(9));
        for end in 0..packed.len() {
            assert!(unpacked(&packed[..end]).is_err(), "cut at {end}");
        }
    }
}
