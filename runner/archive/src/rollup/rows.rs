//! Index rows as bytes: each row as differences to the one before, in variable-length numbers. FORMAT.md, "Roll-ups".

use crate::entry::SegmentRow;
use crate::{ArchiveError, entry};

/// Encodes sorted rows.
#[derive(Debug, Default)]
pub(crate) struct RowWriter {
    before: Option<SegmentRow>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u32,
}

impl RowWriter {
    /// Appends a row.
    pub(crate) fn push(&mut self, row: &SegmentRow) {
        let zero = entry::empty_row();
        let before = self.before.as_ref().unwrap_or(&zero);
        let numbers = [
            zigzag(i64::from(row.topic) - i64::from(before.topic)),
            zigzag(i64::from(row.partition) - i64::from(before.partition)),
            zigzag(i64::from(row.segment) - i64::from(before.segment)),
            u64::from(row.timeline),
            zigzag(row.first.wrapping_sub(before.next)),
            zigzag(row.next.wrapping_sub(row.first)),
            row.bytes,
            row.records,
            zigzag(row.records.cast_signed().wrapping_sub(row.committed.cast_signed())),
            zigzag(row.max_timestamp.wrapping_sub(before.max_timestamp)),
            zigzag(row.max_timestamp.wrapping_sub(row.min_timestamp)),
            u64::from(row.min_exact),
        ];
        for number in numbers {
            put(&mut self.bytes, number);
        }
        self.rows += 1;
        self.before = Some(row.clone());
    }
}

/// Decodes what [`RowWriter`] wrote.
#[derive(Debug, Clone)]
pub(crate) struct RowReader {
    before: SegmentRow,
    bytes: Vec<u8>,
    at: usize,
    left: u32,
}

impl RowReader {
    pub(crate) fn new(bytes: Vec<u8>, rows: u32) -> Self {
        Self { before: entry::empty_row(), bytes, at: 0, left: rows }
    }

    /// Bytes that its rows take.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether no row is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next row; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<&SegmentRow>, ArchiveError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut numbers = [0u64; 12];
        for number in &mut numbers {
            *number = self.take()?;
        }
        let [topic, partition, segment, timeline, first, next, bytes, records, rolled_back, max, min, exact] = numbers;
        let row = &mut self.before;
        row.topic = shifted(row.topic, topic);
        row.partition = row.partition.wrapping_add(unzigzag(partition) as i32);
        row.segment = shifted(row.segment, segment);
        row.timeline = timeline as u32;
        row.first = row.next.wrapping_add(unzigzag(first));
        row.next = row.first.wrapping_add(unzigzag(next));
        (row.bytes, row.records) = (bytes, records);
        row.committed = records.wrapping_sub(unzigzag(rolled_back).cast_unsigned());
        row.max_timestamp = row.max_timestamp.wrapping_add(unzigzag(max));
        row.min_timestamp = row.max_timestamp.wrapping_sub(unzigzag(min));
        row.min_exact = exact != 0;
        Ok(Some(&self.before))
    }

    fn take(&mut self) -> Result<u64, ArchiveError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte =
                *self.bytes.get(self.at).ok_or_else(|| ArchiveError::damaged("roll-up", "a page ends in a row"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ArchiveError::damaged("roll-up", "a number is too long"))
    }
}

fn shifted(before: u32, delta: u64) -> u32 {
    before.wrapping_add_signed(unzigzag(delta) as i32)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = SegmentRow> {
        let numbers = (any::<u32>(), any::<i32>(), any::<u32>(), any::<u32>());
        let places = (any::<i64>(), any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>());
        (numbers, places, any::<i64>(), any::<i64>(), any::<bool>()).prop_map(|(a, b, max, min, exact)| SegmentRow {
            topic: a.0,
            partition: a.1,
            segment: a.2,
            timeline: a.3,
            first: b.0,
            next: b.1,
            bytes: b.2,
            records: b.3,
            committed: b.4,
            max_timestamp: max,
            min_timestamp: min,
            min_exact: exact,
        })
    }

    proptest! {
        #[test]
        fn rows_come_back(rows in proptest::collection::vec(row(), 0..50)) {
            let mut writer = RowWriter::default();
            for row in &rows {
                writer.push(row);
            }
            let mut reader = RowReader::new(writer.bytes, writer.rows);
            for row in &rows {
                prop_assert_eq!(reader.next().unwrap(), Some(row));
            }
            prop_assert_eq!(reader.next().unwrap(), None);
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), rows in 0u32..100) {
            let mut reader = RowReader::new(bytes, rows);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
