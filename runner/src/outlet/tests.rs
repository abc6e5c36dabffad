//! Outlets whose reader is a test.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::*;

/// A pipe that takes one piece at a time, when the other end asks for it.
struct Pipe(SyncSender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let size = text.len().min(100);
        self.0.send(text[..size].to_vec()).map_err(|_| std::io::Error::from(ErrorKind::BrokenPipe))?;
        Ok(size)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn pipe() -> (Outlet, Receiver<Vec<u8>>) {
    let (sender, reader) = sync_channel(0);
    (Outlet::start("test", Pipe(sender)), reader)
}

fn line(number: u32) -> Vec<u8> {
    format!("{number:01023}\n").into_bytes()
}

/// Everything that comes until the outlet has nothing left.
fn read(outlet: &Outlet, reader: &Receiver<Vec<u8>>) -> String {
    let mut out = Vec::new();
    while outlet.shared.lock().is_busy() {
        if let Ok(piece) = reader.recv_timeout(Duration::from_millis(20)) {
            out.extend(piece);
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn whoever_says_something_never_waits_for_a_reader_that_hangs() {
    let (outlet, reader) = pipe();
    for number in 0..3_000 {
        outlet.say(Worth::Event, line(number));
    }
    assert!(outlet.dropped() >= 3_000 - 1_100, "{}", outlet.dropped());
    assert_eq!(outlet.take_dropped(), None, "there is no room to tell of it");
    outlet.drain();
    let given_up = std::thread::spawn({
        let outlet = outlet.clone();
        move || outlet.drain()
    });
    // The second wait finds that nothing was read since the first gave up.
    std::thread::sleep(PATIENCE / 2);
    assert!(given_up.is_finished());
    let text = read(&outlet, &reader);
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.len() as u64 + outlet.dropped(), 3_000);
    assert_eq!(numbers.last(), Some(&2_999), "the newest word is kept");
    assert!(numbers.is_sorted());
    assert_eq!(outlet.take_dropped(), Some(outlet.dropped()));
    assert_eq!(outlet.take_dropped(), None, "told once");
}

#[test]
fn results_of_commands_wait_for_their_reader_until_the_process_is_asked_to_stop() {
    let (outlet, reader) = pipe();
    let writer = std::thread::spawn({
        let outlet = outlet.clone();
        move || {
            for number in 0..2_000 {
                outlet.wait_and_say(line(number));
            }
            outlet.drain();
        }
    });
    std::thread::sleep(PATIENCE + PATIENCE / 4);
    assert!(!writer.is_finished());
    let mut bytes = 0;
    while bytes < 1_500 * 1_024 {
        bytes += reader.recv_timeout(Duration::from_secs(5)).unwrap().len();
    }
    assert_eq!(outlet.dropped(), 0, "nothing is dropped while somebody reads");
    outlet.stop();
    writer.join().unwrap();
    assert!(outlet.shared.lock().gave_up_at.is_some());
}

#[test]
fn a_closed_stream_takes_everything_and_counts_it() {
    let (outlet, reader) = pipe();
    drop(reader);
    for number in 0..5 {
        outlet.say(Worth::Event, line(number));
        outlet.drain();
    }
    outlet.wait_and_say(line(6));
    outlet.drain();
    assert_eq!(outlet.dropped(), 6);
}

#[test]
fn a_pipe_that_does_not_block_gets_whole_lines() {
    let (read_end, write_end) = std::os::unix::net::UnixStream::pair().unwrap();
    write_end.set_nonblocking(true).unwrap();
    let outlet = Outlet::start("test", write_end);
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        let mut text = vec![0; 900 * 1_024];
        (&read_end).read_exact(&mut text).unwrap();
        text
    });
    for number in 0..900 {
        outlet.say(Worth::Event, line(number));
    }
    let text = String::from_utf8(reader.join().unwrap()).unwrap();
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..900).collect::<Vec<_>>());
}
