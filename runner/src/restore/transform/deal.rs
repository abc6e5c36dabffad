//! The way of one source partition into several target partitions: record by record.

use std::collections::{BTreeMap, HashMap};

use archive::ReadBatch;
use batch::{
    BatchError, Compressor, Decompressor, Outgoing, Pieces, RawBatch, Selected, Window, encode_selected, payload,
    select_records,
};
use bytes::Bytes;
use contract::Failure;

use super::{Rules, codec_of, takes};
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
    let window = rules.windows.of((share.topic, share.partition));
    let mut dealing = Dealing { share, rules, window, route, skip, out: BTreeMap::new() };
    let mut decompressor = Decompressor::default();
    let mut together: Vec<(&RawBatch, Bytes)> = Vec::new();
    let mut bytes = 0;
    for batch in share.batches.iter().filter(|batch| !window.misses(&batch.header)) {
        match payload(batch, &mut decompressor, TOGETHER) {
            Ok(plain) => {
                if bytes + plain.len() > TOGETHER {
                    dealing.encode(&std::mem::take(&mut together))?;
                    bytes = 0;
                }
                bytes += plain.len();
                together.push((batch, plain));
            }
            Err(BatchError::TooLarge { .. }) => {
                dealing.encode(&std::mem::take(&mut together))?;
                bytes = 0;
                dealing.alone(batch)?;
            }
            Err(error) => rules.unreadable(share.partition, batch, &error)?,
        }
    }
    dealing.encode(&together)?;
    Ok(dealing.out.into_values().collect())
}

struct Dealing<'a> {
    share: &'a ReadBatch,
    rules: &'a Rules,
    window: Window,
    route: &'a Route,
    skip: &'a HashMap<i32, u64>,
    out: BTreeMap<i32, Dealt>,
}

/// Records by target partition.
type ByTarget<'a> = BTreeMap<i32, Vec<Selected<'a>>>;

impl Dealing<'_> {
    fn encode(&mut self, together: &[(&RawBatch, Bytes)]) -> Result<(), Failure> {
        let Some((first, _)) = together.first() else { return Ok(()) };
        let (rules, offsets) = (self.rules, self.share.from..self.share.until);
        let mut by_target = ByTarget::new();
        for (batch, plain) in together {
            let mut selected = Vec::new();
            match select_records(&batch.header, plain, self.window, &mut selected) {
                Ok(deltas) => rules.note_deltas(self.share.partition, batch, deltas),
                Err(error) => {
                    rules.unreadable(self.share.partition, batch, &error)?;
                    continue;
                }
            }
            self.sort(selected.into_iter().filter(|r| batch.header.takes(r.offset, &offsets)), &mut by_target);
        }
        self.take(by_target, first)
    }

    /// Deals out a batch that unpacks to much, piece by piece.
    fn alone(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        let (rules, window, offsets) = (self.rules, self.window, self.share.from..self.share.until);
        let _turn = rules.space.turn();
        let before: HashMap<i32, (usize, u64)> =
            self.out.iter().map(|(target, dealt)| (*target, (dealt.batches.len(), dealt.skipped))).collect();
        let unreadable = |dealing: &mut Self, error: &BatchError| {
            // Nothing of it was taken.
            dealing.out.retain(|target, _| before.contains_key(target));
            for (target, (batches, skipped)) in &before {
                if let Some(dealt) = dealing.out.get_mut(target) {
                    dealt.batches.truncate(*batches);
                    dealt.skipped = *skipped;
                }
            }
            rules.unreadable(dealing.share.partition, batch, error)
        };
        let mut pieces = match Pieces::new(batch, TOGETHER) {
            Ok(pieces) => pieces,
            Err(error) => return unreadable(self, &error),
        };
        loop {
            let piece = match pieces.next_piece(|place| takes(batch, place, (window, &offsets))) {
                Ok(piece) => piece,
                Err(error) => return unreadable(self, &error),
            };
            if piece.is_empty() {
                break;
            }
            let mut by_target = ByTarget::new();
            self.sort(piece.into_iter(), &mut by_target);
            self.take(by_target, batch)?;
        }
        rules.note_deltas(self.share.partition, batch, pieces.deltas());
        Ok(())
    }

    fn sort<'r>(&self, records: impl Iterator<Item = Selected<'r>>, by_target: &mut ByTarget<'r>) {
        for record in records {
            let target = self.route.of_record(self.share.partition, record.offset, record.record.key);
            by_target.entry(target).or_default().push(record);
        }
    }

    /// Encodes the records of each target, without those that are still to be left out.
    fn take(&mut self, by_target: ByTarget<'_>, first: &RawBatch) -> Result<(), Failure> {
        let rules = self.rules;
        let mut compressor = Compressor::new(codec_of(first)?, None);
        for (partition, records) in by_target {
            let dealt = self.out.entry(partition).or_insert(Dealt { partition, batches: Vec::new(), skipped: 0 });
            let skip = self.skip.get(&partition).copied().unwrap_or(0) - dealt.skipped;
            let left_out = usize::try_from(skip).unwrap_or(usize::MAX).min(records.len());
            let rest = records.get(left_out..).unwrap_or_default();
            let made = encode_selected(rest, rules.header_changes(), rules.limit, rules.max_records, &mut compressor);
            dealt.batches.extend(made.map_err(|error| rules.not_encoded(self.share.partition, first, &error))?);
            dealt.skipped += left_out as u64;
        }
        Ok(())
    }
}
