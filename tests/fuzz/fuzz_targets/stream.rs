//! A batch that is read record by record takes no more memory than it is allowed, whatever it unpacks to.
#![no_main]

const LARGEST: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(batch) = batch::RawBatch::parse(bytes::Bytes::copy_from_slice(data)) else { return };
    let (Ok(mut records), mut room) = (batch::RecordStream::new(&batch), Vec::new()) else { return };
    while let Ok(Some(_)) = records.advance() {
        drop(records.record(LARGEST, &mut room));
        assert!(room.capacity() <= 4 * LARGEST);
    }
});
