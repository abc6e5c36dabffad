//! Bodies of reviews: how much of them is held at once, and what they become when they are read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most bytes of a review: two objects of the largest size that etcd keeps (1.5 MiB by default), written as JSON.
const LARGEST: usize = 4 << 20;
/// How long its body may take to come.
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of bodies that are held at once: four of the largest. A buffer that grows takes up to three times its bytes.
const AT_ONCE: usize = 16 << 20;
/// Most memory of a body that is read. Objects as people write them take two to ten times their bytes.
const HEAVIEST: usize = 48 << 20;

/// Bytes of memory of a block of fields: a node of a tree, for eleven of them.
const BLOCK: usize = 640;
/// Of a list: room for the first four items.
const LIST: usize = 128;
/// Of a further item or field: nodes and lists are half full at worst.
const ITEM: usize = 112;
/// Of a text, beside its bytes.
const TEXT: usize = 32;

/// Why a body is not read.
type Refusal = (StatusCode, &'static str);

const TOO_LARGE: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "the review is larger than 4 MiB: make the object smaller");
const TOO_HEAVY: Refusal = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "the review takes more than 48 MiB of memory: write fewer fields and shorter lists into the object",
);
const LATE: Refusal = (StatusCode::REQUEST_TIMEOUT, "the body did not come within 4 s");
const BROKEN: Refusal = (StatusCode::BAD_REQUEST, "the body broke off");
const ENDS: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "the operator ends");

/// Room for bodies.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

/// A body with the room that it takes. Bodies that come slowly, or never end, hold little and not for long.
pub(super) async fn whole(room: &Arc<Semaphore>, body: Body) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let take = async |bytes: usize| {
        let bytes = u32::try_from(bytes).map_err(|_| TOO_LARGE)?;
        Arc::clone(room).acquire_many_owned(bytes).await.map_err(|_| ENDS)
    };
    let read = async {
        let (mut pieces, mut out, mut held) = (body.into_data_stream(), Vec::new(), take(0).await?);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| BROKEN)?;
            if out.len() + piece.len() > LARGEST {
                return Err(TOO_LARGE);
            }
            held.merge(take(piece.len()).await?);
            out.extend_from_slice(&piece);
        }
        if memory(&out) > HEAVIEST { Err(TOO_HEAVY) } else { Ok((out, held)) }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(LATE))
}

/// The most memory that a body takes once it is read as JSON, told from its marks. Many short fields take a hundred times their
/// bytes: that is known before they do.
fn memory(body: &[u8]) -> usize {
    let (mut total, mut inside, mut escaped) = (2 * body.len(), false, false);
    let mut previous = 0;
    for &byte in body {
        if inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        // What is empty takes nothing: a block and a list are counted at what follows their first mark.
        total += match (previous, byte) {
            (b'{', b'}') | (b'[', b']') => 0,
            (b'{', _) => BLOCK,
            (b'[', _) => LIST,
            _ => 0,
        };
        total += match byte {
            b'"' => TEXT,
            b',' => ITEM,
            _ => 0,
        };
        inside = byte == b'"';
        previous = byte;
    }
    total
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    fn pieces(count: usize, size: usize) -> Vec<Result<Bytes, std::io::Error>> {
        (0..count).map(|_| Ok(Bytes::from(vec![b' '; size]))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_do_not_end_hold_little_and_not_for_long() {
        let room = room();
        let unfinished = || Body::from_stream(stream::iter(pieces(3, 1 << 20)).chain(stream::pending()));
        let slow: Vec<_> = (0..50)
            .map(|_| {
                let (room, body) = (Arc::clone(&room), unfinished());
                tokio::spawn(async move { whole(&room, body).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(room.available_permits() < 3 << 20, "they fill the room");
        // An honest one waits for them at most as long as they may take.
        let honest = whole(&room, Body::from(vec![b' '; 2 << 20])).await;
        assert_eq!(honest.map(|(body, _)| body.len()), Ok(2 << 20));
        for task in slow {
            assert_eq!(task.await.unwrap(), Err(LATE));
        }
        assert_eq!(room.available_permits(), AT_ONCE);
    }

    #[tokio::test]
    async fn a_body_of_any_size_is_not_read() {
        let room = room();
        let refused = whole(&room, Body::from_stream(stream::iter(pieces(9, 1 << 20)))).await;
        assert_eq!(refused.map(drop), Err(TOO_LARGE));
    }

    /// 4 MiB of blocks with one short field each would take 400 MiB.
    #[tokio::test]
    async fn a_body_that_takes_far_more_than_its_bytes_is_not_read() {
        let room = room();
        for one in [r#"{"":0}"#, "[0]", r#"[{"a":[]}]"#] {
            let body = format!("[{}0]", format!("{one},").repeat((LARGEST - 16) / (one.len() + 1)));
            assert_eq!(whole(&room, Body::from(body)).await.map(drop), Err(TOO_HEAVY), "{one}");
        }
        let names: Vec<String> = (0..10_000).map(|number| format!("orders.of.the.shop.number-{number}")).collect();
        let honest =
            serde_json::json!({"object": {"spec": {"topics": names}}, "oldObject": {"spec": {"topics": names}}});
        assert!(whole(&room, Body::from(honest.to_string())).await.is_ok());
    }

    #[test]
    fn marks_inside_of_texts_are_no_marks() {
        let plain = r#"{"a":"{[,\"{[,"}"#;
        assert_eq!(memory(plain.as_bytes()), 2 * plain.len() + BLOCK + 2 * TEXT);
        assert_eq!(memory(b"[ {}, [] ]"), 20 + LIST + ITEM);
    }
}
