//! Requests that no client library here makes, sent as they are: what brokers take, a backup meets one day.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends one batch whose records have these offset deltas, and their place in the batch as value, to partition 0 of a
/// topic; the header counts offsets as brokers want it. Returns the broker's error code.
pub fn produce_with_deltas(bootstrap: &str, topic: &str, deltas: &[i32]) -> i16 {
    let mut records = Vec::new();
    for (number, delta) in deltas.iter().enumerate() {
        let value = format!("odd {number}");
        let mut body = vec![0, 0];
        varint(&mut body, i64::from(*delta));
        varint(&mut body, -1);
        varint(&mut body, value.len() as i64);
        body.extend(value.as_bytes());
        body.push(0);
        varint(&mut records, body.len() as i64);
        records.extend(body);
    }
    let count = i32::try_from(deltas.len()).unwrap();
    let mut covered = vec![0, 0];
    covered.extend((count - 1).to_be_bytes());
    covered.extend(crate::load::T0.to_be_bytes());
    covered.extend(crate::load::T0.to_be_bytes());
    covered.extend([0xff; 8 + 2 + 4]);
    covered.extend(count.to_be_bytes());
    covered.extend(records);
    let mut batch = 0i64.to_be_bytes().to_vec();
    batch.extend(u32::try_from(covered.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    send(bootstrap, topic, &batch)
}

/// Produce, version 8.
fn send(bootstrap: &str, topic: &str, batch: &[u8]) -> i16 {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let mut request = [0, 0, 0, 8, 0, 0, 0, 1].to_vec();
    request.extend(text("raw"));
    request.extend([0xff; 4]); // no transactional id, acks -1
    request.extend(30_000i32.to_be_bytes());
    request.extend(1i32.to_be_bytes());
    request.extend(text(topic));
    request.extend(1i32.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    request.extend(u32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);
    // Correlation id, one topic with its name, one partition with its number.
    code(&exchange(bootstrap, &request), 4 + 4 + 2 + topic.len() + 4 + 4)
}

/// Commits an offset of partition 0 of a topic for a group without members, whatever its id: client libraries refuse an empty
/// one. Returns the broker's error code.
pub fn commit(bootstrap: &str, group: &str, topic: &str, offset: i64) -> i16 {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let mut request = [0, 8, 0, 2, 0, 0, 0, 1].to_vec(); // OffsetCommit, version 2
    request.extend(text("raw"));
    request.extend(text(group));
    request.extend([0xff; 4]); // no generation
    request.extend(text("")); // no member
    request.extend([0xff; 8]); // kept as long as the broker keeps offsets
    request.extend(1i32.to_be_bytes());
    request.extend(text(topic));
    request.extend(1i32.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    request.extend(offset.to_be_bytes());
    request.extend(text(""));
    // Correlation id, one topic with its name, one partition with its number.
    code(&exchange(bootstrap, &request), 4 + 4 + 2 + topic.len() + 4 + 4)
}

/// Joins a streams group (KIP-1071) whose topology reads one topic, as the first heartbeat of a client does. Its member stays
/// until its session ends, which is 45 s later. Returns the broker's error code.
pub fn join_streams_group(bootstrap: &str, group: &str, client: &str, topic: &str) -> i16 {
    // Lengths and counts are one more than what they count (KIP-482).
    let word = |text: &str| [&[u8::try_from(text.len() + 1).unwrap()], text.as_bytes()].concat();
    let (no_list, no_tags) = ([1], [0]);
    let mut request = [0, 88, 0, 0, 0, 0, 0, 1].to_vec(); // StreamsGroupHeartbeat, version 0
    request.extend(u16::try_from(client.len()).unwrap().to_be_bytes());
    request.extend(client.as_bytes());
    request.extend(no_tags);
    request.extend(word(group));
    request.extend(word(&format!("member of {group}")));
    request.extend([0; 4 + 4]); // it joins, and knows no endpoints
    request.extend([0, 0]); // no instance, no rack
    request.extend(45_000i32.to_be_bytes());
    request.extend([1, 0, 0, 0, 0, 2]); // a topology of epoch 0 with one subtopology
    request.extend(word("0"));
    request.push(2);
    request.extend(word(topic));
    request.extend([no_list; 5].concat());
    request.extend([no_tags; 2].concat());
    request.extend([no_list; 3].concat()); // it has no tasks yet
    request.extend(word("process"));
    request.push(0xff); // no endpoint
    request.extend(no_list); // no tags of the client
    request.extend([0, 0, 0]); // no offsets, and the application goes on
    request.extend(no_tags);
    // Correlation id, tags, throttle time.
    code(&exchange(bootstrap, &request), 4 + 1 + 4)
}

fn code(answer: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(answer[at..at + 2].try_into().unwrap())
}

fn exchange(bootstrap: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1)))
    };
    !bytes.iter().fold(!0, step)
}
