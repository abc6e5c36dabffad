//! An HTTP proxy before an S3 server that injects faults: refusals, time-outs before and after the effect, cut bodies,
//! wrong bytes, old lists, slowness.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server answers with this status and does nothing.
    Status(u16),
    /// The connection ends before the server saw the request.
    LostRequest,
    /// The server does what it was asked to; its answer is lost.
    LostAnswer,
    /// The answer ends in the middle of its body.
    CutBody,
    /// A byte of the answer's body is another one.
    WrongByte,
    /// A list is answered with what the same list was before.
    StaleList,
    /// The answer comes late.
    Slow(Duration),
}

/// Faults that a store with good manners shows, none of which may lose or double anything.
pub const ALL: [Fault; 9] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(409),
    Fault::LostRequest,
    Fault::LostAnswer,
    Fault::CutBody,
    Fault::WrongByte,
    Fault::StaleList,
    Fault::Slow(Duration::from_millis(300)),
];

/// A running proxy; it ends with the test process.
#[derive(Debug)]
pub struct StoreFaults {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    random: AtomicU64,
    /// Of so many requests one is hit, 0 for none.
    one_in: AtomicUsize,
    faults: Mutex<Vec<Fault>>,
    injected: AtomicUsize,
    requests: AtomicUsize,
    lists: Mutex<HashMap<String, Vec<u8>>>,
}

impl StoreFaults {
    /// A proxy before the server on this port.
    pub fn start(upstream: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream,
            random: AtomicU64::new(seed | 1),
            one_in: AtomicUsize::new(0),
            faults: Mutex::default(),
            injected: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            lists: Mutex::default(),
        });
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let inside = Arc::clone(&inside);
                std::thread::spawn(move || inside.serve(client).unwrap_or_default());
            }
        });
        Self { port, shared }
    }

    /// Port of the proxy.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on one of so many requests meets one of these faults.
    pub fn inject(&self, faults: &[Fault], one_in: usize) {
        *self.shared.faults.lock().unwrap() = faults.to_vec();
        self.shared.one_in.store(one_in, Ordering::SeqCst);
    }

    /// Faults that were injected.
    pub fn injected(&self) -> usize {
        self.shared.injected.load(Ordering::SeqCst)
    }

    /// Requests that came.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

struct Message {
    head: String,
    body: Vec<u8>,
}

fn read_message(from: &mut BufReader<TcpStream>, has_body: impl Fn(&str) -> bool) -> Option<Message> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; if has_body(&head) { length } else { 0 }];
    from.read_exact(&mut body).ok()?;
    Some(Message { head, body })
}

impl Shared {
    fn next(&self) -> u64 {
        // xorshift: the seed makes a run repeatable as far as the order of requests is.
        let step = |mut n: u64| {
            n ^= n << 13;
            n ^= n >> 7;
            n ^ (n << 17)
        };
        self.random.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(step(n))).unwrap()
    }

    fn choose(&self, request: &str) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let one_in = self.one_in.load(Ordering::SeqCst) as u64;
        if one_in == 0 || !self.next().is_multiple_of(one_in) {
            return None;
        }
        let faults = self.faults.lock().unwrap().clone();
        let fault = faults[(self.next() % faults.len() as u64) as usize];
        let list = request.contains("list-type=2");
        let get = request.starts_with("GET ");
        let fits = match fault {
            Fault::StaleList => list,
            // Lists have no digest; what a reader takes from them it looks at again.
            Fault::WrongByte => get && !list,
            // A conflict is an answer to a conditional create only.
            Fault::Status(409) => request.to_ascii_lowercase().contains("if-none-match"),
            _ => true,
        };
        fits.then(|| {
            self.injected.fetch_add(1, Ordering::SeqCst);
            fault
        })
    }

    fn serve(&self, client: TcpStream) -> Option<()> {
        let mut from_client = BufReader::new(client.try_clone().ok()?);
        let mut to_client = client;
        while let Some(request) = read_message(&mut from_client, |_| true) {
            let fault = self.choose(&request.head);
            match fault {
                Some(Fault::LostRequest) => break,
                Some(Fault::Status(status)) => {
                    let answer = format!("HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\n\r\n");
                    to_client.write_all(answer.as_bytes()).ok()?;
                    continue;
                }
                _ => {}
            }
            let first = request.head.lines().next().unwrap_or_default().to_owned();
            let no_body = first.starts_with("HEAD ");
            let mut server = TcpStream::connect(("127.0.0.1", self.upstream)).ok()?;
            server.write_all(request.head.as_bytes()).ok()?;
            server.write_all(&request.body).ok()?;
            let mut answer = read_message(&mut BufReader::new(server), |head| !no_body && !head.contains(" 204 "))?;
            if first.contains("list-type=2") {
                let whole = [answer.head.as_bytes(), &answer.body].concat();
                let before = self.lists.lock().unwrap().insert(first, whole);
                if let (Some(Fault::StaleList), Some(before)) = (fault, before) {
                    to_client.write_all(&before).ok()?;
                    continue;
                }
            }
            match fault {
                Some(Fault::LostAnswer) => break,
                Some(Fault::CutBody) if !answer.body.is_empty() => {
                    to_client.write_all(answer.head.as_bytes()).ok()?;
                    to_client.write_all(&answer.body[..answer.body.len() / 2]).ok()?;
                    break;
                }
                Some(Fault::WrongByte) if !answer.body.is_empty() => {
                    let place = (self.next() % answer.body.len() as u64) as usize;
                    answer.body[place] ^= 0x20;
                }
                Some(Fault::Slow(pause)) => std::thread::sleep(pause),
                _ => {}
            }
            to_client.write_all(answer.head.as_bytes()).ok()?;
            to_client.write_all(&answer.body).ok()?;
        }
        drop(to_client.shutdown(Shutdown::Both));
        Some(())
    }
}
