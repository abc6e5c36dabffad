//! A request on its way out: parts that are sent one after the other without being joined first.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Parts that one system call takes.
const AT_ONCE: usize = 64;

/// A request, its header first. The length that goes before it is counted when it is sent.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Correlation id.
    pub(crate) id: i32,
    parts: Vec<Bytes>,
}

impl Frame {
    pub(crate) fn new(id: i32, header: Bytes) -> Self {
        Self { id, parts: vec![header] }
    }

    pub(crate) fn push(&mut self, part: Bytes) {
        self.parts.push(part);
    }

    /// Bytes after the length.
    pub(crate) fn size(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Writes length and parts.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) async fn send(self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let length = i32::try_from(self.size()).map_err(std::io::Error::other)?;
        let mut parts = VecDeque::from([Bytes::copy_from_slice(&length.to_be_bytes())]);
        parts.extend(self.parts);
        while !parts.is_empty() {
            let slices: Vec<_> = parts.iter().take(AT_ONCE).map(|part| IoSlice::new(part)).collect();
            let mut written = stream.write_vectored(&slices).await?;
            if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            while let Some(first) = parts.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                parts.pop_front();
            }
        }
        stream.flush().await
    }

    #[cfg(test)]
    pub(crate) fn body(&self) -> Bytes {
        self.parts.concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn parts_arrive_in_order_whatever_the_stream_takes_at_once() {
        for room in [1, 3, 7, 4096] {
            let (mut near, mut far) = tokio::io::duplex(room);
            let mut frame = Frame::new(1, Bytes::from_static(b"header"));
            for number in 0..100u8 {
                frame.push(Bytes::from(vec![number; usize::from(number % 5)]));
            }
            let (size, body) = (frame.size(), frame.body());
            let send = tokio::spawn(async move { frame.send(&mut near).await });
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            send.await.unwrap().unwrap();
            assert_eq!(read[..4], i32::try_from(size).unwrap().to_be_bytes());
            assert_eq!(read[4..], body);
        }
    }
}
