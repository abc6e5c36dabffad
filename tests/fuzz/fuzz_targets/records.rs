//! Decompression and record decoding never panic and stay within their limit.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    const LIMIT: usize = 1 << 20;
    let Some((codec, data)) = data.split_first() else { return };
    let Some(codec) = batch::Codec::from_id(codec % 5) else { return };
    let mut plain = Vec::new();
    if batch::Decompressor::default().decompress(codec, data, LIMIT, &mut plain).is_ok() {
        assert!(plain.len() <= LIMIT);
    }
    if let Ok(header) = batch::BatchHeader::parse(data) {
        for record in batch::RecordIter::new(&header, &plain).flatten() {
            assert!(record.headers().count() <= data.len());
        }
    }
});
