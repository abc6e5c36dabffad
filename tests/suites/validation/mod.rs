//! What the suite of validations damages archives with, and a service on this machine that is asked by HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::{Digest, Entry};
use serde_json::Value;

/// Changes one byte of a file; a negative place counts from its end.
pub fn flip(path: PathBuf, at: isize) -> PathBuf {
    let mut bytes = std::fs::read(&path).unwrap();
    let place = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
    bytes[place] ^= 0x20;
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Makes the newest seal of a set count a record more than its segments hold, with all digests right.
pub fn wrong_count(set: &Path) -> PathBuf {
    let mut entries: Vec<_> = harness::runner::files(&set.join("log")).into_iter().map(|(path, _)| path).collect();
    entries.sort();
    let path = entries.pop().unwrap();
    let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let mut entry = Entry::decode("the seal", number, &std::fs::read(&path).unwrap()).unwrap();
    entry.seal.as_mut().unwrap().partitions[0].committed += 1;
    let bytes = entry.encode().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let hint = set.join("points").join(&entry.point);
    let stored = std::fs::read(&hint).unwrap();
    let plain = zstd::decode_all(stored.as_slice()).unwrap_or(stored);
    let mut document: Value = serde_json::from_slice(&plain).unwrap();
    document["digest"] = Digest::of(&bytes).0.into();
    std::fs::write(hint, document.to_string()).unwrap();
    path
}

/// A service that answers POST requests one after the other, the last answer for ever.
pub struct Hook {
    port: u16,
    got: Arc<Mutex<Vec<Value>>>,
    alive: Arc<Mutex<bool>>,
}

impl Hook {
    /// One with these answers: status and body.
    pub fn start(answers: &[(u16, &str)]) -> Self {
        let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Self::serve(Some(answers))
    }

    /// One that takes requests and never answers.
    pub fn silent() -> Self {
        Self::serve(None)
    }

    fn serve(answers: Option<Vec<(u16, String)>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (got, alive): (Arc<Mutex<Vec<Value>>>, _) = (Arc::default(), Arc::new(Mutex::new(true)));
        let hook =
            Self { port: listener.local_addr().unwrap().port(), got: Arc::clone(&got), alive: Arc::clone(&alive) };
        std::thread::spawn(move || {
            let mut parts = Vec::new();
            for stream in listener.incoming() {
                if !*alive.lock().unwrap() {
                    return;
                }
                let mut stream = stream.unwrap();
                let Some(body) = read_request(&stream) else { continue };
                let place = got.lock().unwrap().len();
                got.lock().unwrap().push(body);
                match &answers {
                    None => parts.push(stream),
                    Some(answers) => {
                        let (status, body) = &answers[place.min(answers.len() - 1)];
                        let length = body.len();
                        let head =
                            format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                        drop(stream.write_all(format!("{head}{body}").as_bytes()));
                    }
                }
            }
        });
        hook
    }

    /// Its address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// The documents that it got.
    pub fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        *self.alive.lock().unwrap() = false;
        // Wakes the one that listens, so that it looks.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn read_request(stream: &TcpStream) -> Option<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
