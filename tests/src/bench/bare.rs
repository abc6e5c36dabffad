//! Yardsticks: loops as bare as they can be, over one connection per partition, in Kafka's protocol written by hand.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a file before it is synced and the next one begins, as in a segment.
const FILE: usize = 128 << 20;
const ANSWER: i32 = 8 << 20;

struct Wire {
    stream: TcpStream,
}

impl Wire {
    fn connect(bootstrap: &str) -> Self {
        let stream = TcpStream::connect(bootstrap).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Sends a request without client id and returns the answer after its correlation id.
    fn call(&mut self, api: i16, version: i16, body: &[&[u8]]) -> Vec<u8> {
        let length: usize = 10 + body.iter().map(|part| part.len()).sum::<usize>();
        let mut head = Vec::with_capacity(14);
        head.extend_from_slice(&i32::try_from(length).unwrap().to_be_bytes());
        head.extend_from_slice(&api.to_be_bytes());
        head.extend_from_slice(&version.to_be_bytes());
        head.extend_from_slice(&7i32.to_be_bytes());
        head.extend_from_slice(&(-1i16).to_be_bytes());
        self.stream.write_all(&head).unwrap();
        for part in body {
            self.stream.write_all(part).unwrap();
        }
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer).unwrap();
        answer.split_off(4)
    }
}

fn string(text: &str) -> Vec<u8> {
    let mut out = i16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

fn number(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn small(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Fetches a partition up to `end` and writes its batches to files, each synced; returns the bytes.
fn fetch_partition(bootstrap: &str, topic: &str, partition: i32, end: i64, dir: &Path) -> u64 {
    let mut wire = Wire::connect(bootstrap);
    let (mut offset, mut bytes, mut files, mut in_file) = (0i64, 0u64, 0, 0);
    let open = |files: i32| File::create(dir.join(format!("{partition}-{files}"))).unwrap();
    let mut file = open(files);
    while offset < end {
        let mut body = Vec::new();
        for value in [-1i32, 500, 1, ANSWER] {
            body.extend_from_slice(&value.to_be_bytes());
        }
        body.push(1);
        body.extend_from_slice(&1i32.to_be_bytes());
        body.extend_from_slice(&string(topic));
        body.extend_from_slice(&1i32.to_be_bytes());
        body.extend_from_slice(&partition.to_be_bytes());
        body.extend_from_slice(&offset.to_be_bytes());
        body.extend_from_slice(&ANSWER.to_be_bytes());
        let answer = wire.call(1, 4, &[&body]);
        // throttle, topics, name, partitions, then: partition, error, high watermark, last stable offset, aborted.
        let at = 8 + 2 + topic.len() + 4;
        assert_eq!(answer[at + 4..at + 6], [0, 0], "{topic}/{partition}");
        let aborted = usize::try_from(small(&answer, at + 22).max(0)).unwrap();
        let start = at + 26 + aborted * 16 + 4;
        let mut place = start;
        while place + 61 <= answer.len() {
            let size = 12 + usize::try_from(small(&answer, place + 8)).unwrap();
            if place + size > answer.len() {
                break;
            }
            offset = number(&answer, place) + i64::from(small(&answer, place + 23)) + 1;
            place += size;
        }
        file.write_all(&answer[start..place]).unwrap();
        bytes += (place - start) as u64;
        in_file += place - start;
        if in_file >= FILE {
            file.sync_all().unwrap();
            files += 1;
            in_file = 0;
            file = open(files);
        }
    }
    file.sync_all().unwrap();
    bytes
}

/// Fetches a whole topic, a thread per partition; returns bytes and time.
pub fn fetch(bootstrap: &str, topic: &str, ends: &[i64], dir: &Path) -> (u64, Duration) {
    let started = Instant::now();
    let bytes = std::thread::scope(|scope| {
        let each = |(partition, end): (usize, &i64)| {
            let (partition, end) = (i32::try_from(partition).unwrap(), *end);
            scope.spawn(move || fetch_partition(bootstrap, topic, partition, end, dir))
        };
        let all: Vec<_> = ends.iter().enumerate().map(each).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (bytes, started.elapsed())
}

/// Produces the batches that [`fetch`] wrote, one in flight per partition, all acknowledgements; returns the time.
pub fn produce(bootstrap: &str, topic: &str, partitions: usize, dir: &Path) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for partition in 0..partitions {
            scope.spawn(move || {
                let mut wire = Wire::connect(bootstrap);
                let files = (0..).map(|n| dir.join(format!("{partition}-{n}"))).take_while(|file| file.exists());
                let files: Vec<PathBuf> = files.collect();
                for file in files {
                    let mut file = BufReader::with_capacity(1 << 20, File::open(file).unwrap());
                    let mut head = [0; 12];
                    while file.read_exact(&mut head).is_ok() {
                        let size = usize::try_from(small(&head, 8)).unwrap();
                        let mut batch = vec![0; 12 + size];
                        batch[8..12].copy_from_slice(&head[8..12]);
                        file.read_exact(&mut batch[12..]).unwrap();
                        produce_one(&mut wire, topic, i32::try_from(partition).unwrap(), &batch);
                    }
                }
            });
        }
    });
    started.elapsed()
}

fn produce_one(wire: &mut Wire, topic: &str, partition: i32, batch: &[u8]) {
    let mut body = (-1i16).to_be_bytes().to_vec();
    body.extend_from_slice(&(-1i16).to_be_bytes());
    body.extend_from_slice(&30_000i32.to_be_bytes());
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&string(topic));
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&partition.to_be_bytes());
    body.extend_from_slice(&i32::try_from(batch.len()).unwrap().to_be_bytes());
    let answer = wire.call(0, 3, &[&body, batch]);
    let at = 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "{topic}/{partition}");
}
