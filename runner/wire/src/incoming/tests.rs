//! Answers that come in pieces, wrong, or not at all.

use super::*;
use tokio::io::AsyncWriteExt;

const SILENCE: Duration = Duration::from_secs(30);

/// A line with one question open, and the broker's end of it.
fn line(
    budget: Option<Budget>,
) -> (Arc<Line>, tokio::sync::oneshot::Receiver<crate::line::Answer>, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let line = Arc::new(Line::new());
    line.admit();
    let receiver = line.wait_for(7, true, SILENCE).unwrap();
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
        let cause = receiver.await.unwrap().unwrap_err();
        assert!(cause.contains("fell silent for 30000 ms"), "{there}: {cause}");
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
    let (_first, _second) = (line.wait_for(8, false, SILENCE).unwrap(), line.wait_for(9, false, SILENCE).unwrap());
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
    let next = line.wait_for(8, false, SILENCE).unwrap();
    far.write_all(&answer(10_004, 7, &[1; 10_000])).await.unwrap();
    far.write_all(&answer(6, 8, b"ok")).await.unwrap();
    assert_eq!(next.await.unwrap().unwrap().len(), 6);
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_answer_and_a_closed_stream_are_named() {
    let (_line, receiver, mut far) = line(None);
    far.write_all(&answer(4, 9, b"")).await.unwrap();
    assert!(receiver.await.unwrap().unwrap_err().contains("nobody asked for"));
    let (_line, receiver, far) = line(None);
    drop(far);
    assert!(receiver.await.unwrap().unwrap_err().contains("closed the connection"));
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
    for (length, fits) in [(LARGEST_EARLY, true), (LARGEST_EARLY + 1, false), (LARGEST, false)] {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let line = Arc::new(Line::new());
        let receiver = line.wait_for(7, true, SILENCE).unwrap();
        tokio::spawn(read_answers(near, Arc::clone(&line), None, SILENCE));
        let body = vec![0; LARGEST_EARLY - 4];
        far.write_all(&answer(i32::try_from(length).unwrap(), 7, &body)).await.unwrap();
        let answered = receiver.await.unwrap();
        assert_eq!(answered.is_ok(), fits, "{length}");
        if let Err(cause) = answered {
            assert!(cause.contains(&format!("a frame of {length} bytes")), "{cause}");
        }
    }
}
