//! One connection that asks one question at a time: the same code speaks to a model broker and to a real one.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::Stream;

/// A connection.
pub struct Client {
    stream: Box<dyn Stream>,
    number: i32,
}

impl Client {
    /// Speaks over this stream.
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, number: 0 }
    }

    /// Asks, and waits for the answer; panics with the request where the broker closes the connection.
    pub async fn ask<R: Request + std::fmt::Debug>(&mut self, version: i16, request: &R) -> R::Response {
        self.number += 1;
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.number)
            .with_client_id(Some(StrBytes::from_static_str("histories")));
        header.encode(&mut frame, R::header_version(version)).expect("a header can be encoded");
        if let Err(error) = request.encode(&mut frame, version) {
            panic!("version {version} of {request:?} cannot be encoded: {error}");
        }
        self.stream.write_i32(frame.len() as i32).await.expect("the broker reads");
        self.stream.write_all(&frame).await.expect("the broker reads");
        self.stream.flush().await.expect("the broker reads");
        let mut answer = self.frame().await.unwrap_or_else(|error| panic!("{error}: version {version} of {request:?}"));
        let head = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).expect("a header");
        assert_eq!(head.correlation_id, self.number);
        R::Response::decode(&mut answer, version)
            .unwrap_or_else(|error| panic!("the answer to version {version} of {request:?} cannot be read: {error}"))
    }

    async fn frame(&mut self) -> std::io::Result<Bytes> {
        let mut frame = BytesMut::zeroed(self.stream.read_i32().await? as usize);
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.freeze())
    }
}
