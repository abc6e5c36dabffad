//! Reads answers from a connection. What a broker announces is not believed: memory grows with the bytes that arrive,
//! and a broker that falls silent in the middle of an answer loses its connection, and with it its share of the
//! budget. Only answers with data are under the budget, and an answer that nobody waits for any more takes no memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;

use crate::broke::Broke;
use crate::budget::Budget;
use crate::line::{Cut, Line};
use crate::sizes::{EARLY, RECORDS};

/// Length and correlation id.
const HEAD: usize = 8;
const ID: usize = 4;
/// Memory that is taken before the bytes are there: most answers fit.
const FIRST: usize = 8 << 20;

/// Reads until the stream ends or breaks, or the line is closed.
pub(crate) async fn read_answers(
    mut read: impl AsyncRead + Unpin,
    line: Arc<Line>,
    budget: Option<Budget>,
    silence: Duration,
) {
    let work = async {
        loop {
            if let Err(cause) = read_answer(&mut read, &line, budget.as_ref(), silence).await {
                return cause;
            }
        }
    };
    tokio::select! {
        biased;
        () = line.closed.cancelled() => {}
        cause = work => line.kill(cause),
    }
}

async fn read_answer(
    read: &mut (impl AsyncRead + Unpin),
    line: &Line,
    budget: Option<&Budget>,
    silence: Duration,
) -> Result<(), Broke> {
    let mut head = Vec::with_capacity(HEAD);
    let read_head = read_head(read, line, &mut head, silence).await;
    line.heard(&head);
    let length = read_head?;
    let id = head.get(ID..).and_then(|id| id.first_chunk()).copied().map(i32::from_be_bytes);
    let waiter = id.and_then(|id| line.take(id));
    let waiter = waiter.ok_or_else(|| Broke::given_up("it sent an answer that nobody asked for"))?;
    let largest = waiter.expected.largest;
    if waiter.sender.is_closed() {
        skip(read, length - ID, silence).await?;
    } else if length > largest {
        let cause = format!("it sent an answer of {length} bytes; at most {largest} are read of this kind");
        let cause = Broke::given_up(cause);
        drop(waiter.sender.send(Err(Cut { cause: cause.clone(), announced: Some(length) })));
        return Err(cause);
    } else {
        let budget = budget.filter(|_| waiter.expected.data);
        let answer = read_body(read, head, length, budget, silence).await;
        let end = answer.as_ref().err().cloned();
        // Whoever asked may have gone meanwhile.
        drop(waiter.sender.send(answer.map_err(Cut::from)));
        if let Some(cause) = end {
            return Err(cause);
        }
    }
    line.silent();
    Ok(())
}

/// Reads length and correlation id, and returns the length.
async fn read_head(
    read: &mut (impl AsyncRead + Unpin),
    line: &Line,
    head: &mut Vec<u8>,
    silence: Duration,
) -> Result<usize, Broke> {
    // Between answers a broker may be silent for as long as it likes.
    some((&mut *read).take(HEAD as u64).read_buf(head).await)?;
    line.busy();
    fill(read, head, ID, silence).await?;
    let length = announced(head, if line.is_admitted() { RECORDS } else { EARLY })?;
    fill(read, head, HEAD, silence).await?;
    Ok(length)
}

/// Reads the rest of an answer, once there is memory for it.
async fn read_body(
    read: &mut (impl AsyncRead + Unpin),
    head: Vec<u8>,
    length: usize,
    budget: Option<&Budget>,
    silence: Duration,
) -> Result<Bytes, Broke> {
    let permit = match budget {
        Some(budget) => budget.take(length).await,
        None => None,
    };
    let mut data = Vec::with_capacity(length.min(FIRST));
    data.extend_from_slice(head.get(ID..).unwrap_or_default());
    fill(read, &mut data, length, silence).await?;
    Ok(frame(data, permit))
}

fn frame(data: Vec<u8>, permit: Option<OwnedSemaphorePermit>) -> Bytes {
    match permit {
        Some(permit) => Budget::frame(data, permit),
        None => data.into(),
    }
}

/// The length of an answer, when it can be one.
fn announced(head: &[u8], largest: usize) -> Result<usize, Broke> {
    let announced = head.first_chunk().copied().map_or(-1, i32::from_be_bytes);
    let length = usize::try_from(announced).ok().filter(|length| (ID..=largest).contains(length));
    length.ok_or_else(|| {
        Broke::given_up(format!(
            "a frame of {announced} bytes: this is not a Kafka listener, or it speaks another security protocol"
        ))
    })
}

/// Reads until `data` has `length` bytes.
async fn fill(
    read: &mut (impl AsyncRead + Unpin),
    data: &mut Vec<u8>,
    length: usize,
    silence: Duration,
) -> Result<(), Broke> {
    while data.len() < length {
        let missing = length - data.len();
        if data.len() == data.capacity() {
            data.reserve_exact(missing.min(data.len()));
        }
        let mut rest = (&mut *read).take(missing as u64);
        some(heard(rest.read_buf(data), silence).await?)?;
    }
    Ok(())
}

/// Reads `length` bytes and throws them away.
async fn skip(read: &mut (impl AsyncRead + Unpin), mut length: usize, silence: Duration) -> Result<(), Broke> {
    let mut sink = [0; 4096];
    while length > 0 {
        let (room, _) = sink.split_at_mut(length.min(4096));
        length -= some(heard(read.read(room), silence).await?)?;
    }
    Ok(())
}

async fn heard<T>(part: impl Future<Output = T>, silence: Duration) -> Result<T, Broke> {
    let limit = || Broke::given_up(format!("it fell silent for {} ms in the middle of an answer", silence.as_millis()));
    tokio::time::timeout(silence, part).await.map_err(|_| limit())
}

fn some(read: std::io::Result<usize>) -> Result<usize, Broke> {
    match read {
        Ok(0) => Err(Broke::Closed),
        Ok(read) => Ok(read),
        Err(error) => Err(Broke::of(&error)),
    }
}

#[cfg(test)]
mod tests;
