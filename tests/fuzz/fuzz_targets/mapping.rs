//! Offset mappings never panic their reader, nor whoever looks for an offset in one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (head, text) = data.split_at(data.len().min(8));
    let offset = head.iter().fold(0i64, |sum, byte| (sum << 8) | i64::from(*byte));
    let _ = runner::documents::is_offset_mapping(text, "t", &[offset, 0, i64::MIN, i64::MAX]);
});
