//! Processes that tests start: servers that end when the test does, signals, and the servers' programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A process that ends when this test process ends, however that happens: a shell holds the other end of a pipe.
#[derive(Debug)]
pub struct Guarded {
    shell: Child,
    /// Process id.
    pub pid: u32,
}

impl Guarded {
    /// Starts a command; its output goes to a file.
    pub fn spawn(command: &Command, log: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "log=$1; shift; \"$@\" < /dev/null > \"$log\" 2>&1 & echo $!; cat > /dev/null; kill -9 $! 2> /dev/null; wait", "sh"]);
        shell.arg(log).arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh runs");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { shell, pid: line.trim().parse().unwrap() }
    }

    /// Waits until something listens on a port of this machine.
    pub fn listens(self, port: u16, log: &Path) -> Self {
        self.listens_at("127.0.0.1", port, log)
    }

    /// The same for another address of this machine.
    pub fn listens_at(self, host: &str, port: u16, log: &Path) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((host, port)).is_err() {
            let log = fs::read_to_string(log).unwrap_or_default();
            assert!(alive(self.pid) && Instant::now() < deadline, "the server did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self
    }

    /// Sends a signal and waits until the process is gone; it may have ended by itself.
    pub fn end(mut self, name: &str) {
        if alive(self.pid) {
            signal(self.pid, name);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while alive(self.pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}

/// A folder that goes when this test process ends, however that happens: a shell holds the other end of a pipe.
/// Servers in statics are never dropped, and their data would stay.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    /// Its standard input closes with this value.
    _shell: Child,
}

impl Scratch {
    /// A new folder whose name begins like this.
    pub fn new(prefix: &str) -> Self {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().unwrap().keep();
        let mut shell = Command::new("sh");
        // Servers that write there end in the same moment.
        shell.args(["-c", "trap '' INT TERM; cat > /dev/null; sleep 2; rm -rf \"$1\"", "sh"]).arg(&dir);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { dir, _shell: shell.spawn().expect("sh runs") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

/// Whether a process runs. One that ended and that nobody waited for yet is a zombie: state Z.
pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A port that is free and that no other call of this process gets; so is the one after it, as etcd takes two. They lie
/// below the range from which the system takes ports of outgoing connections: one of those could take a port before a
/// server does.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 13_000..30_000;
    // Processes begin at different places.
    let start = std::process::id().wrapping_mul(61);
    for _ in PORTS.step_by(2) {
        let next =
            start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)).wrapping_mul(2) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + next).unwrap();
        if [port, port + 1].iter().all(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()) {
            return port;
        }
    }
    panic!("no port is free");
}

/// Runs the fetch script and returns the path that it prints.
pub fn fetch(what: &[&str]) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/fetch.sh");
    let output = Command::new(script).args(what).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "fetching {what:?} failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Sends a signal to one process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}
