//! A broker that lies about lengths and counts, or fills an answer with nothing: requests end with an error that names the
//! limit, and the process keeps its memory. Each test runs in a process of its own with a limit on its memory.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{RequestKind, ResponseKind};
use wire::{Cluster, Request, WireError};

use crate::script::{Ask, Kafka, Reply, asked_for, half, metadata, options, versions, versions_of};

/// Address space of such a process.
const MIB: u64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(300);
const BROKERS: &[(i32, u16)] = &[(1, 1)];

/// Runs one of the ignored tests below in a process that may take [`MIB`].
fn within(test: &str) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {}; exec \"$0\" \"$@\"", MIB << 10)])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("lies::{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        // Each arena of the allocator reserves addresses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    #[allow(clippy::disallowed_methods)] // of another process, whose clock is real
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("{test} did not end in {DEADLINE:?}: {:?}", child.wait());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{test}: {status}");
}

fn honest(ask: &Ask) -> Reply {
    match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => {
            let names = asked_for(ask);
            metadata(BROKERS, &names.iter().map(|name| (name.as_str(), 0, &[1][..])).collect::<Vec<_>>())
        }
        RequestKind::FindCoordinator(_) => {
            use kafka_protocol::messages::FindCoordinatorResponse;
            use kafka_protocol::messages::find_coordinator_response::Coordinator;
            let coordinator = Coordinator::default()
                .with_key("g".into())
                .with_node_id(1.into())
                .with_host("kafka".into())
                .with_port(1);
            let answer = FindCoordinatorResponse::default().with_coordinators(vec![coordinator]);
            Reply::Answer(ResponseKind::FindCoordinator(answer))
        }
        other => panic!("unexpected {other:?}"),
    }
}

/// A frame of `length` bytes: its head, then `begin`, then `fill` again and again.
fn filled(length: usize, begin: &[u8], fill: &[u8]) -> Reply {
    let mut bytes = i32::try_from(length).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(begin);
    bytes.extend(fill.iter().copied().cycle().take(length + 4 - bytes.len()));
    Reply::Raw(bytes)
}

/// A number in its variable-length form.
fn number(mut number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 128 {
        out.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

fn few() -> contract::ConnectionSpec {
    contract::ConnectionSpec { retry_deadline_ms: 1_000, ..options() }
}

/// What comes of a question for a topic to which the broker answers this, after the one with which the client begins.
async fn topics(lie: impl Fn() -> Reply + Send + Sync + 'static, newest: i16) -> WireError {
    let kafka = Kafka::new(move |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions_of(Request::ALL.iter().map(|request| match request {
            Request::Metadata => (request.key(), (0, newest)),
            _ => (request.key(), request.versions()),
        })),
        RequestKind::Metadata(_) if ask.nth > 0 => lie(),
        _ => honest(ask),
    });
    let cluster: Arc<Cluster> = kafka.connect(few()).await;
    cause(cluster.topics(Some(&["t".to_owned()])).await.unwrap_err())
}

fn cause(error: WireError) -> WireError {
    match error {
        WireError::Deadline { last, .. } => *last,
        other => other,
    }
}

#[test]
fn a_lying_broker_takes_no_memory() {
    for test in ["lengths", "counts", "nothing"] {
        within(test);
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "runs in a process of its own"]
async fn lengths() {
    // Every version of the answer that a broker may choose; those without flexible fields are small.
    for (newest, most) in [(12, 64 << 20), (9, 64 << 20), (8, 4 << 20), (4, 4 << 20)] {
        let error = topics(move || half(i32::try_from(most + 1).unwrap(), 4), newest).await;
        let WireError::AnswerTooLarge { request: Request::Metadata, bytes, most: told, .. } = &error else {
            panic!("version {newest}: {error}")
        };
        assert_eq!((*bytes, *told), (most + 1, most));
        assert!(error.to_string().contains(&format!("at most {most} are read")), "{error}");
    }
    // Offsets of a group.
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::OffsetFetch(_) => half((16 << 20) + 1, 4),
        _ => honest(ask),
    });
    let cluster = kafka.connect(few()).await;
    let group = wire::Group { id: "g".into(), kind: "classic".into(), state: "Empty".into() };
    let patience = wire::CoordinatorPatience::new(Duration::from_secs(1));
    let error = cause(cluster.group_offsets(&group, &patience).await.unwrap_err());
    assert!(matches!(error, WireError::AnswerTooLarge { request: Request::OffsetFetch, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
#[ignore = "runs in a process of its own"]
async fn counts() {
    // No tagged fields in the head, no throttle, and a list of brokers as long as the answer has bytes.
    let begin = [&[0, 0, 0, 0, 0][..], &number(33_554_432)].concat();
    let error = topics(move || filled(48 << 20, &begin, &[0]), 12).await;
    assert!(matches!(error, WireError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("a list of 33554431 elements; at most 1048576 are read"), "{error}");
    // The same in a version with plain counts, where an answer is small.
    let begin = [&[0, 0, 0, 0][..], &3_000_000i32.to_be_bytes()].concat();
    let error = topics(move || filled(4 << 20, &begin, &[0]), 8).await;
    assert!(matches!(error, WireError::Protocol { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
#[ignore = "runs in a process of its own"]
async fn nothing() {
    // One topic after the other, each with as many empty partitions as a list may have, up to the limit.
    let partitions = 1u32 << 20;
    let mut begin = vec![0, 0, 0, 0, 0, 1, 0];
    begin.extend_from_slice(&[0xff; 4]); // the controller
    begin.extend_from_slice(&number(4));
    let mut topic = vec![0, 0, 2, b't'];
    topic.extend_from_slice(&[0; 17]);
    topic.extend_from_slice(&number(partitions + 1));
    // Error, index, leader, epoch, three empty lists, no tagged fields.
    topic.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0].repeat(partitions as usize));
    topic.extend_from_slice(&[0x80, 0, 0, 0, 0]);
    let body = [begin, topic.repeat(3), vec![0]].concat();
    assert!(body.len() < 64 << 20);
    let kafka = Kafka::new(move |ask| match &ask.request {
        RequestKind::Metadata(_) if ask.nth == 1 => filled(body.len() + 4, &body, &[0]),
        _ => honest(ask),
    });
    let cluster = kafka.connect(few()).await;
    let topics = cluster.topics(Some(&["t".to_owned()])).await.unwrap();
    assert_eq!(topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 3 << 20);
}
