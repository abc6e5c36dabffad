//! Gives a target changed inputs for a while, in a process of its own with little memory. What ends that process is told with
//! the number of the input, which makes it again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{Target, mutate};

/// Address space of the process, in MiB: that of a small pod, and the program itself.
pub const MIB: u64 = 512;
/// Longest time for an input. Debug builds on a machine that does much else are slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the process says how far it is.
const TELL: Duration = Duration::from_millis(200);

/// What became of a target.
#[derive(Debug)]
pub struct Told {
    /// Inputs that it took.
    pub inputs: u64,
    /// The number of the input that ended it, and how.
    pub failed: Option<(u64, String)>,
}

/// In the process of a target: takes inputs from `from` on. Each is told before it is taken when `each`.
pub fn take(target: &Target, seed: u64, from: u64, time: Duration, each: bool) {
    let (seeds, begun) = ((target.seeds)(), Instant::now());
    let (mut number, mut told) = (from, None::<Instant>);
    while begun.elapsed() < time || number < from + seeds.len() as u64 {
        if each || told.is_none_or(|told| told.elapsed() >= TELL) {
            tell(&format!("at {number}"));
            told = Some(Instant::now());
        }
        (target.run)(&mutate::input(&seeds, seed, number));
        number += 1;
    }
    tell(&format!("done {number}"));
}

/// A line to whoever started this process.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more: whoever did has ended this.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Starts the process of a target, and waits for what becomes of it. `program` is this driver.
///
/// # Errors
/// When it cannot be started.
pub fn drive(program: &Path, target: &Target, seed: u64, time: Duration) -> std::io::Result<Told> {
    let (inputs, failed) = watch(start(program, target, seed, 0, time, false)?)?;
    let Some(mut how) = failed else { return Ok(Told { inputs, failed: None }) };
    // The same again from the last word on, with a word before each input.
    let (mut number, again) = watch(start(program, target, seed, inputs, Duration::from_secs(60), true)?)?;
    if let Some(again) = again {
        how = again;
    } else {
        number = inputs;
        how.push_str(" (not at this input alone: what came before it counts)");
    }
    Ok(Told { inputs, failed: Some((number, how)) })
}

fn start(program: &Path, target: &Target, seed: u64, from: u64, time: Duration, each: bool) -> std::io::Result<Child> {
    let words = [seed.to_string(), from.to_string(), time.as_millis().to_string(), each.to_string()];
    Command::new("sh")
        .args(["-c", &format!("ulimit -v {}; exec nice -n 10 \"$0\" \"$@\"", MIB << 10)])
        .arg(program)
        .args(["take", target.name])
        .args(words)
        // Each arena of the allocator reserves addresses.
        .env("MALLOC_ARENA_MAX", "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

/// The last input that a process told of, and how it ended, unless all was well.
fn watch(mut child: Child) -> std::io::Result<(u64, Option<String>)> {
    let (sender, lines) = mpsc::channel();
    let output = child.stdout.take().ok_or_else(|| std::io::Error::other("it has no output"))?;
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let (mut last, mut done) = (0, false);
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let number = line.rsplit(' ').next().and_then(|number| number.parse().ok());
                last = number.unwrap_or(last);
                done = line.starts_with("done ");
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                return Ok((last, Some(format!("an input took longer than {} s", PATIENCE.as_secs()))));
            }
        }
    }
    let status = child.wait()?;
    Ok((last, (!done || !status.success()).then(|| format!("it ended with {status}"))))
}
