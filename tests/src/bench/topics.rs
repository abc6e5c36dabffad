//! Topics for the benchmark: the same bytes in every run.

use std::fmt::Write as _;

use crate::load::{self, Make, T0};

/// Partitions of topics whose speed is measured.
pub const PARTITIONS: i32 = 4;

/// Makes a topic of records that look like events, spread over its partitions.
pub fn fill(bootstrap: &str, topic: &str, partitions: i32, size: usize, records: i64, codec: &str) {
    load::create(bootstrap, topic, partitions, 1, &[]);
    let batch = if partitions > 100 { "65536" } else { "1000000" };
    let settings = [("batch.size", batch), ("linger.ms", "50"), ("compression.type", codec)];
    let make = |n: i64| Make {
        key: None,
        timestamp: Some(T0 + n),
        value: Some(event(n, size)),
        ..Make::new(n, i32::try_from(n % i64::from(partitions)).unwrap())
    };
    load::produce(bootstrap, topic, &settings, (0..records).map(make));
}

/// Text about as compressible as events are: names repeat, half of the values do not.
pub fn event(n: i64, size: usize) -> Vec<u8> {
    let mut value = format!("{{\"id\":{n},\"user\":\"{:x}\",\"amount\":{}}}", n.wrapping_mul(0x9e37_79b9), n % 977);
    let mut state = n.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(value, ",\"field-{}\":\"{:08x}\"", state % 40, state >> 32).unwrap();
    }
    value.truncate(size);
    value.into_bytes()
}
