//! Decodes answers without believing the counts in them. The protocol library takes memory for as many elements as an
//! array announces; a count that cannot be, in an answer that was cut, lies, or is not Kafka's, would end the process.
//!
//! The library reads lengths of texts as it reads counts of lists, and takes memory for a list before it reads more. So a
//! number that is too large for a list is shown to it as a smaller one. Whoever then asks for that many bytes reads a text,
//! and gets all of it; whoever reads on reads a list, and that ends the answer.

use std::ops::Range;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

/// Bits of a byte of a variable-length number, and the bit that says that another one follows.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;
/// Most bytes of such a number.
const LONGEST: usize = 5;
/// Most elements of a list: no cluster has more topics, groups, partitions of a topic, or members of a group.
const MOST: usize = 1 << 20;
/// Fewest bytes of an element of a list: an empty text and what is in it, or a number.
const LEAST_BYTES: usize = 2;
/// So many elements take little memory whatever they are.
const FEW: usize = 4_096;

/// What a plain number of an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// A value: the answer has flexible fields, whose counts are variable-length numbers.
    Value,
    /// A value or a count: where it is too large for a count, the answer is read twice.
    Either,
    /// What is too large for a count is none, nor a value that there is.
    Count,
}

/// Decodes a small answer.
///
/// # Errors
/// What is wrong, in the library's words or in ours.
pub(crate) fn decode<R: Decodable>(bytes: &mut Bytes, version: i16) -> Result<R, String> {
    decode_as(bytes, version, Plain::Either)
}

/// Decodes an answer whose plain numbers are of this kind.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_as<R: Decodable>(bytes: &mut Bytes, version: i16, plain: Plain) -> Result<R, String> {
    let mut guard = Guard::new(bytes.clone(), plain);
    let read = R::decode(&mut guard, version);
    guard.settle();
    if let Some(elements) = guard.long {
        return Err(format!(
            "it has a list of {elements} elements; at most {MOST} are read, and no more than its bytes hold"
        ));
    }
    let answer = read.map_err(|error| error.to_string())?;
    if !guard.lowered {
        *bytes = guard.bytes;
        return Ok(answer);
    }
    // A number was lowered, and the answer could be read all the same: it was no count, and every count can be.
    R::decode(bytes, version).map_err(|error| error.to_string())
}

/// A number that was shown as a smaller one.
#[derive(Clone, Copy)]
struct Shown {
    as_number: usize,
    number: usize,
    /// It is a length or a count, and no value.
    is_count: bool,
    /// It is one more than what it counts.
    is_one_more: bool,
}

/// A reader of an answer that knows how much is left.
struct Guard {
    bytes: Bytes,
    plain: Plain,
    /// Bytes of a number that are read before the others, the next one last; so many of them wait.
    fed: [u8; LONGEST],
    waiting: usize,
    /// The number that was read last, where another one was shown.
    shown: Option<Shown>,
    /// A plain number was shown as a smaller one, and no bytes were asked for after it.
    lowered: bool,
    /// Elements of a list that is too long.
    long: Option<usize>,
}

/// The variable-length number at the beginning, and its bytes; `None` where it is cut.
fn number_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0usize;
    for (place, byte) in (0u32..).zip(bytes.iter().take(LONGEST)) {
        number |= usize::from(byte & !MORE) << (BITS * place);
        if byte & MORE == 0 || place as usize + 1 == LONGEST {
            return Some((number, place as usize + 1));
        }
    }
    None
}

/// A number in its variable-length form.
fn bytes_of(mut number: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(LONGEST);
    while number >= usize::from(MORE) {
        out.push((number % usize::from(MORE)) as u8 | MORE);
        number >>= BITS;
    }
    out.push(number as u8);
    out
}

impl Guard {
    fn new(bytes: Bytes, plain: Plain) -> Self {
        Self { bytes, plain, fed: [0; LONGEST], waiting: 0, shown: None, lowered: false, long: None }
    }

    /// Something else than the bytes of a text is read: what was shown was a count, or a plain value.
    fn settle(&mut self) {
        match self.shown.take() {
            Some(shown) if shown.is_count => {
                self.long = Some(shown.number - usize::from(shown.is_one_more));
                self.bytes.clear();
            }
            Some(_) => self.lowered = true,
            None => {}
        }
    }

    /// Most elements of a list in what is left.
    fn most(&self) -> usize {
        (self.bytes.len() / LEAST_BYTES).clamp(FEW, MOST)
    }

    /// Has these bytes of a number read next.
    fn feed(&mut self, bytes: &[u8]) {
        self.waiting = bytes.len().min(LONGEST);
        for (slot, byte) in self.fed.iter_mut().zip(bytes.iter().take(LONGEST).rev()) {
            *slot = *byte;
        }
    }

    fn fed(&mut self) -> Option<u8> {
        self.waiting = self.waiting.checked_sub(1)?;
        self.fed.get(self.waiting).copied()
    }
}

impl Buf for Guard {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.settle();
        self.bytes.advance(count.min(self.bytes.len()));
    }

    /// The library reads variable-length numbers so, and nothing else.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        if let Some(byte) = self.fed() {
            return Ok(byte);
        }
        self.settle();
        // A number that is cut is told by whoever reads its end.
        let Some((number, length)) = number_of(&self.bytes) else { return self.bytes.try_get_u8() };
        let mut read = [0; LONGEST];
        read.iter_mut().zip(self.bytes.iter()).for_each(|(slot, byte)| *slot = *byte);
        self.bytes.advance(length);
        // Numbers of this kind are one more than what they count.
        let available = self.bytes.len();
        if number > available + 1 {
            return Err(TryGetError { requested: number, available });
        }
        let most = self.most() + 1;
        if number > most {
            self.shown = Some(Shown { as_number: most + 1, number, is_count: true, is_one_more: true });
            self.feed(&bytes_of(most + 1));
        } else {
            self.feed(read.get(..length).unwrap_or_default());
        }
        self.fed().map_or_else(|| self.bytes.try_get_u8(), Ok)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.settle();
        let number = self.bytes.try_get_i32()?;
        let most = match self.plain {
            Plain::Value => return Ok(number),
            // Such an answer is small, and a list of more elements than its bytes hold is never read to its end.
            Plain::Either => (self.bytes.len() / LEAST_BYTES).max(FEW),
            Plain::Count => MOST,
        };
        let Some(count) = usize::try_from(number).ok().filter(|count| *count > most) else { return Ok(number) };
        let is_count = self.plain == Plain::Count;
        self.shown = Some(Shown { as_number: most + 1, number: count, is_count, is_one_more: false });
        Ok(i32::try_from(most + 1).unwrap_or(i32::MAX))
    }
}

impl ByteBuf for Guard {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.bytes.peek_bytes(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        let real = match self.shown.take() {
            // The length of a text, as it is or one more than it is.
            Some(shown) if shown.as_number == size => shown.number,
            Some(shown) if shown.is_one_more && shown.as_number == size + 1 => shown.number - 1,
            other => {
                self.shown = other;
                self.settle();
                size
            }
        };
        if real > self.bytes.len() {
            self.long = Some(real);
        }
        self.bytes.split_to(real.min(self.bytes.len()))
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

    /// Texts are longer than lists may be, and are read whole all the same.
    #[test]
    fn a_long_text_is_no_list() {
        use kafka_protocol::messages::DescribeGroupsResponse;
        use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
        for version in 0..=5 {
            for length in [0, 1, 127, 128, 5_000, 300_000, MOST + 1, 3 << 20] {
                let member = DescribedGroupMember::default().with_member_metadata(Bytes::from(vec![7; length]));
                let group = DescribedGroup::default().with_members(vec![member; 2]);
                let answer = DescribeGroupsResponse::default().with_groups(vec![group]);
                let mut bytes = BytesMut::new();
                answer.encode(&mut bytes, version).unwrap();
                for plain in [Plain::Either, Plain::Count] {
                    let read: DescribeGroupsResponse = decode_as(&mut bytes.clone().freeze(), version, plain).unwrap();
                    let lengths = read.groups.iter().flat_map(|group| &group.members).map(|m| m.member_metadata.len());
                    assert_eq!(lengths.collect::<Vec<_>>(), [length; 2], "version {version}");
                }
            }
        }
    }

    /// A list of more elements than anything has, though the answer is long enough for it.
    #[test]
    fn a_list_that_is_too_long_is_named() {
        for (version, plain) in [(2, Plain::Count), (3, Plain::Value), (5, Plain::Value)] {
            let mut bad = BytesMut::new();
            ListGroupsResponse::default().encode(&mut bad, version).unwrap();
            bad.truncate(6);
            if version >= 3 {
                bad.put_slice(&[0x82, 0x80, 0xc0, 0x02]); // 5,242,881 elements
            } else {
                bad.put_i32(5_242_881);
            }
            bad.resize(64 << 20, 0);
            let words = decode_as::<ListGroupsResponse>(&mut bad.freeze(), version, plain).unwrap_err();
            assert!(words.contains("a list of 5242881 elements; at most 1048576"), "{version}: {words}");
        }
    }
}
