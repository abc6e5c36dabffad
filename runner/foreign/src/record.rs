//! A record as the archive holds it, and what the old tool added to it. Pure.

use batch::Header;

use crate::fault::Fault;

/// Most bytes of one record: brokers take no larger ones unless they are told otherwise, and it is held twice.
pub(crate) const LARGEST_RECORD: usize = 64 << 20;

/// The headers that a backup adds behind a record's own.
const OFFSET: &[u8] = b"x-original-offset";
const TIMESTAMP: &[u8] = b"x-original-timestamp";
const CLUSTER: &[u8] = b"x-source-cluster";

/// A record, borrowed from what was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset in the source.
    pub offset: i64,
    /// Milliseconds; of topics with append time it is the producer's.
    pub timestamp: i64,
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: Vec<Header<'a>>,
}

/// What a marker of a transaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
}

impl<'a> Record<'a> {
    /// Reads the bytes behind a record's length. What follows the last header is left alone: nobody wrote it yet.
    pub(crate) fn parse(bytes: &'a [u8], number: u64) -> Result<Self, Fault> {
        let mut rest = Rest { bytes, number };
        let (timestamp, offset) = (rest.i64()?, rest.i64()?);
        let (key, value) = (rest.nullable()?, rest.nullable()?);
        let count = rest.u16()?;
        let mut headers = Vec::new();
        for _ in 0..count {
            let length = usize::from(rest.u16()?);
            headers.push(Header { key: rest.take(length)?, value: rest.nullable()? });
        }
        if offset < 0 || offset == i64::MAX {
            return Err(Fault::Record { number, what: "has an offset that no record has" });
        }
        Ok(Self { offset, timestamp, key, value, headers })
    }

    /// How many headers at the end were added by the backup: they repeat the record's own offset and timestamp.
    pub(crate) fn added_headers(&self) -> usize {
        let is = |header: &Header<'_>, name: &[u8], number: i64| {
            header.key == name && header.value == Some(number.to_le_bytes().as_slice())
        };
        let pair = |pair: &[Header<'_>]| match pair {
            [offset, timestamp] => is(offset, OFFSET, self.offset) && is(timestamp, TIMESTAMP, self.timestamp),
            _ => false,
        };
        let ends = |behind: usize| {
            let end = self.headers.len().checked_sub(behind)?;
            self.headers.get(end.checked_sub(2)?..end)
        };
        let has_cluster = self.headers.last().is_some_and(|last| last.key == CLUSTER);
        match (has_cluster, ends(1), ends(0)) {
            (true, Some(found), _) if pair(found) => 3,
            (_, _, Some(found)) if pair(found) => 2,
            _ => 0,
        }
    }

    /// The marker that it looks like; a record of an application can look the same.
    pub(crate) fn marker(&self) -> Option<Marker> {
        let own = self.headers.len() - self.added_headers();
        let (Some([0, 0, 0, kind]), Some([0, 0, epoch, ..])) = (self.key, self.value) else { return None };
        let is_value = self.value.is_some_and(|value| value.len() == 6) && *epoch < 0x80;
        match (own, is_value, kind) {
            (0, true, 0) => Some(Marker::Abort),
            (0, true, 1) => Some(Marker::Commit),
            _ => None,
        }
    }
}

struct Rest<'a> {
    bytes: &'a [u8],
    number: u64,
}

impl<'a> Rest<'a> {
    fn cut(&self) -> Fault {
        Fault::Record { number: self.number, what: "ends before its last field" }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| self.cut())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let cut = self.cut();
        self.take(N)?.try_into().map_err(|_| cut)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_le_bytes)
    }

    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match i32::from_le_bytes(self.array()?) {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length).map(Some),
                Err(_) => Err(Fault::Record { number: self.number, what: "has a negative length" }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>, headers: Vec<Header<'a>>) -> Record<'a> {
        Record { offset: 7, timestamp: 9, key, value, headers }
    }

    #[test]
    fn only_headers_that_repeat_the_record_are_the_tools_own() {
        let (seven, nine) = (7i64.to_le_bytes(), 9i64.to_le_bytes());
        let header = |key: &'static [u8], value: &'static [u8]| Header { key, value: Some(value) };
        let offset = Header { key: OFFSET, value: Some(&seven) };
        let timestamp = Header { key: TIMESTAMP, value: Some(&nine) };
        let own = header(b"a", b"b");
        let added = |headers: &[Header<'_>]| record(None, None, headers.to_vec()).added_headers();
        assert_eq!(added(&[own, offset, timestamp]), 2);
        assert_eq!(added(&[offset, timestamp, header(CLUSTER, b"c")]), 3);
        assert_eq!(added(&[offset, timestamp, own]), 0, "an application put its own behind");
        assert_eq!(added(&[Header { value: Some(&nine), ..offset }, timestamp]), 0, "another record's offset");
        assert_eq!(added(&[offset, timestamp, offset, timestamp]), 2, "those of an earlier restore stay");
        assert_eq!((added(&[timestamp]), added(&[])), (0, 0));
    }

    #[test]
    fn markers_are_told_from_records_by_all_of_their_bytes() {
        let marker = |key: &'static [u8], value: &'static [u8]| record(Some(key), Some(value), Vec::new()).marker();
        assert_eq!(marker(&[0, 0, 0, 0], &[0, 0, 0, 0, 0, 3]), Some(Marker::Abort));
        assert_eq!(marker(&[0, 0, 0, 1], &[0, 0, 0, 0, 0, 3]), Some(Marker::Commit));
        assert_eq!(marker(&[0, 0, 0, 2], &[0, 0, 0, 0, 0, 3]), None);
        assert_eq!(marker(&[0, 0, 0, 1], &[0, 0, 0, 0, 0]), None);
        assert_eq!(marker(&[0, 0, 0, 1], &[0, 1, 0, 0, 0, 3]), None);
        assert_eq!(marker(&[0, 0, 0, 1], &[0, 0, 0x80, 0, 0, 3]), None);
        let own = vec![Header { key: b"a", value: None }];
        assert_eq!(record(Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 3]), own).marker(), None);
        assert_eq!(record(Some(&[0, 0, 0, 1]), None, Vec::new()).marker(), None);
    }
}
