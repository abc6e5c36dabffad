//! Lists of records in JSON, which the oldest releases wrote: one object after the other, so that a list of any length takes
//! the memory of its largest record.

use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch::Header;
use serde::Deserialize;

use crate::fault::Fault;
use crate::record::{LARGEST_RECORD, Record};

/// Most bytes of one object: base64 takes four bytes for three.
const LARGEST: usize = LARGEST_RECORD / 3 * 4;

/// A record of its own.
#[derive(Debug)]
pub(crate) struct Owned {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Deserialize)]
struct Written {
    offset: i64,
    timestamp: i64,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    headers: Vec<WrittenHeader>,
}

#[derive(Deserialize)]
struct WrittenHeader {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

impl Owned {
    fn parse(json: &[u8], number: u64) -> Result<Self, Fault> {
        let not = |_| Fault::Record { number, what: "is not a record in JSON" };
        let written: Written = archive::from_json(json).map_err(not)?;
        let bytes = |text: Option<String>| {
            let decoded = text.map(|text| STANDARD.decode(text)).transpose();
            decoded.map_err(|_| Fault::Record { number, what: "has a field that is not base64" })
        };
        if written.offset < 0 || written.offset == i64::MAX {
            return Err(Fault::Record { number, what: "has an offset that no record has" });
        }
        let headers = written.headers.into_iter().map(|header| Ok((header.key, bytes(header.value)?)));
        let headers = headers.collect::<Result<_, Fault>>()?;
        let (key, value) = (bytes(written.key)?, bytes(written.value)?);
        Ok(Self { offset: written.offset, timestamp: written.timestamp, key, value, headers })
    }

    /// Plain bytes of key, value and headers.
    pub(crate) fn size(&self) -> u64 {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let headers = self.headers.iter().map(|(key, value)| key.len() as u64 + of(value));
        of(&self.key) + of(&self.value) + headers.sum::<u64>()
    }

    pub(crate) fn borrowed(&self) -> Record<'_> {
        let headers = self.headers.iter().map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() });
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: headers.collect(),
        }
    }
}

/// The objects of a list.
#[derive(Debug)]
pub(crate) struct Objects<R> {
    input: R,
    /// What comes next; nothing before the list began.
    next: Option<Next>,
    object: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    FirstOrEnd,
    CommaOrEnd,
    End,
}

impl<R: BufRead> Objects<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, next: None, object: Vec::new() }
    }

    /// The next record; `None` at the end of the list.
    pub(crate) fn next(&mut self, number: u64) -> Result<Option<Owned>, Fault> {
        if self.next.is_none() {
            if self.visible()? != Some(b'[') {
                return Err(Fault::Json);
            }
            self.next = Some(Next::FirstOrEnd);
        }
        if self.next == Some(Next::End) {
            return Ok(None);
        }
        let mut byte = self.visible()?;
        if byte == Some(b']') {
            self.next = Some(Next::End);
            return if self.visible()?.is_none() { Ok(None) } else { Err(Fault::Json) };
        }
        if self.next == Some(Next::CommaOrEnd) {
            if byte != Some(b',') {
                return Err(Fault::Json);
            }
            byte = self.visible()?;
        }
        if byte != Some(b'{') {
            return Err(Fault::Json);
        }
        self.next = Some(Next::CommaOrEnd);
        self.object(number)?;
        Owned::parse(&self.object, number).map(Some)
    }

    /// The next byte that is no white space.
    fn visible(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            let there = self.input.fill_buf().map_err(|_| Fault::Json)?;
            if there.is_empty() {
                return Ok(None);
            }
            let blank = there.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let found = there.get(blank).copied();
            self.input.consume(blank + usize::from(found.is_some()));
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads on to the end of the object that has begun.
    fn object(&mut self, number: u64) -> Result<(), Fault> {
        self.object.clear();
        self.object.push(b'{');
        let (mut depth, mut in_text, mut escaped) = (1u32, false, false);
        while depth > 0 {
            let there = self.input.fill_buf().map_err(|_| Fault::Json)?;
            if there.is_empty() {
                return Err(Fault::Json);
            }
            let mut taken = 0;
            for byte in there {
                taken += 1;
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => depth += 1,
                    b'}' if !in_text => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            self.object.extend_from_slice(there.get(..taken).unwrap_or_default());
            self.input.consume(taken);
            if self.object.len() > LARGEST {
                return Err(Fault::Record { number, what: "is larger than the 64 MiB that are read at once" });
            }
        }
        Ok(())
    }
}
