//! A TCP proxy before a broker that can hold back what clients send and let it go much later.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

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
        let (mut from_broker, mut to_client) = (broker.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || drop(std::io::copy(&mut from_broker, &mut to_client)));
        let shared = Arc::clone(self);
        std::thread::spawn(move || shared.carry(client, broker));
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
            drop(broker.shutdown(std::net::Shutdown::Both));
            return;
        };
        let released = self.released.lock().unwrap();
        drop(self.release.wait_while(released, |released| !*released).unwrap());
        drop(broker.write_all(&kept));
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
}
