//! Answers that come in pieces, wrong, or not at all.

use super::*;
use crate::line::Expected;
use tokio::io::AsyncWriteExt;

const SILENCE: Duration = Duration::from_secs(30);

fn expected(data: bool) -> Expected {
    Expected { data, largest: RECORDS, limit: SILENCE }
}

/// A line with one question open, and the broker's end of it.
fn line(
    budget: Option<Budget>,
) -> (Arc<Line>, tokio::sync::oneshot::Receiver<crate::line::Answer>, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let line = Arc::new(Line::new());
    line.admit();
    let receiver = line.wait_for(7, expected(true)).unwrap();
    tokio::spawn(read_answers(near, Arc::clone(&line), budget, SILENCE));
    (line, receiver, far)
}

fn answer(length: i32, id: i32, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), &id.to_be_bytes(), body].concat()
}

#[tokio::test(start_paused = true)]
async fn an_answer_arrives_whole_however_it_is_cut() {
    let bytes = answer(14, 7, b"0123456789");
    for piece in 1..bytes.len() {
        let (line, receiver, mut far) = line(None);
        for part in bytes.chunks(piece) {
            // Slow, but never silent for as long as the limit.
            tokio::time::sleep(SILENCE * 9 / 10).await;
            far.write_all(part).await.unwrap();
        }
        assert_eq!(receiver.await.unwrap().unwrap().as_ref(), bytes.get(4..).unwrap());
        assert!(!line.is_dead());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_within_an_answer_ends_the_connection_wherever_it_comes() {
    let bytes = answer(14, 7, b"0123456789");
    for there in 1..bytes.len() {
        let budget = Budget::new(4096);
        let (line, receiver, mut far) = line(Some(budget.clone()));
        far.write_all(bytes.get(..there).unwrap()).await.unwrap();
        let cause = receiver.await.unwrap().unwrap_err().cause;
        assert!(cause.to_string().contains("fell silent for 30000 ms"), "{there}: {cause}");
        line.closed.cancelled().await;
        assert!(budget.take(4096).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_between_answers_ends_nothing() {
    let (line, receiver, mut far) = line(None);
    tokio::time::sleep(SILENCE * 100).await;
    assert!(!line.is_dead());
    far.write_all(&answer(4, 7, b"")).await.unwrap();
    assert_eq!(receiver.await.unwrap().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_waits_for_any_more_still_shows_a_silent_broker() {
    let (line, receiver, mut far) = line(None);
    drop(receiver);
    tokio::time::sleep(SILENCE).await;
    assert!(!line.is_overdue());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(line.is_overdue());
    // A late answer shows that the broker lives.
    far.write_all(&answer(4, 7, b"")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!line.is_overdue());
    // Nothing is owed: silence is no fault.
    tokio::time::sleep(SILENCE * 2).await;
    assert!(!line.is_overdue());
    // Brokers answer in turn: the answer before restarts the clock.
    let (_first, _second) = (line.wait_for(8, expected(false)).unwrap(), line.wait_for(9, expected(false)).unwrap());
    tokio::time::sleep(SILENCE * 9 / 10).await;
    far.write_all(&answer(4, 8, b"")).await.unwrap();
    tokio::time::sleep(SILENCE * 9 / 10).await;
    assert!(!line.is_overdue());
    tokio::time::sleep(SILENCE).await;
    assert!(line.is_overdue());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_takes_no_memory() {
    let budget = Budget::new(1024);
    let all = budget.take(1024).await.unwrap();
    let (line, receiver, mut far) = line(Some(budget));
    drop(receiver);
    let next = line.wait_for(8, expected(false)).unwrap();
    far.write_all(&answer(10_004, 7, &[1; 10_000])).await.unwrap();
    far.write_all(&answer(6, 8, b"ok")).await.unwrap();
    assert_eq!(next.await.unwrap().unwrap().len(), 6);
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_answer_and_a_closed_stream_are_named() {
    let (_line, receiver, mut far) = line(None);
    far.write_all(&answer(4, 9, b"")).await.unwrap();
    assert!(receiver.await.unwrap().unwrap_err().cause.to_string().contains("nobody asked for"));
    let (_line, receiver, far) = line(None);
    drop(far);
    assert!(receiver.await.unwrap().unwrap_err().cause.to_string().contains("closed the connection"));
}

#[tokio::test(start_paused = true)]
async fn memory_grows_with_what_arrives() {
    let (_line, receiver, mut far) = line(None);
    let length = 3 * FIRST + 17;
    let body = vec![5; length - ID];
    let send = async { far.write_all(&answer(i32::try_from(length).unwrap(), 7, &body)).await.unwrap() };
    let ((), answer) = futures::join!(send, receiver);
    assert_eq!(answer.unwrap().unwrap().len(), length);
}

#[tokio::test(start_paused = true)]
async fn before_the_login_is_over_an_answer_is_small() {
    for (length, fits) in [(EARLY, true), (EARLY + 1, false), (RECORDS, false)] {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let line = Arc::new(Line::new());
        let receiver = line.wait_for(7, expected(true)).unwrap();
        tokio::spawn(read_answers(near, Arc::clone(&line), None, SILENCE));
        let body = vec![0; EARLY - 4];
        far.write_all(&answer(i32::try_from(length).unwrap(), 7, &body)).await.unwrap();
        let answered = receiver.await.unwrap();
        assert_eq!(answered.is_ok(), fits, "{length}");
        if let Err(Cut { cause, .. }) = answered {
            assert!(cause.to_string().contains(&format!("a frame of {length} bytes")), "{cause}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_answer_has_a_limit_of_its_own() {
    for (length, fits) in [(1_000, true), (1_001, false)] {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let line = Arc::new(Line::new());
        line.admit();
        let receiver = line.wait_for(7, Expected { largest: 1_000, ..expected(false) }).unwrap();
        tokio::spawn(read_answers(near, Arc::clone(&line), None, SILENCE));
        far.write_all(&answer(length, 7, &vec![0; 1_000 - ID])).await.unwrap();
        match receiver.await.unwrap() {
            Ok(bytes) => assert!(fits && bytes.len() == 1_000, "{length}"),
            Err(cut) => {
                assert!(!fits && cut.announced == Some(1_001), "{cut:?}");
                line.closed.cancelled().await;
            }
        }
    }
}
