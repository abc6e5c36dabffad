//! Which ends of a partition are ours, and which are not.

use super::*;

fn batch(producer: (i64, i16), base_offset: i64, sequence: i32, records: i32) -> BatchHeader {
    let meta = batch::BatchMeta {
        base_offset,
        base_timestamp: 1,
        max_timestamp: 1,
        producer: (producer.0, producer.1, sequence),
        records,
    };
    let bytes = batch::encode_batch(&meta, &[0; 50], &mut batch::Compressor::new(batch::Codec::None, None)).unwrap();
    BatchHeader::parse(&bytes).unwrap()
}

/// 10 records from offset 100 in the first epoch; the second begins at 112, behind two markers.
fn epochs() -> Vec<Epoch> {
    let epoch = |producer_id, base, start| Epoch { producer_id, number: 0, bases: vec![base], starts: vec![start] };
    vec![epoch(7, 0, 100), epoch(8, 10, 112)]
}

fn judge(log: (i64, i64), last: Option<BatchHeader>) -> Result<Tail, Code> {
    let stand = Stand { place: 0, start: 100, log: Span { start: log.0, end: log.1 } };
    stand.judge("t/0", &epochs(), last.as_ref(), 0).map_err(|failure| failure.code)
}

/// A coordinator wrote the marker of the fence once more, behind the first records of the epoch.
#[test]
fn markers_between_our_records_are_offsets_without_records() {
    let stand = Stand { place: 0, start: 100, log: Span { start: 0, end: 122 } };
    let last = batch((8, 0), 116, 3, 5);
    assert_eq!(stand.unexplained(&epochs(), &last), Some(Unexplained { range: 112..116, extra: 1, writer: (8, 0) }));
    assert_eq!(stand.judge("t/0", &epochs(), Some(&last), 1).unwrap().done, 18);
    assert_eq!(stand.unexplained(&epochs(), &batch((8, 0), 115, 3, 5)), None, "nothing has to be explained");
    assert_eq!(stand.unexplained(&epochs(), &batch((9, 0), 115, 3, 5)), None, "nothing explains somebody else's");
}

#[test]
fn records_are_counted_by_their_sequence_and_by_their_offsets() {
    assert_eq!(judge((0, 113), Some(batch((7, 0), 105, 5, 5))), Ok(Tail { done: 10, next: 113, named: None }));
    assert_eq!(judge((0, 121), Some(batch((8, 0), 115, 3, 5))), Ok(Tail { done: 18, next: 121, named: None }));
}

#[test]
fn a_record_of_somebody_else_between_ours_is_found() {
    // One record of another producer before the batch: offset 116 where sequence 3 says 115.
    assert_eq!(judge((0, 122), Some(batch((8, 0), 116, 3, 5))), Err(Code::ForeignWriter));
    // A batch of ours is missing.
    assert_eq!(judge((0, 120), Some(batch((8, 0), 114, 3, 5))), Err(Code::ForeignWriter));
    // The last one is not ours at all; or ours, but of an epoch that ended before.
    assert_eq!(judge((0, 121), Some(batch((9, 0), 115, 3, 5))), Err(Code::ForeignWriter));
    assert_eq!(judge((0, 121), Some(batch((7, 0), 112, 10, 5))), Err(Code::ForeignWriter));
    assert_eq!(judge((0, 121), Some(batch((-1, -1), 112, -1, 5))), Err(Code::ForeignWriter));
}

#[test]
fn records_that_are_gone_are_no_reason_to_write_them_again() {
    assert_eq!(judge((113, 113), None), Err(Code::TargetLost));
    assert_eq!(judge((0, 105), Some(batch((7, 0), 100, 0, 5))), Err(Code::TargetLost));
    assert_eq!(judge((103, 113), Some(batch((7, 0), 105, 5, 5))), Err(Code::TargetLost));
    // What the target held before the restore may go.
    assert_eq!(judge((100, 113), Some(batch((7, 0), 105, 5, 5))), Ok(Tail { done: 10, next: 113, named: None }));
}

#[test]
fn sequences_wrap() {
    let epochs = [Epoch { producer_id: 7, number: 0, bases: vec![0], starts: vec![100] }];
    let wrapped = (1i64 << 31) + 20;
    let last = batch((7, 0), 100 + wrapped - 5, 15, 5);
    let stand = Stand { place: 0, start: 100, log: Span { start: 0, end: 100 + wrapped } };
    assert_eq!(stand.judge("t/0", &epochs, Some(&last), 0).unwrap().done, u64::try_from(wrapped).unwrap());
}
