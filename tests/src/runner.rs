//! The runner as users start it: a process with a specification, events on standard output, an exit code.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::signal;

/// Longest time that a command may take.
const LONGEST: Duration = Duration::from_secs(420);

/// A folder with an archive and secrets, and specifications for it.
#[derive(Debug)]
pub struct Bench {
    /// Holds everything.
    pub dir: TempDir,
    /// The `storage` block of specifications.
    pub storage: Value,
    /// Variables of the runner's environment.
    pub environment: Vec<(&'static str, String)>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of a runner that ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The report of a run with `-o json`.
    pub fn report(&self) -> Value {
        let line = self.stdout.lines().rev().find(|line| line.contains("\"event\":\"report\""));
        let line = line.unwrap_or_else(|| panic!("no report in {self:?}"));
        serde_json::from_str::<Value>(line).unwrap()["report"].clone()
    }

    /// Panics unless the run ended well.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the run ended with this error and exit code, and its message has all these words.
    pub fn fails(self, code: &str, exit: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, exit, "{}\n{}", self.stdout, self.stderr);
        let first = self.stderr.lines().find(|line| line.starts_with("error ")).unwrap_or_default();
        assert!(first.starts_with(&format!("error {code}")), "{}", self.stderr);
        for word in words {
            assert!(first.contains(word), "{word:?} is not in: {first}");
        }
        self
    }
}

/// Path of the runner binary, built beside this test binary.
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("KAFKA_BACKUP_RUNNER") {
        return path.into();
    }
    let mut dir = std::env::current_exe().unwrap();
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let path = dir.join("kafka-backup-runner");
    assert!(path.exists(), "{} is missing: build the workspace first (cargo build)", path.display());
    path
}

impl Bench {
    /// A folder with an empty archive in a directory.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kafka-backup-bench-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("archive")).unwrap();
        let storage = json!({"type": "filesystem", "path": dir.path().join("archive")});
        Self { dir, storage, environment: Vec::new() }
    }

    /// The folder of the archive in a directory.
    pub fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    /// A backup specification.
    pub fn backup(&self, name: &str, bootstrap: &str, backup: Value) -> Value {
        json!({
            "formatVersion": 1, "name": name, "storage": self.storage, "backup": backup,
            "kafka": {"bootstrapServers": bootstrap.split(',').collect::<Vec<_>>()},
        })
    }

    /// A restore specification.
    pub fn restore(&self, name: &str, bootstrap: &str, restore: Value) -> Value {
        json!({
            "formatVersion": 1, "name": name, "storage": self.storage, "restore": restore,
            "kafka": {"bootstrapServers": bootstrap.split(',').collect::<Vec<_>>()},
        })
    }

    /// The command `kafka-backup-runner COMMAND SPEC ARGUMENTS`, not started yet.
    pub fn command(&self, command: &str, spec: &Value, arguments: &[&str]) -> Command {
        let number = std::fs::read_dir(self.dir.path()).unwrap().count();
        let file = self.dir.path().join(format!("spec-{number}-{}.json", std::process::id()));
        std::fs::write(&file, serde_json::to_vec_pretty(spec).unwrap()).unwrap();
        let mut process = Command::new(binary());
        process.arg(command).arg(file).args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        process
    }

    /// Runs a command to its end. One that does not end gets SIGTERM, which shows in its exit code: a suite that waits for
    /// ever says nothing.
    pub fn call(&self, command: &str, spec: &Value, arguments: &[&str]) -> Ended {
        let mut command = self.command(command, spec, arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (id, (done, ends)) = (child.id(), mpsc::channel::<()>());
        let watch = std::thread::spawn(move || {
            if ends.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                signal(id, "TERM");
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        watch.join().unwrap();
        ended(output)
    }

    /// Runs a specification with `-o json` to its end.
    pub fn run(&self, spec: &Value) -> Ended {
        self.call("run", spec, &["-o", "json"])
    }

    /// Runs a specification with `-o json`, which ends itself at a place as `kill -9` would, if it gets there.
    pub fn run_to(&self, place: &str, spec: &Value) -> Ended {
        let mut command = self.command("run", spec, &["-o", "json"]);
        ended(command.env("KAFKA_BACKUP_CRASH_AT", place).output().unwrap())
    }

    /// Runs a specification with `-o json` to its end. At a place it is held up until `meanwhile` is done.
    pub fn run_past(&self, place: &str, spec: &Value, meanwhile: impl FnOnce()) -> Ended {
        let file = self.dir.path().join("go-on");
        let reached = file.with_extension("reached");
        for file in [&file, &reached] {
            drop(std::fs::remove_file(file));
        }
        let mut command = self.command("run", spec, &["-o", "json"]);
        command.env("KAFKA_BACKUP_CRASH_AT", place).env("KAFKA_BACKUP_WAIT_FOR", &file);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = std::time::Instant::now() + LONGEST;
        while !reached.exists() && child.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let is_there = reached.exists();
        if is_there {
            meanwhile();
        }
        std::fs::write(&file, "").unwrap();
        let ended = ended(child.wait_with_output().unwrap());
        assert!(is_there, "{place} was not reached: {}", ended.stderr);
        ended
    }

    /// Runs a specification with `-o json` to its end, and says how much memory it had at most, in bytes.
    pub fn run_and_weigh(&self, spec: &Value) -> (Ended, u64) {
        weigh(self.spawn(spec))
    }

    /// Starts a run and leaves it running.
    pub fn spawn(&self, spec: &Value) -> Child {
        let mut command = self.command("run", spec, &["-o", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Waits for a process whose output is taken, and says how much memory it had at most, in bytes.
pub fn weigh(child: Child) -> (Ended, u64) {
    let status = format!("/proc/{}/status", child.id());
    let weight = std::thread::spawn(move || {
        let (mut most, mut gone) = (0, false);
        while !gone {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
            most = most.max(kib.unwrap_or(0));
            gone = kib.is_none();
            std::thread::sleep(Duration::from_millis(5));
        }
        most * 1024
    });
    (ended(child.wait_with_output().unwrap()), weight.join().unwrap())
}

/// A process's output as text. Whatever a test is about, no words of the operating system are in it.
pub fn ended(output: Output) -> Ended {
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    no_words_of_the_system(&ended.stdout);
    no_words_of_the_system(&ended.stderr);
    ended
}

/// The number that the system's own words end with shows them.
pub fn no_words_of_the_system(text: &str) {
    let found = text.lines().find(|line| line.contains("(os error "));
    assert_eq!(found, None, "words of the operating system left");
}

/// All files below a folder, with their sizes, sorted by path. What a run removes meanwhile is left out.
pub fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let mut out = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        let entries = match std::fs::read_dir(&next) {
            Err(error) if is_gone(&error) && next != dir => continue,
            entries => entries.unwrap(),
        };
        for entry in entries.map(Result::unwrap) {
            match entry.metadata() {
                Err(error) if is_gone(&error) => {}
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                meta => out.push((entry.path(), meta.unwrap().len())),
            }
        }
    }
    out.sort();
    out
}

/// A Python with the packages that the independent reader needs, in an environment of its own in the cache.
pub fn python() -> PathBuf {
    let home = std::env::var("HOME").unwrap();
    let cache = std::env::var("KAFKA_BACKUP_CACHE")
        .map_or_else(|_| Path::new(&home).join(".cache/kafka-backup"), PathBuf::from);
    let dir = cache.join("python-reader-1");
    let python = dir.join("bin/python");
    if !dir.join(".complete").exists() {
        let run =
            |command: &mut Command| assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir));
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/requirements.txt");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
        std::fs::write(dir.join(".complete"), "").unwrap();
    }
    python
}
