//! What a coordinator says of a streams group (KIP-1071): messages that the protocol library does not have. Of an answer only
//! what names members is kept, everything else is passed over. Nothing here talks to a broker.

use anyhow::{Result, bail};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

use crate::Request;
use crate::api::Api;

/// Bits of a byte of a variable-length number, and the bit that says that another one follows.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;
/// Most bytes of such a number.
const LONGEST: u32 = 5;

/// Asks who is in one group.
#[derive(Debug, Clone)]
pub(crate) struct StreamsGroupDescribeRequest {
    pub(crate) group_id: GroupId,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StreamsGroupDescribeResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) groups: Vec<DescribedStreamsGroup>,
}

/// A group of the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DescribedStreamsGroup {
    pub(crate) error_code: i16,
    pub(crate) group_id: GroupId,
    pub(crate) members: Vec<StreamsMember>,
}

/// A member of such a group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StreamsMember {
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
}

impl Api for StreamsGroupDescribeRequest {
    const REQUEST: Request = Request::StreamsGroupDescribe;
    type Response = StreamsGroupDescribeResponse;
    fn throttle_ms(answer: &Self::Response) -> i32 {
        answer.throttle_time_ms
    }
}

impl Message for StreamsGroupDescribeRequest {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for StreamsGroupDescribeRequest {
    fn header_version(_: i16) -> i16 {
        2
    }
}

impl HeaderVersion for StreamsGroupDescribeResponse {
    fn header_version(_: i16) -> i16 {
        1
    }
}

impl Encodable for StreamsGroupDescribeRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _: i16) -> Result<()> {
        let id = self.group_id.0.as_bytes();
        // One group: counts and lengths are one more than what they count (KIP-482).
        write_number(buf, 2);
        write_number(buf, u32::try_from(id.len())?.saturating_add(1));
        buf.put_slice(id);
        // Rights are not asked for, and there are no tagged fields.
        buf.put_slice(&[0, 0]);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        let mut body = BytesMut::new();
        self.encode(&mut body, version)?;
        Ok(body.len())
    }
}

fn write_number<B: BufMut>(buf: &mut B, mut number: u32) {
    while number >= u32::from(MORE) {
        buf.put_u8(lowest(number) | MORE);
        number >>= BITS;
    }
    buf.put_u8(lowest(number));
}

/// The bits of a number that one byte of it holds.
fn lowest(number: u32) -> u8 {
    let [byte, ..] = number.to_le_bytes();
    byte & !MORE
}

impl Decodable for StreamsGroupDescribeResponse {
    fn decode<B: ByteBuf>(buf: &mut B, _: i16) -> Result<Self> {
        let throttle_time_ms = buf.try_get_i32()?;
        let mut groups = Vec::new();
        for _ in 0..count(buf)? {
            groups.push(group(buf)?);
        }
        tags(buf)?;
        Ok(Self { throttle_time_ms, groups })
    }
}

fn group<B: ByteBuf>(buf: &mut B) -> Result<DescribedStreamsGroup> {
    let error_code = buf.try_get_i16()?;
    text(buf)?; // the error in words
    let group_id = GroupId(text(buf)?);
    text(buf)?; // state
    pass(buf, 4 + 4)?; // epochs of the group and of its assignment
    if is_there(buf)? {
        pass(buf, 4)?; // epoch of the topology
        each(buf, subtopology)?;
        tags(buf)?;
    }
    let mut members = Vec::new();
    for _ in 0..count(buf)? {
        members.push(member(buf)?);
    }
    pass(buf, 4)?; // rights
    tags(buf)?;
    Ok(DescribedStreamsGroup { error_code, group_id, members })
}

fn subtopology<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf)?; // id
    each(buf, name)?; // topics that it reads
    each(buf, name)?; // topics that it writes
    each(buf, topic)?; // changelogs
    each(buf, topic)?; // repartitioned topics
    tags(buf)
}

fn topic<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf)?; // name
    pass(buf, 4 + 2)?; // partitions, replicas
    each(buf, pair)?;
    tags(buf)
}

fn member<B: ByteBuf>(buf: &mut B) -> Result<StreamsMember> {
    text(buf)?; // id
    pass(buf, 4)?; // epoch
    text(buf)?; // id of the instance
    text(buf)?; // rack
    let (client_id, client_host) = (text(buf)?, text(buf)?);
    pass(buf, 4)?; // epoch of the topology
    text(buf)?; // id of the process
    if is_there(buf)? {
        text(buf)?; // host
        pass(buf, 2)?; // port
        tags(buf)?;
    }
    each(buf, pair)?; // tags of the client
    each(buf, task_offset)?;
    each(buf, task_offset)?;
    assignment(buf)?;
    assignment(buf)?;
    pass(buf, 1)?; // whether it speaks the classic protocol
    tags(buf)?;
    Ok(StreamsMember { client_id, client_host })
}

fn assignment<B: ByteBuf>(buf: &mut B) -> Result<()> {
    for _ in ["active", "standby", "warm-up"] {
        each(buf, tasks)?;
    }
    tags(buf)
}

fn tasks<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf)?; // id of the subtopology
    each(buf, |buf| pass(buf, 4))?; // partitions
    tags(buf)
}

fn task_offset<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf)?; // id of the subtopology
    pass(buf, 4 + 8)?; // partition, offset
    tags(buf)
}

fn pair<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf)?;
    text(buf)?;
    tags(buf)
}

fn name<B: ByteBuf>(buf: &mut B) -> Result<()> {
    text(buf).map(drop)
}

/// Passes over a list.
fn each<B: ByteBuf>(buf: &mut B, one: impl Fn(&mut B) -> Result<()>) -> Result<()> {
    for _ in 0..count(buf)? {
        one(buf)?;
    }
    Ok(())
}

/// How many elements a list has; none where there is no list.
fn count<B: ByteBuf>(buf: &mut B) -> Result<usize> {
    Ok(number(buf)?.saturating_sub(1))
}

/// A text; an empty one where there is none.
fn text<B: ByteBuf>(buf: &mut B) -> Result<StrBytes> {
    let length = number(buf)?.saturating_sub(1);
    Ok(StrBytes::from_utf8(buf.try_get_bytes(length)?)?)
}

/// Whether a block follows that may be absent.
fn is_there<B: ByteBuf>(buf: &mut B) -> Result<bool> {
    Ok(buf.try_get_i8()? > 0)
}

fn tags<B: ByteBuf>(buf: &mut B) -> Result<()> {
    for _ in 0..number(buf)? {
        number(buf)?; // its number
        let length = number(buf)?;
        pass(buf, length)?;
    }
    Ok(())
}

fn pass<B: ByteBuf>(buf: &mut B, bytes: usize) -> Result<()> {
    buf.try_get_bytes(bytes)?;
    Ok(())
}

fn number<B: ByteBuf>(buf: &mut B) -> Result<usize> {
    let mut number = 0_u32;
    for place in 0..LONGEST {
        let byte = buf.try_get_u8()?;
        number |= u32::from(byte & !MORE) << (BITS * place);
        if byte & MORE == 0 {
            return Ok(usize::try_from(number)?);
        }
    }
    bail!("a variable-length number has more than {LONGEST} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard;

    /// Lengths and counts are one more than what they count.
    fn word(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap() + 1], text.as_bytes()].concat()
    }

    /// An answer as Kafka 4.3 writes it: one group with a topology and two members.
    fn answer() -> Vec<u8> {
        let member = |client: &str, endpoint: &[u8]| {
            let tasks = [&[2][..], &word("0"), &[3], &[0, 0, 0, 0], &[0, 0, 0, 1], &[0]].concat();
            let assignment = [&tasks[..], &[1, 1, 0]].concat();
            [
                &word("member")[..],
                &[0, 0, 0, 1, 0, 0], // epoch, no instance, no rack
                &word(client),
                &word("/10.0.0.9"),
                &[0, 0, 0, 0],
                &word("process"),
                endpoint,
                &[2, 4, b'k', b'e', b'y', 2, b'v', 0],                // one tag
                &[2, 2, b'0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0], // one offset
                &[1],
                &assignment,
                &assignment,
                &[0, 0],
            ]
            .concat()
        };
        let changelog = [&[2][..], &word("log"), &[0, 0, 0, 0, 0, 1], &[1, 0]].concat();
        let topology = [&[1, 0, 0, 0, 0, 2][..], &word("0"), &[2], &word("in"), &[1], &changelog, &[1, 0, 0]].concat();
        [
            &[0, 0, 0, 5, 2][..], // throttled for 5 ms, one group
            &[0, 0, 0],           // no error, no words
            &word("app"),
            &word("Stable"),
            &[0, 0, 0, 7, 0, 0, 0, 7],
            &topology,
            &[3],
            &member("one", &[0xff]),
            &member("two", &[&[1][..], &word("host"), &[0x1f, 0x90], &[0]].concat()),
            &[0x80, 0, 0, 0],
            &[0, 1, 3, 2, 1, 2], // no tags of the group, an unknown one of the answer
        ]
        .concat()
    }

    #[test]
    fn members_are_found_among_all_that_an_answer_has() {
        let mut bytes = bytes::Bytes::from(answer());
        let read: StreamsGroupDescribeResponse = guard::decode(&mut bytes, 0).unwrap();
        assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
        assert_eq!((read.throttle_time_ms, read.groups.len()), (5, 1));
        let group = &read.groups[0];
        assert_eq!((group.error_code, group.group_id.0.as_str()), (0, "app"));
        let named: Vec<_> =
            group.members.iter().map(|one| (one.client_id.as_str(), one.client_host.as_str())).collect();
        assert_eq!(named, [("one", "/10.0.0.9"), ("two", "/10.0.0.9")]);
    }

    #[test]
    fn an_answer_that_was_cut_is_an_error() {
        let whole = answer();
        for length in 0..whole.len() {
            let mut bytes = bytes::Bytes::copy_from_slice(&whole[..length]);
            assert!(guard::decode::<StreamsGroupDescribeResponse>(&mut bytes, 0).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_long_id_has_a_length_of_several_bytes() {
        for (length, head) in [(3, vec![2, 4]), (126, vec![2, 127]), (127, vec![2, 0x80, 1]), (300, vec![2, 0xad, 2])] {
            let id = "g".repeat(length);
            let request = StreamsGroupDescribeRequest { group_id: GroupId(StrBytes::from_string(id.clone())) };
            let mut body = BytesMut::new();
            request.encode(&mut body, 0).unwrap();
            assert_eq!(body[..head.len()], head);
            assert_eq!(body[head.len()..], [id.as_bytes(), &[0, 0]].concat());
            assert_eq!(request.compute_size(0).unwrap(), body.len());
        }
    }
}
