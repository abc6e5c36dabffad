//! An S3 client before a server in this process that answers as real stores do on bad days.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::{Paths, Store, open_briefly, open_store, open_unasked};
use contract::{CircuitBreakerSpec, Code, S3Credentials, StoreSpec, Waits};
use object_store::path::Path;

type Handler = dyn Fn(usize, &str, &mut TcpStream) + Send + Sync;

/// Serves one request per connection; the handler gets its number, its head and the connection.
struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
    secrets: tempfile::TempDir,
}

fn server(handle: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let (handle, count): (Arc<Handler>, _) = (Arc::new(handle), Arc::clone(&requests));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (handle, count) = (Arc::clone(&handle), Arc::clone(&count));
            std::thread::spawn(move || one(stream, &count, &*handle));
        }
    });
    let secrets = tempfile::tempdir().unwrap();
    for name in ["id", "key"] {
        std::fs::write(secrets.path().join(name), "canary").unwrap();
    }
    Server { port, requests, secrets }
}

fn one(mut stream: TcpStream, count: &AtomicUsize, handle: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        head.push_str(&line);
        line.clear();
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    drop(reader.take(length.unwrap_or(0)).read_to_end(&mut Vec::new()));
    handle(count.fetch_add(1, Ordering::SeqCst), &head, &mut stream);
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\nlast-modified: Sat, 31 Jan 2026 08:00:00 GMT\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    drop(stream.write_all(text.as_bytes()));
}

const EMPTY_LIST: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

impl Server {
    fn spec(&self) -> StoreSpec {
        StoreSpec::S3 {
            bucket: "b".into(),
            prefix: String::new(),
            region: "us-east-1".into(),
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            path_style: None,
            allow_http: true,
            tls: None,
            credentials: Some(S3Credentials::Keys {
                access_key_id_file: "id".into(),
                secret_access_key_file: "key".into(),
            }),
        }
    }

    fn paths(&self) -> Paths {
        Paths { secrets: self.secrets.path().into(), volumes: ".".into() }
    }

    fn open(&self, silence: Duration) -> Store {
        let operation_timeout_ms = u64::try_from(silence.as_millis()).unwrap();
        let breaker = CircuitBreakerSpec { operation_timeout_ms, ..CircuitBreakerSpec::default() };
        open_unasked(&self.spec(), &self.paths(), &breaker, &Waits::default()).unwrap()
    }
}

/// With an endpoint alone, too: without it the first folder of a key would be the bucket.
#[tokio::test]
async fn every_request_names_its_bucket() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let server = server(move |_, head: &str, stream: &mut TcpStream| {
        heard.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
        answer(stream, "200 OK", "", EMPTY_LIST);
    });
    let store = server.open(Duration::from_secs(5));
    store.folders(&Path::default()).await.unwrap();
    drop(store.get(&Path::from("orders/set.json")).await);
    let asked = asked.lock().unwrap();
    let is_in_bucket = |line: &String| line.starts_with("GET /b?") || line.starts_with("GET /b/orders/");
    assert!(asked.len() >= 2 && asked.iter().all(is_in_bucket), "{asked:?}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_at_the_first_answer() {
    let body =
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message><Region>eu-west-1</Region></Error>";
    let malformed = move |_: usize, _: &str, stream: &mut TcpStream| answer(stream, "400 Bad Request", "", body);
    let moved = |_: usize, _: &str, stream: &mut TcpStream| {
        answer(stream, "301 Moved Permanently", "x-amz-bucket-region: eu-west-1\r\n", "");
    };
    for server in [server(malformed), server(moved)] {
        let error = open_store(&server.spec(), &server.paths(), &CircuitBreakerSpec::default(), &Waits::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::StoreRefused, "{error}");
        assert!(error.to_string().contains("the bucket is in region eu-west-1"), "{error}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    }
}

/// Whatever is asked for, and whatever the store says of the length of its answer: one that does not end is not read to its
/// end.
#[tokio::test]
async fn an_answer_that_does_not_end_is_not_read_to_its_end() {
    const DATED: &str = "last-modified: Sat, 31 Jan 2026 08:00:00 GMT\r\n";
    let sent = Arc::new(AtomicUsize::new(0));
    let endless = |status: &'static str, headers: &'static str| {
        let sent = Arc::clone(&sent);
        server(move |_, asked, stream| {
            if asked.starts_with("HEAD") {
                return answer(stream, "200 OK", "", "0123456789");
            }
            let head = format!("HTTP/1.1 {status}\r\n{DATED}{headers}\r\n");
            drop(stream.write_all(head.as_bytes()));
            let piece = "x".repeat(64 << 10);
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            while stream.write_all(chunk.as_bytes()).is_ok() {
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        })
    };
    let key = Path::from("k");
    let chunked = "transfer-encoding: chunked\r\n";
    let ranged = "content-length: 3\r\ntransfer-encoding: chunked\r\ncontent-range: bytes 3-5/10\r\n";
    let both = "content-length: 10\r\ntransfer-encoding: chunked\r\n";
    let (list, range, whole, refusal) = (
        endless("200 OK", chunked),
        endless("206 Partial Content", ranged),
        endless("200 OK", both),
        endless("400 Bad Request", chunked),
    );
    let open = |server: &Server| server.open(Duration::from_secs(30));
    let errors = [
        open(&list).folders(&Path::default()).await.unwrap_err(),
        open(&range).get_range(&key, 3..6).await.unwrap_err(),
        open(&whole).get(&key).await.unwrap_err(),
        open(&refusal).get(&key).await.unwrap_err(),
    ];
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("sends more than 33554432 bytes"), "{told:?}");
    assert!(told[1].contains("sends more than the 3 bytes that were asked for"), "{told:?}");
    assert!(told[2].contains("more than the 10 bytes that the store says"), "{told:?}");
    assert_eq!((errors[0].code(), errors[1].code()), (Code::StoreRefused, Code::ArchiveDamaged), "{errors:?}");
    // What is on its way lies in the system's buffers.
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < 100 << 20, "{sent} bytes were taken: {told:?}");
}

/// Each page is as good as any other, and none is the last.
#[tokio::test]
async fn a_listing_that_does_not_end_is_not_kept() {
    let pages = Arc::new(AtomicUsize::new(0));
    let endless = |name: usize| {
        let pages = Arc::clone(&pages);
        server(move |_, _, stream| {
            let page = pages.fetch_add(1, Ordering::SeqCst);
            let folder = "n".repeat(name);
            let prefix = |at| format!("<CommonPrefixes><Prefix>{page}-{at}-{folder}/</Prefix></CommonPrefixes>");
            let all = (0..(8 << 20) / name).map(prefix).collect::<Vec<_>>().concat();
            let next = format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{page}</NextContinuationToken>");
            answer(stream, "200 OK", "", &format!("<ListBucketResult>{next}{all}</ListBucketResult>"));
        })
    };
    let sets = endless(4_000);
    let error = sets.open(Duration::from_secs(30)).folders(&Path::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreRefused, "{error}");
    assert!(error.to_string().contains("more than 64 MiB of names in one folder"), "{error}");
    let asked = pages.load(Ordering::SeqCst);
    assert!((8..12).contains(&asked), "{asked} pages");
}

/// A name that no store takes is not carried on into messages and lists.
#[tokio::test]
async fn a_name_that_is_too_long_is_refused() {
    let list = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>{}/</Prefix></CommonPrefixes></ListBucketResult>",
        "n".repeat(1 << 20)
    );
    let store = server(move |_, _, stream| answer(stream, "200 OK", "", &list));
    let error = store.open(Duration::from_secs(30)).folders(&Path::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreRefused, "{error}");
    assert!(error.to_string().contains("a name of 1048576 bytes") && error.to_string().len() < 300, "{error}");
}

/// Keys, session tokens and data go to the endpoint of the specification and nowhere else.
#[tokio::test]
async fn no_store_sends_a_request_to_another_host() {
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let elsewhere = server(|_, _, stream| answer(stream, "200 OK", "", EMPTY_LIST));
        let location = format!("location: http://127.0.0.1:{}/b\r\n", elsewhere.port);
        let moved = server(move |_, _, stream| answer(stream, status, &location, ""));
        let store = moved.open(Duration::from_secs(5));
        for error in [
            store.folders(&Path::default()).await.unwrap_err(),
            store.get(&Path::from("k")).await.unwrap_err(),
            store.put(&Path::from("k"), "v".into()).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::StoreRefused, "{status}: {error}");
            let there = format!("the bucket is at 127.0.0.1:{}", elsewhere.port);
            assert!(error.to_string().contains(&there), "{status}: {error}");
        }
        assert_eq!(elsewhere.requests.load(Ordering::SeqCst), 0, "{status}");
        assert_eq!(moved.requests.load(Ordering::SeqCst), 3, "{status}");
    }
}

#[tokio::test]
async fn a_failing_gateway_is_one_line_within_the_time_that_somebody_waits() {
    let html = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let server = server(move |_, _, stream| answer(stream, "502 Bad Gateway", "", html));
    let started = tokio::time::Instant::now();
    let error =
        open_briefly(&server.spec(), &server.paths(), Duration::from_secs(2), &Waits::default()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(error.to_string().ends_with("the store answers 502") && !error.to_string().contains('<'), "{error}");
    assert_eq!(error.code(), Code::StoreUnreachable);
}

#[tokio::test]
async fn what_passes_is_asked_again_and_what_is_cut_too() {
    let server = server(|number, _, stream| match number {
        0 => answer(stream, "400 Bad Request", "", "<Error><Code>RequestTimeout</Code></Error>"),
        1 => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<ListBucketResult>")),
        2 => drop(stream.write_all(b"HTTP/1.1 503 Slow\r\ncontent-length: 500\r\n\r\n<Error><Code>Slow")),
        _ => answer(stream, "200 OK", "", EMPTY_LIST),
    });
    let store = server.open(Duration::from_secs(30));
    assert!(store.folders(&Path::default()).await.unwrap().is_empty());
    assert_eq!(server.requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_store_without_ranges_and_etags_is_read_all_the_same() {
    let server = server(|_, _, stream| answer(stream, "200 OK", "", "0123456789"));
    let store = server.open(Duration::from_secs(30));
    assert_eq!(store.get_range(&Path::from("k"), 3..6).await.unwrap(), "345");
    assert_eq!(store.get(&Path::from("k")).await.unwrap().unwrap(), "0123456789");
    // Shorter than the range: damage, not a store that fails.
    assert_eq!(store.get_range(&Path::from("k"), 8..12).await.unwrap_err().code(), Code::ArchiveDamaged);
}

#[tokio::test]
async fn an_answer_that_keeps_coming_may_take_longer_than_silence_may() {
    let server = server(|_, _, stream| {
        drop(stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nlast-modified: Sat, 31 Jan 2026 08:00:00 GMT\r\n\r\n",
        ));
        for digit in 0..10u8 {
            std::thread::sleep(Duration::from_millis(150));
            drop(stream.write_all(&[b'0' + digit]));
        }
    });
    let store = server.open(Duration::from_secs(1));
    assert_eq!(store.get(&Path::from("k")).await.unwrap().unwrap(), "0123456789");
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn silence_ends_a_request_and_the_message_names_the_field() {
    let server = server(|_, _, _| std::thread::sleep(Duration::from_secs(60)));
    let error =
        open_briefly(&server.spec(), &server.paths(), Duration::from_millis(500), &Waits::default()).await.unwrap_err();
    assert!(error.to_string().contains("circuitBreaker.operationTimeoutMs"), "{error}");
    assert_eq!(error.code(), Code::StoreUnreachable);
}

#[tokio::test]
async fn a_missing_bucket_is_not_a_missing_object() {
    let body = "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>";
    let server = server(move |_, _, stream| answer(stream, "404 Not Found", "", body));
    let store = server.open(Duration::from_secs(30));
    let error = store.get(&Path::from("k")).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreMissing, "{error}");
    assert!(error.to_string().contains("create it, or correct the name"), "{error}");
}

/// Uploads are listed page by page below the set's data, with a signature, and ended one by one.
#[tokio::test]
async fn uploads_of_dead_claims_are_listed_and_ended_on_s3() {
    use archive::{Layout, Leftovers};
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = server(move |_, head, stream| {
        let line = head.lines().next().unwrap().to_owned();
        // Before the answer: whoever has it may look.
        seen.lock().unwrap().push(line.clone());
        let key =
            |claim: u64| Layout::new("a&b").segment(claim, "0123456789abcdef", 0).to_string().replace('&', "&amp;");
        let upload = |claim| format!("<Upload><Key>{}</Key><UploadId>id-{claim}</UploadId></Upload>", key(claim));
        let page = |more: &str, uploads: String| {
            format!("<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult>{more}{uploads}</ListMultipartUploadsResult>")
        };
        if line.starts_with("DELETE") {
            answer(stream, "204 No Content", "", "");
        } else if line.contains("key-marker=") {
            answer(stream, "200 OK", "", &page("<IsTruncated>false</IsTruncated>", upload(4) + &upload(5)));
        } else {
            let more = format!(
                "<IsTruncated>true</IsTruncated><NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>id-2</NextUploadIdMarker>",
                key(2)
            );
            answer(stream, "200 OK", "", &page(&more, upload(2)));
        }
    });
    let store = server.open(Duration::from_secs(30));
    assert_eq!(Leftovers::new(store, Layout::new("a&b"), 5).abort().await.unwrap(), 2);
    let asked = asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("GET /b") && asked[0].contains("uploads=&prefix=a%26b%2Fdata%2F"), "{asked:?}");
    assert!(asked[0].contains("X-Amz-Signature=") && asked[1].contains("upload-id-marker=id-2"), "{asked:?}");
    let ended: Vec<_> = asked.iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|line| line.contains("uploadId=id-2") || line.contains("uploadId=id-4")), "{ended:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_to_list_uploads_is_named() {
    use archive::{Layout, Leftovers};
    let body = "<Error><Code>AccessDenied</Code><Message>AKIAIOSFODNN7EXAMPLE may not</Message></Error>";
    let server = server(move |_, _, stream| answer(stream, "403 Forbidden", "", body));
    let store = server.open(Duration::from_secs(30));
    let error = Leftovers::new(store, Layout::new("orders"), 5).abort().await.unwrap_err();
    assert_eq!((error.code(), server.requests.load(Ordering::SeqCst)), (Code::StoreDenied, 1));
    let text = error.to_string();
    assert!(text.starts_with("list the uploads of s3://b/orders/data") && !text.contains("AKIA"), "{text}");
}
