use batch::{BatchMeta, Codec, Compressor, encode_batch};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// A batch that covers these offsets, with one record at its first.
fn batch(first: i64, last: i64) -> Vec<u8> {
    let meta =
        BatchMeta { base_offset: first, base_timestamp: 0, max_timestamp: 0, producer: (-1, -1, -1), records: 1 };
    let mut bytes = encode_batch(&meta, &[12, 0, 0, 0, 1, 1, 0], &mut Compressor::new(Codec::None, None)).unwrap();
    bytes[23..27].copy_from_slice(&i32::try_from(last - first).unwrap().to_be_bytes());
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// CRC32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

fn part(records: Vec<u8>, stable: i64) -> FetchedPartition {
    FetchedPartition {
        spot: 0,
        error: 0,
        high_watermark: stable.max(1_000),
        last_stable_offset: stable,
        log_start_offset: 0,
        diverging: None,
        preferred_replica: None,
        aborted: Vec::new(),
        records: Bytes::from(records),
    }
}

fn asked(offset: i64, target: i64) -> Asked {
    Asked { offset, target, stable: 0, joined: false, alone: None }
}

fn next(meaning: &Meaning) -> Option<i64> {
    match meaning {
        Meaning::Records(found) => Some(found.next.offset),
        Meaning::NothingBefore(before) => Some(before.offset),
        _ => None,
    }
}

#[test]
fn a_hole_below_the_target_ends_the_partition() {
    // Compaction left nothing between 90 and the target 100; the answer begins behind it.
    assert_eq!(next(&meaning(asked(90, 100), &part(batch(100, 120), 500))), Some(100));
    assert_eq!(next(&meaning(asked(90, 100), &part(batch(300, 320), 500))), Some(100));
    let both = [batch(90, 91), batch(300, 320)].concat();
    let Meaning::Records(found) = meaning(asked(90, 100), &part(both, 500)) else { panic!("no records") };
    assert_eq!((found.taken.len(), found.next.offset), (1, 100));
}

#[test]
fn only_what_is_read_to_the_last_stable_offset_is_held() {
    assert!(matches!(meaning(asked(10, 100), &part(vec![], 50)), Meaning::Waiting));
    assert!(matches!(meaning(asked(49, 100), &part(vec![], 50)), Meaning::Waiting));
    assert!(matches!(meaning(asked(50, 100), &part(vec![], 50)), Meaning::Held));
    assert!(matches!(meaning(asked(10, 100), &part(vec![], -1)), Meaning::Waiting));
    assert!(matches!(meaning(asked(10, 50), &part(vec![], 50)), Meaning::Waiting));
    assert!(matches!(meaning(asked(50, i64::MAX), &part(vec![], 50)), Meaning::UpToDate));
    assert!(matches!(meaning(asked(10, i64::MAX), &part(vec![], 50)), Meaning::Waiting));
}

#[test]
fn a_log_that_ends_below_the_target_is_not_held_by_transactions() {
    let answer = |stable, end| FetchedPartition { high_watermark: end, ..part(vec![], stable) };
    assert!(matches!(meaning(asked(50, 100), &answer(50, 50)), Meaning::Short(50)));
    assert!(matches!(meaning(asked(50, 100), &answer(50, 51)), Meaning::Held));
    assert!(matches!(meaning(asked(40, 100), &answer(50, 50)), Meaning::Waiting));
    assert!(matches!(meaning(asked(50, i64::MAX), &answer(50, 50)), Meaning::UpToDate));
    // Consumers saw up to 70 when the run began: a transaction does not take that back.
    let seen = Asked { stable: 70, ..asked(50, 100) };
    assert!(matches!(meaning(seen, &answer(50, 100)), Meaning::Short(100)));
    assert!(matches!(meaning(Asked { offset: 70, ..seen }, &answer(70, 100)), Meaning::Held));
}

#[test]
fn a_batch_that_is_cut_off_is_asked_for_whole_and_a_length_that_cannot_be_is_damage() {
    let whole = batch(5, 9);
    let size = whole.len();
    let cut = whole[..size - 1].to_vec();
    assert!(matches!(meaning(asked(5, 100), &part(cut.clone(), 50)), Meaning::TooLarge(wanted) if wanted == size));
    let alone = |most| Asked { alone: Some(most), ..asked(5, 100) };
    assert!(matches!(meaning(alone(size - 1), &part(cut.clone(), 50)), Meaning::TooLarge(_)));
    assert!(matches!(meaning(alone(size), &part(cut.clone(), 50)), Meaning::Damaged(_)));
    let mut huge = cut;
    huge[8] = 0x7f;
    assert!(matches!(meaning(asked(5, 100), &part(huge, 50)), Meaning::Damaged(_)));
}

#[test]
fn two_batches_that_name_one_offset_are_damage() {
    // The base offset of a batch is not under its checksum. Here 107 to 156 was 100 to 149.
    let answer = [batch(50, 99), batch(107, 156), batch(150, 199)].concat();
    assert_eq!(next(&meaning(asked(50, 300), &part(answer, 300))), Some(100));
    let rest = [batch(107, 156), batch(150, 199)].concat();
    let Meaning::Damaged(damage) = meaning(asked(100, 300), &part(rest, 300)) else { panic!("no damage") };
    assert_eq!((damage.error, damage.next_base), (batch::ORDER, Some(150)));
    // In answers of their own the second one shows it, and only behind a batch that was stored.
    let second = batch(150, 199);
    let joined = Asked { joined: true, ..asked(157, 300) };
    let Meaning::Damaged(damage) = meaning(joined, &part(second.clone(), 300)) else { panic!("no damage") };
    assert_eq!((damage.error, damage.next_base), (batch::ORDER, Some(200)));
    assert_eq!(next(&meaning(asked(157, 300), &part(second.clone(), 300))), Some(200));
    assert_eq!(next(&meaning(Asked { offset: 150, ..joined }, &part(second, 300))), Some(200));
}

#[test]
fn damage_counts_only_when_nothing_sound_stands_before_it() {
    let mut bad = batch(20, 29);
    bad[40] ^= 1;
    let answer = [batch(10, 19), bad.clone(), batch(35, 39)].concat();
    assert_eq!(next(&meaning(asked(10, 100), &part(answer.clone(), 50))), Some(20));
    let Meaning::Damaged(damage) = meaning(asked(20, 100), &part(answer[batch(0, 0).len()..].to_vec(), 50)) else {
        panic!("no damage")
    };
    assert_eq!(damage.next_base, Some(35));
}

#[test]
fn records_of_open_transactions_prove_where_the_next_batch_is() {
    assert_eq!(first_batch(90, &part(batch(100, 120), 100)).map(|next| next.offset), Some(100));
    assert_eq!(first_batch(90, &part(batch(90, 120), 100)), None);
    assert_eq!(first_batch(95, &part(batch(90, 120), 100)), None);
    assert_eq!(first_batch(90, &part(vec![], 100)), None);
}

proptest! {
    /// Reading a generated log to its end stores each batch below the target once and ends where the rules say,
    /// however the answers are cut and whatever answers are empty.
    #[test]
    fn every_batch_below_the_target_is_read_once(
        sizes in prop::collection::vec((1i64..6, 0i64..5), 0..30),
        stable_part in 0.0f64..=1.0,
        target_part in 0.0f64..=1.0,
        per_answer in prop::collection::vec(0usize..4, 1..20),
    ) {
        let mut log = Vec::new();
        let mut end = 0;
        for (length, hole) in sizes {
            log.push((end + hole, end + hole + length - 1));
            end += hole + length;
        }
        let place = |part: f64| (part * end as f64) as i64;
        // The last stable offset and the target lie at the start of a batch or at the end.
        let at_batch = |offset: i64| log.iter().map(|(first, _)| *first).find(|first| *first >= offset).unwrap_or(end);
        let (stable, target) = (at_batch(place(stable_part)), at_batch(place(target_part)));
        let mut position = 0;
        let mut read = Vec::new();
        let mut cuts = per_answer.iter().cycle();
        let mut rounds = 0;
        while position < target {
            rounds += 1;
            prop_assert!(rounds < 1_000, "no end at {position}");
            let most = *cuts.next().unwrap() + usize::from(rounds % 7 == 0);
            let visible = log.iter().filter(|(first, last)| *last >= position && *first < stable);
            let records = visible.take(most).flat_map(|(first, last)| batch(*first, *last)).collect();
            match meaning(asked(position, target), &part(records, stable)) {
                Meaning::Records(found) => {
                    read.extend(found.taken.iter().map(|b| b.header.base_offset));
                    prop_assert!(found.next.offset > position);
                    position = found.next.offset;
                }
                Meaning::NothingBefore(before) => {
                    prop_assert!(before.offset > position);
                    position = before.offset;
                }
                // What the reader does about an answer without records: it asks for records of any kind.
                Meaning::Waiting => {
                    let any = log.iter().filter(|(_, last)| *last >= position).take(1);
                    let records = any.flat_map(|(first, last)| batch(*first, *last)).collect();
                    if let Some(next) = first_batch(position, &part(records, stable)) {
                        prop_assert!(log.iter().all(|(first, last)| *last < position || *first >= next.offset));
                        position = next.offset.min(target);
                    }
                }
                Meaning::Held => {
                    prop_assert!(position >= stable);
                    break;
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let wanted: Vec<_> = log.iter().map(|(first, _)| *first).filter(|first| *first < target.min(stable)).collect();
        prop_assert_eq!(read, wanted);
    }
}

/// A follower whose fetcher died has the ends of then: the leader is asked before anybody waits, or gives up.
#[test]
fn ends_of_a_follower_are_not_believed() {
    let stable = |stable| Asked { stable, ..asked(500, 900) };
    let behind = FetchedPartition { high_watermark: 500, ..part(Vec::new(), 500) };
    let short = meaning(stable(900), &behind);
    assert!(matches!(short, Meaning::Short(500)) && short.may_be_of_a_follower());
    let held = meaning(stable(500), &part(Vec::new(), 500));
    assert!(matches!(held, Meaning::Held) && held.may_be_of_a_follower());
    assert!(!meaning(stable(500), &part(batch(500, 510), 600)).may_be_of_a_follower());
}
