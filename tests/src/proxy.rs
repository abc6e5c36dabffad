//! A TCP proxy before a broker that injects faults: cut, half-close, delay, swallow, dribble, drop answers, and hold
//! requests back to let them go much later.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What happens to the broker's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answers {
    /// They pass.
    #[default]
    Pass,
    /// They pass after a while.
    Delay(Duration),
    /// They are swallowed; the connection stays open.
    Swallow,
    /// They come byte by byte with this pause, the first 64 bytes of each read; then the rest.
    Dribble(Duration),
    /// Every nth one is left out; the connection stays open.
    DropEvery(usize),
}

/// A running proxy; it ends with the test process.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    upstream: Mutex<u16>,
    holding: AtomicBool,
    released: Mutex<bool>,
    release: Condvar,
    held: AtomicUsize,
    passed: AtomicUsize,
    answered: AtomicUsize,
    answers: Mutex<Answers>,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on `port`; the broker behind it is named later.
    pub fn start(port: u16) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                inside.serve(client);
            }
        });
        Self { shared }
    }

    /// Names the broker's own port.
    pub fn forward_to(&self, port: u16) {
        *self.shared.upstream.lock().unwrap() = port;
    }

    /// From now on bytes that clients of open connections send are kept here; their connections to the broker
    /// stay open, even when the client is gone. Connections made later are not held.
    pub fn hold(&self) {
        self.shared.holding.store(true, Ordering::SeqCst);
    }

    /// Connections made from now on pass again.
    pub fn pass_new(&self) {
        self.shared.holding.store(false, Ordering::SeqCst);
    }

    /// Bytes that clients sent and that went through.
    pub fn passed(&self) -> usize {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Bytes that the broker sent and that went through.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// From now on answers are treated like this.
    pub fn answers(&self, answers: Answers) {
        *self.shared.answers.lock().unwrap() = answers;
    }

    /// Breaks every open connection.
    pub fn cut(&self) {
        self.close(Shutdown::Both);
    }

    /// Ends the answers of every open connection; requests still pass.
    pub fn half_close(&self) {
        self.close(Shutdown::Write);
    }

    fn close(&self, how: Shutdown) {
        for client in self.shared.open.lock().unwrap().drain(..) {
            drop(client.shutdown(how));
        }
    }

    /// Bytes that are held back.
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Sends everything that was held back to the broker.
    pub fn release(&self) {
        *self.shared.released.lock().unwrap() = true;
        self.shared.release.notify_all();
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, client: TcpStream) {
        let port = *self.upstream.lock().unwrap();
        let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let (from_broker, to_client) = (broker.try_clone().unwrap(), client.try_clone().unwrap());
        self.open.lock().unwrap().push(client.try_clone().unwrap());
        let shared = Arc::clone(self);
        std::thread::spawn(move || shared.answer(from_broker, to_client));
        let shared = Arc::clone(self);
        std::thread::spawn(move || shared.carry(client, broker));
    }

    /// Carries one connection's answers, frame by frame.
    fn answer(&self, mut broker: TcpStream, mut client: TcpStream) {
        for number in 1.. {
            let mut length = [0; 4];
            if broker.read_exact(&mut length).is_err() {
                break;
            }
            let mut frame = length.to_vec();
            frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
            if broker.read_exact(&mut frame[4..]).is_err() {
                break;
            }
            let mode = *self.answers.lock().unwrap();
            let written = match mode {
                Answers::Swallow => continue,
                Answers::DropEvery(nth) if number % nth == 0 => continue,
                Answers::Pass | Answers::DropEvery(_) => client.write_all(&frame),
                Answers::Delay(pause) => {
                    std::thread::sleep(pause);
                    client.write_all(&frame)
                }
                Answers::Dribble(pause) => {
                    let (slow, rest) = frame.split_at(frame.len().min(64));
                    let slowly = slow.iter().try_for_each(|byte| {
                        std::thread::sleep(pause);
                        client.write_all(&[*byte])
                    });
                    slowly.and_then(|()| client.write_all(rest))
                }
            };
            if written.is_err() {
                break;
            }
            self.answered.fetch_add(frame.len(), Ordering::SeqCst);
        }
        drop(client.shutdown(Shutdown::Write));
    }

    /// Carries one connection's requests; once it is held, it is held for good.
    fn carry(&self, mut client: TcpStream, mut broker: TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        let mut kept: Option<Vec<u8>> = None;
        loop {
            let read = client.read(&mut buffer).unwrap_or(0);
            if kept.is_none() && self.holding.load(Ordering::SeqCst) {
                kept = Some(Vec::new());
            }
            match &mut kept {
                Some(kept) if read > 0 => {
                    kept.extend_from_slice(&buffer[..read]);
                    self.held.fetch_add(read, Ordering::SeqCst);
                }
                None if read > 0 && broker.write_all(&buffer[..read]).is_ok() => {
                    self.passed.fetch_add(read, Ordering::SeqCst);
                }
                _ => break,
            }
        }
        let Some(kept) = kept else {
            drop(broker.shutdown(Shutdown::Both));
            return;
        };
        let released = self.released.lock().unwrap();
        drop(self.release.wait_while(released, |released| !*released).unwrap());
        drop(broker.write_all(&kept));
        std::thread::sleep(Duration::from_secs(2));
    }
}
