//! Archived batches become batches for the target: copied where nothing changes, else re-encoded. Pure CPU.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use archive::ReadBatch;
use batch::{
    BatchError, Codec, Compressor, Decompressor, OffsetHeaders, Outgoing, RawBatch, Selected, Window, can_copy,
    encode_selected, payload, select_records,
};

use super::route::Route;

/// Batches smaller than this are merged with their neighbours.
const MERGE_BELOW: usize = 64 << 10;

/// How batches are changed.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) window: Window,
    /// Append offset headers.
    pub(crate) headers: bool,
    /// Value of `x-source-cluster`.
    pub(crate) source_cluster: Option<String>,
    /// Most bytes of a batch.
    pub(crate) limit: usize,
    /// Most records of a batch that is not copied.
    pub(crate) max_records: usize,
}

/// Transforms batches of one partition with source offsets in `offsets`, leaving out the first `skip` records that
/// would come out. Returns the batches and how many records were left out.
///
/// # Errors
/// When a batch cannot be decoded, or a single record exceeds the limit.
pub(crate) fn transform(
    batches: &[RawBatch],
    offsets: Range<i64>,
    rules: &Rules,
    skip: u64,
) -> Result<(Vec<Outgoing>, u64), BatchError> {
    let mut work = Work { rules, offsets, left: skip, decompressor: Decompressor::default(), out: Vec::new() };
    let mut group: Vec<&RawBatch> = Vec::new();
    let mut group_bytes = 0;
    for batch in batches.iter().filter(|batch| !rules.window.misses(&batch.header)) {
        let whole = work.unchanged(batch);
        let fits = batch.bytes.len() <= rules.limit;
        if whole && fits && batch.bytes.len() >= MERGE_BELOW {
            work.flush(&mut group)?;
            group_bytes = 0;
            work.out.push(Outgoing::new(batch));
            continue;
        }
        let same_codec =
            group.last().is_none_or(|last| last.header.attributes.codec() == batch.header.attributes.codec());
        if !same_codec || group_bytes + batch.bytes.len() > rules.limit {
            work.flush(&mut group)?;
            group_bytes = 0;
        }
        group_bytes += batch.bytes.len();
        group.push(batch);
    }
    work.flush(&mut group)?;
    Ok((work.out, skip - work.left))
}

/// Records of one share for one target partition.
#[derive(Debug)]
pub(crate) struct Dealt {
    pub(crate) partition: i32,
    pub(crate) batches: Vec<Outgoing>,
    /// Records that were left out at the beginning.
    pub(crate) skipped: u64,
}

/// Deals the records of one source partition out to target partitions; of each, the first `skip` are left out.
///
/// # Errors
/// As [`transform`].
pub(crate) fn deal(
    share: &ReadBatch,
    rules: &Rules,
    route: &Route,
    skip: &HashMap<i32, u64>,
) -> Result<Vec<Dealt>, BatchError> {
    let batches: Vec<_> = share.batches.iter().filter(|batch| !rules.window.misses(&batch.header)).collect();
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let codec = first.header.attributes.codec().unwrap_or(Codec::None);
    let mut decompressor = Decompressor::default();
    let mut payloads = Vec::with_capacity(batches.len());
    for batch in &batches {
        payloads.push(payload(batch, &mut decompressor, batch::PAYLOAD_LIMIT)?);
    }
    let mut selected: Vec<Selected<'_>> = Vec::new();
    for (batch, bytes) in batches.iter().zip(&payloads) {
        select_records(&batch.header, bytes, rules.window, &mut selected)?;
    }
    let mut by_target: BTreeMap<i32, Vec<Selected<'_>>> = BTreeMap::new();
    for record in selected.into_iter().filter(|record| (share.from..share.until).contains(&record.offset)) {
        let target = route.of_record(share.partition, record.offset, record.record.key);
        by_target.entry(target).or_default().push(record);
    }
    let mut compressor = Compressor::new(codec, None);
    let mut out = Vec::new();
    for (partition, records) in by_target {
        let left_out = usize::try_from(skip.get(&partition).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        let left_out = left_out.min(records.len());
        let rest = records.get(left_out..).unwrap_or_default();
        let batches = encode_selected(rest, rules.offset_headers(), rules.limit, rules.max_records, &mut compressor)?;
        out.push(Dealt { partition, batches, skipped: left_out as u64 });
    }
    Ok(out)
}

impl Rules {
    fn offset_headers(&self) -> Option<OffsetHeaders<'_>> {
        self.headers.then_some(OffsetHeaders { source_cluster: self.source_cluster.as_deref() })
    }
}

struct Work<'a> {
    rules: &'a Rules,
    offsets: Range<i64>,
    left: u64,
    decompressor: Decompressor,
    out: Vec<Outgoing>,
}

impl Work<'_> {
    /// Whether every record of the batch goes out as it is.
    fn unchanged(&self, batch: &RawBatch) -> bool {
        let header = &batch.header;
        let inside = header.base_offset >= self.offsets.start && header.last_offset() < self.offsets.end;
        let all_wanted = self.left == 0 && inside && self.rules.window.covers(header);
        !self.rules.headers && all_wanted && can_copy(header)
    }

    /// Encodes the batches of a group together; a batch that stands alone and needs no change is copied.
    fn flush(&mut self, group: &mut Vec<&RawBatch>) -> Result<(), BatchError> {
        let group = std::mem::take(group);
        if let [single] = group.as_slice()
            && self.unchanged(single)
            && single.bytes.len() <= self.rules.limit
        {
            self.out.push(Outgoing::new(single));
            return Ok(());
        }
        let Some(first) = group.first() else { return Ok(()) };
        let codec = first.header.attributes.codec().unwrap_or(Codec::None);
        let mut payloads = Vec::with_capacity(group.len());
        for batch in &group {
            payloads.push(payload(batch, &mut self.decompressor, batch::PAYLOAD_LIMIT)?);
        }
        let mut selected: Vec<Selected<'_>> = Vec::new();
        for (batch, bytes) in group.iter().zip(&payloads) {
            select_records(&batch.header, bytes, self.rules.window, &mut selected)?;
        }
        selected.retain(|record| self.offsets.contains(&record.offset));
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(selected.len());
        self.left -= skipped as u64;
        let selected = selected.get(skipped..).unwrap_or_default();
        let headers = self.rules.offset_headers();
        let mut compressor = Compressor::new(codec, None);
        self.out.extend(encode_selected(selected, headers, self.rules.limit, self.rules.max_records, &mut compressor)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
