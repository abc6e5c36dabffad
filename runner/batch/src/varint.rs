//! Bounded reads of fixed and zig-zag variable-length integers, and their writers (protocol guide, "varint").

use crate::BatchError;

/// A cursor over a slice that never reads past its end.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], BatchError> {
        let end = self.position.checked_add(len).filter(|end| *end <= self.bytes.len());
        let slice = end.and_then(|end| self.bytes.get(self.position..end));
        let slice = slice.ok_or(BatchError::Truncated { position: self.bytes.len(), what })?;
        self.position += len;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BatchError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub(crate) fn i8(&mut self, what: &'static str) -> Result<i8, BatchError> {
        Ok(i8::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i16(&mut self, what: &'static str) -> Result<i16, BatchError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, BatchError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, BatchError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, BatchError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn varlong(&mut self, what: &'static str) -> Result<i64, BatchError> {
        varlong(what, self.position, || {
            let byte = *self.bytes.get(self.position).ok_or(BatchError::Truncated { position: self.position, what })?;
            self.position += 1;
            Ok(byte)
        })
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<i32, BatchError> {
        let start = self.position;
        let value = self.varlong(what)?;
        i32::try_from(value).map_err(|_| BatchError::Invalid { what, position: start })
    }

    /// A length that must not be negative.
    pub(crate) fn length(&mut self, what: &'static str) -> Result<usize, BatchError> {
        let start = self.position;
        usize::try_from(self.varint(what)?).map_err(|_| BatchError::Invalid { what, position: start })
    }

    /// Bytes with a length before them; a length of -1 means null.
    pub(crate) fn nullable(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, BatchError> {
        let start = self.position;
        match self.varint(what)? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| BatchError::Invalid { what, position: start })?;
                self.take(len, what).map(Some)
            }
        }
    }

    pub(crate) fn slice(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.position).unwrap_or_default()
    }
}

/// Reads a zig-zag varint that begins at `start`, byte by byte.
#[inline]
pub(crate) fn varlong(
    what: &'static str,
    start: usize,
    mut next: impl FnMut() -> Result<u8, BatchError>,
) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(BatchError::Invalid { what, position: start })
}

/// Appends a zig-zag varint (32 and 64 bit values have one encoding).
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put_varint`] would append.
pub(crate) fn varint_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(Reader::new(&out).varlong("value").unwrap(), value);
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_refused() {
        assert!(Reader::new(&[0xff; 11]).varlong("value").is_err());
        assert!(Reader::new(&[0x80]).varlong("value").is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).varint("value").is_err());
    }
}
