//! Decodes answers without believing the counts in them. The protocol library takes memory for as many elements as an
//! array announces; a count that cannot be, in an answer that was cut or is not Kafka's, would end the process.

use std::ops::Range;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

/// Bits of a byte of a variable-length number, and the bit that says that another one follows.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;
/// Most bytes of such a number.
const LONGEST: u32 = 5;

/// Decodes an answer.
///
/// # Errors
/// The library's words for what is wrong.
pub(crate) fn decode<R: Decodable>(bytes: &mut Bytes, version: i16) -> Result<R, String> {
    let mut guard = Guard { bytes: bytes.clone(), number: 0, length: 0, lowered: false };
    let answer = R::decode(&mut guard, version).map_err(|error| error.to_string())?;
    if !guard.lowered {
        *bytes = guard.bytes;
        return Ok(answer);
    }
    // A number was lowered, and the answer could be read all the same: it was no count, and every count can be.
    R::decode(bytes, version).map_err(|error| error.to_string())
}

/// A reader of an answer that knows how much is left. An array's element has a byte at least, so a count above that
/// cannot be: as a variable-length number it is refused. As a plain one it may be a value that is no count: it is
/// lowered to what cannot be either, but takes little memory, and the reader remembers.
struct Guard {
    bytes: Bytes,
    /// The variable-length number that is being read, and its bytes so far.
    number: u64,
    length: u32,
    lowered: bool,
}

impl Buf for Guard {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        self.number |= u64::from(byte & !MORE) << (BITS * self.length);
        self.length += 1;
        if byte & MORE == 0 || self.length == LONGEST {
            // Counts of this kind are one more than what they count.
            let (number, available) = (std::mem::take(&mut self.number), self.bytes.remaining());
            self.length = 0;
            if number > available as u64 + 1 {
                let requested = usize::try_from(number).unwrap_or(usize::MAX);
                return Err(TryGetError { requested, available });
            }
        }
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let number = self.bytes.try_get_i32()?;
        let left = i32::try_from(self.bytes.remaining()).unwrap_or(i32::MAX);
        if number > left {
            self.lowered = true;
            return Ok(left.saturating_add(1));
        }
        Ok(number)
    }
}

impl ByteBuf for Guard {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.bytes.peek_bytes(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        ByteBuf::get_bytes(&mut self.bytes, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::list_groups_response::ListedGroup;
    use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
    use kafka_protocol::messages::{GroupId, ListGroupsResponse, MetadataResponse};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    #[test]
    fn what_can_be_read_is_read_as_it_is() {
        for version in 0..=12 {
            for topics in [0, 1, 200] {
                // Large numbers that are no counts, also at the very end.
                let broker = MetadataResponseBroker::default().with_node_id(i32::MAX.into()).with_port(65_535);
                let topic = MetadataResponseTopic::default().with_name(Some(StrBytes::from_static_str("t").into()));
                let answer = MetadataResponse::default()
                    .with_brokers(vec![broker; 3])
                    .with_controller_id(if version > 0 { i32::MAX } else { -1 }.into())
                    .with_topics(vec![topic; topics]);
                let mut bytes = BytesMut::new();
                answer.encode(&mut bytes, version).unwrap();
                bytes.put_slice(b"rest");
                let mut bytes = bytes.freeze();
                let read: MetadataResponse = decode(&mut bytes, version).unwrap();
                assert_eq!((read.brokers, read.topics.len()), (answer.brokers, topics), "version {version}");
                assert_eq!(bytes.as_ref(), b"rest");
            }
        }
    }

    #[test]
    fn a_count_that_cannot_be_is_an_error_and_takes_no_memory() {
        let group = ListedGroup::default().with_group_id(GroupId(StrBytes::from_static_str("g")));
        for version in 0..=5 {
            let mut bytes = BytesMut::new();
            ListGroupsResponse::default().with_groups(vec![group.clone(); 5]).encode(&mut bytes, version).unwrap();
            // After the error code, and the silence that is asked for.
            let place = if version == 0 { 2 } else { 6 };
            let counts: &[&[u8]] = if version >= 3 {
                &[&[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0x7f], &[0x7f]]
            } else {
                &[&[0x7f, 0xff, 0xff, 0xff], &[0x10, 0, 0, 0], &[0, 0, 0, 0x7f]]
            };
            for count in counts {
                let mut bad = BytesMut::from(bytes.get(..place).unwrap());
                bad.put_slice(count);
                bad.put_slice(bytes.get(place + if version >= 3 { 1 } else { 4 }..).unwrap());
                assert!(decode::<ListGroupsResponse>(&mut bad.freeze(), version).is_err(), "{version} {count:x?}");
            }
        }
    }
}
