//! The way of one source partition into several target partitions: record by record.

use std::collections::{BTreeMap, HashMap};

use archive::ReadBatch;
use batch::{Compressor, Decompressor, Outgoing, RawBatch, Selected, encode_selected, select_records};
use bytes::Bytes;
use contract::Failure;

use super::space::Turn;
use super::{Rules, codec_of, lies_inside};
use crate::restore::route::Route;

/// Plain bytes that are dealt out together: each target gets batches of its part of them.
const TOGETHER: usize = super::space::SMALL;

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
/// As [`super::transform`].
pub(crate) fn deal(
    share: &ReadBatch,
    rules: &Rules,
    route: &Route,
    skip: &HashMap<i32, u64>,
) -> Result<Vec<Dealt>, Failure> {
    let mut dealing = Dealing { share, rules, route, skip, out: BTreeMap::new() };
    let mut decompressor = Decompressor::default();
    let mut together: Vec<(&RawBatch, Bytes)> = Vec::new();
    let mut bytes = 0;
    for batch in share.batches.iter().filter(|batch| !rules.window.misses(&batch.header)) {
        let (plain, turn): (_, Turn<'_>) = match rules.space.unpack(batch, &mut decompressor) {
            Ok(unpacked) => unpacked,
            Err(error) => {
                rules.unreadable(share.partition, batch, &error)?;
                continue;
            }
        };
        if bytes + plain.len() > TOGETHER {
            dealing.encode(&std::mem::take(&mut together))?;
            bytes = 0;
        }
        bytes += plain.len();
        together.push((batch, plain));
        if turn.is_some() {
            dealing.encode(&std::mem::take(&mut together))?;
            bytes = 0;
        }
    }
    dealing.encode(&together)?;
    Ok(dealing.out.into_values().collect())
}

struct Dealing<'a> {
    share: &'a ReadBatch,
    rules: &'a Rules,
    route: &'a Route,
    skip: &'a HashMap<i32, u64>,
    out: BTreeMap<i32, Dealt>,
}

impl Dealing<'_> {
    fn encode(&mut self, together: &[(&RawBatch, Bytes)]) -> Result<(), Failure> {
        let Some((first, _)) = together.first() else { return Ok(()) };
        let (rules, offsets) = (self.rules, self.share.from..self.share.until);
        let mut by_target: BTreeMap<i32, Vec<Selected<'_>>> = BTreeMap::new();
        for (batch, plain) in together {
            let mut selected = Vec::new();
            match select_records(&batch.header, plain, rules.window, &mut selected) {
                Ok(deltas) => rules.note_deltas(self.share.partition, batch, deltas),
                Err(error) => {
                    rules.unreadable(self.share.partition, batch, &error)?;
                    continue;
                }
            }
            let whole = lies_inside(batch, &offsets);
            for record in selected.into_iter().filter(|r| whole || batch.header.takes(r.offset, &offsets)) {
                let target = self.route.of_record(self.share.partition, record.offset, record.record.key);
                by_target.entry(target).or_default().push(record);
            }
        }
        let mut compressor = Compressor::new(codec_of(first)?, None);
        for (partition, records) in by_target {
            let dealt = self.out.entry(partition).or_insert(Dealt { partition, batches: Vec::new(), skipped: 0 });
            let skip = self.skip.get(&partition).copied().unwrap_or(0) - dealt.skipped;
            let left_out = usize::try_from(skip).unwrap_or(usize::MAX).min(records.len());
            let rest = records.get(left_out..).unwrap_or_default();
            let made = encode_selected(rest, rules.offset_headers(), rules.limit, rules.max_records, &mut compressor);
            dealt.batches.extend(made.map_err(|error| rules.not_encoded(self.share.partition, first, &error))?);
            dealt.skipped += left_out as u64;
        }
        Ok(())
    }
}
