//! One segment as a stream of records: the binary form of all releases, and the JSON lists of the oldest ones.
//!
//! What it does: unpacks, checks the CRC, counts, and digests while it reads. What it never does: hold more than one record,
//! or believe a number before the bytes for it are there.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use ring::digest::{Context, SHA256};

use crate::fault::Fault;
use crate::legacy::Objects;
use crate::lz4::Lz4Block;
use crate::record::{LARGEST_RECORD, Record};

pub(crate) const HEADER: usize = 32;
const FOOTER: usize = 8;
/// The shortest segment.
const SHORTEST: u64 = (HEADER + FOOTER) as u64;
const MAGIC: &[u8; 4] = b"KBAK";
const END: &[u8; 4] = b"BKAE";
/// Most plain bytes of one segment: a hostile one does not keep a reader busy for days.
const MOST: u64 = 64 << 30;
/// Most memory for what zstd looks back at (2^27 bytes): its highest level takes that.
const ZSTD_WINDOW: u32 = 27;
/// Bytes of a record without key, value and headers.
const FIXED: u64 = 26;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Zstd,
    Lz4,
}

impl Packing {
    /// By the ending of the object's name, which counts for lists of JSON.
    pub(crate) fn of_key(key: &str) -> Self {
        match key.rsplit_once('.').map(|(_, ending)| ending) {
            Some("zst") => Self::Zstd,
            Some("lz4") => Self::Lz4,
            _ => Self::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub(crate) packing: Packing,
    /// Records that it counts.
    pub records: u64,
    /// Offset of its first record.
    pub start: i64,
    /// Offset of its last record.
    pub end: i64,
}

impl Head {
    /// Reads the first bytes of an object; `None` where it is a list of JSON.
    ///
    /// # Errors
    /// A version or codec that nobody wrote.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let field = |from: usize| bytes.get(from..from + 8).and_then(|field| <[u8; 8]>::try_from(field).ok());
        let (Some(version), Some(codec)) = (bytes.get(4), bytes.get(5)) else { return Err(Fault::Short(4)) };
        let (Some(records), Some(start), Some(end)) = (field(8), field(16), field(24)) else {
            return Err(Fault::Short(bytes.len() as u64));
        };
        if *version != 1 {
            return Err(Fault::Version(*version));
        }
        let packing = match codec {
            0 => Packing::None,
            1 => Packing::Zstd,
            2 => Packing::Lz4,
            other => return Err(Fault::Codec(*other)),
        };
        let (start, end) = (i64::from_le_bytes(start), i64::from_le_bytes(end));
        Ok(Some(Self { packing, records: u64::from_le_bytes(records), start, end }))
    }
}

/// What a segment was, once it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its header; `None` for a list of JSON.
    pub head: Option<Head>,
    /// Records that were read.
    pub records: u64,
    /// Offsets of the first and the last of them.
    pub span: Option<(i64, i64)>,
    /// Plain bytes of them, as they were stored.
    pub plain: u64,
    /// Whether each offset is larger than the one before.
    pub ascending: bool,
    /// Whether plain bytes follow the last record.
    pub trailing: bool,
    /// SHA-256 of the object, when all of it was read.
    pub sha256: Option<String>,
}

/// Reads a segment of `size` bytes and gives each record to `take`, which may end it early: then nothing is said of the CRC.
///
/// # Errors
/// What is wrong with it. Records before that were given to `take`.
pub(crate) fn read<R: Read>(
    input: R,
    size: u64,
    packing: Packing,
    take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Facts, Fault> {
    let mut input = Hashed::new(input, size.saturating_sub(FOOTER as u64));
    let mut first = Vec::new();
    input.fill(HEADER, &mut first)?;
    match Head::parse(&first)? {
        Some(_) if size < SHORTEST => Err(Fault::Short(size)),
        Some(head) => binary(input, size, head, take),
        None => legacy(input, first, packing, take),
    }
}

/// The SHA-256 of an object; of a segment the CRC is looked at, too.
///
/// # Errors
/// When it cannot be read, or the CRC is another one.
pub(crate) fn checksum<R: Read>(input: R, size: u64, is_segment: bool) -> Result<String, Fault> {
    let mut input = Hashed::new(input, size.saturating_sub(FOOTER as u64));
    if is_segment {
        finish(&mut input, size)?;
    } else {
        std::io::copy(&mut input, &mut std::io::sink()).map_err(|_| Fault::Input)?;
    }
    Ok(input.digest())
}

fn binary<R: Read>(
    mut input: Hashed<R>,
    size: u64,
    head: Head,
    take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Facts, Fault> {
    let mut seen = Seen::default();
    let result = {
        let body = BufReader::new((&mut input).take(size.saturating_sub(SHORTEST)));
        records(body, &head, &mut seen, take)
    };
    let (stopped, trailing) = match result {
        Err(_) if input.failed => return Err(Fault::Input),
        // Damage of the whole says more than where it shows.
        Err(fault) => {
            finish(&mut input, size)?;
            return Err(fault);
        }
        Ok(found) => found,
    };
    let mut facts = seen.facts(Some(head), trailing);
    if stopped {
        return Ok(facts);
    }
    finish(&mut input, size)?;
    facts.sha256 = Some(input.digest());
    if seen.records != head.records {
        return Err(Fault::Count { counted: head.records, found: seen.records });
    }
    Ok(facts)
}

/// Reads the rest of the body and the footer, and holds the CRC against it.
fn finish<R: Read>(input: &mut Hashed<R>, size: u64) -> Result<(), Fault> {
    let left = size.saturating_sub(FOOTER as u64).saturating_sub(input.at);
    let drained = std::io::copy(&mut input.take(left), &mut std::io::sink());
    let mut footer = Vec::new();
    if drained.is_err() {
        return Err(Fault::Input);
    }
    input.fill(FOOTER, &mut footer)?;
    let (Some(crc), Some(END)) =
        (footer.first_chunk::<4>(), footer.last_chunk::<4>().filter(|_| footer.len() == FOOTER))
    else {
        return Err(Fault::Footer);
    };
    let (stored, actual) = (u32::from_le_bytes(*crc), input.crc.sum());
    if stored == actual { Ok(()) } else { Err(Fault::Crc { stored, actual }) }
}

/// Whether `take` ended it, and whether something follows the last record.
fn records<R: BufRead>(
    body: R,
    head: &Head,
    seen: &mut Seen,
    take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<(bool, bool), Fault> {
    let mut body = unpack(body, head.packing)?;
    let unpackable = |_| Fault::Unpack(head.packing.name());
    let mut bytes = Vec::new();
    while seen.records < head.records {
        let number = seen.records;
        let mut length = [0; 4];
        match read_or_end(&mut body, &mut length).map_err(unpackable)? {
            0 => return Ok((false, false)),
            4 => {}
            _ => return Err(Fault::Record { number, what: "ends in its length" }),
        }
        let length = u64::from(u32::from_le_bytes(length));
        if length > LARGEST_RECORD as u64 {
            return Err(Fault::Record { number, what: "is larger than the 64 MiB that are read at once" });
        }
        if length < FIXED {
            return Err(Fault::Record { number, what: "is shorter than a record can be" });
        }
        bytes.clear();
        bytes.shrink_to(KEPT);
        let read = (&mut body).take(length).read_to_end(&mut bytes).map_err(unpackable)?;
        if (read as u64) < length {
            return Err(Fault::Record { number, what: "is cut off" });
        }
        seen.plain += 4 + length;
        if seen.plain > MOST {
            return Err(Fault::Bomb(MOST));
        }
        if seen.note(&Record::parse(&bytes, number)?, take).is_break() {
            return Ok((true, false));
        }
    }
    let mut one = [0];
    let more = read_or_end(&mut body, &mut one).map_err(unpackable)?;
    Ok((false, more > 0))
}

/// Room for records that is kept between them.
const KEPT: usize = 1 << 20;

fn unpack<'r, R: BufRead + 'r>(body: R, packing: Packing) -> Result<Box<dyn Read + 'r>, Fault> {
    Ok(match packing {
        Packing::None => Box::new(body),
        Packing::Lz4 => Box::new(BufReader::new(Lz4Block::new(body))),
        Packing::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(body).map_err(|_| Fault::Unpack(packing.name()))?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(|_| Fault::Unpack(packing.name()))?;
            Box::new(BufReader::new(decoder))
        }
    })
}

/// Fills `out` as far as there is something.
fn read_or_end(input: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match input.read(out.get_mut(done..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn legacy<R: Read>(
    mut input: Hashed<R>,
    first: Vec<u8>,
    packing: Packing,
    take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Facts, Fault> {
    let mut seen = Seen::default();
    let read = {
        let all = BufReader::new(first.as_slice().chain(&mut input));
        let mut objects = Objects::new(BufReader::new(unpack(all, packing)?.take(MOST)));
        loop {
            let number = seen.records;
            match objects.next(number) {
                Err(fault) => break Err(fault),
                Ok(None) => break Ok(false),
                Ok(Some(owned)) => {
                    seen.plain += owned.size();
                    if seen.note(&owned.borrowed(), take).is_break() {
                        break Ok(true);
                    }
                }
            }
        }
    };
    match read {
        Err(_) if input.failed => Err(Fault::Input),
        Err(fault) => Err(fault),
        Ok(stopped) => {
            let mut facts = seen.facts(None, false);
            if !stopped {
                std::io::copy(&mut input, &mut std::io::sink()).map_err(|_| Fault::Input)?;
                facts.sha256 = Some(input.digest());
            }
            Ok(facts)
        }
    }
}

/// What was seen of the records so far.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    plain: u64,
    span: Option<(i64, i64)>,
    odd: bool,
}

impl Seen {
    fn note(&mut self, record: &Record<'_>, take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.records += 1;
        self.odd |= self.span.is_some_and(|(_, last)| record.offset <= last);
        self.span = Some((self.span.map_or(record.offset, |(first, _)| first), record.offset));
        take(record)
    }

    fn facts(&self, head: Option<Head>, trailing: bool) -> Facts {
        Facts {
            head,
            records: self.records,
            span: self.span,
            plain: self.plain,
            ascending: !self.odd,
            trailing,
            sha256: None,
        }
    }
}

/// What is read, with its checksum (of the first bytes, without the footer) and its digest.
struct Hashed<R> {
    inner: R,
    crc: flate2::Crc,
    crc_until: u64,
    sha: Context,
    at: u64,
    failed: bool,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R, crc_until: u64) -> Self {
        Self { inner, crc: flate2::Crc::new(), crc_until, sha: Context::new(&SHA256), at: 0, failed: false }
    }

    /// Reads so many bytes, or all that there are.
    fn fill(&mut self, most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.take(most as u64).read_to_end(out).map(drop).map_err(|_| Fault::Input)
    }

    fn digest(&self) -> String {
        hex::encode(self.sha.clone().finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = match self.inner.read(out) {
            Ok(read) => read,
            Err(error) => {
                self.failed |= error.kind() != std::io::ErrorKind::Interrupted;
                return Err(error);
            }
        };
        let bytes = out.get(..read).unwrap_or_default();
        let within = usize::try_from(self.crc_until.saturating_sub(self.at)).map_or(read, |left| left.min(read));
        self.crc.update(bytes.get(..within).unwrap_or_default());
        self.sha.update(bytes);
        self.at += read as u64;
        Ok(read)
    }
}
