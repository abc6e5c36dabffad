//! Somebody who may write to the store: changes one thing of an archive, and mends every digest and link that would
//! show it, so that the change gets as deep as it can.

use std::collections::{BTreeMap, HashMap};

use archive::Digest;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Objects by key.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// Bytes of a segment's trailer: length and digest of the footer, and a word.
const TRAILER: usize = 48;
const WORD: &[u8] = b"KBSEGEND";

/// What becomes of one place of a document.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    To(Value),
    Drop,
    /// An array many times over, or a text.
    Repeat(usize),
    /// The first half of an array.
    Half,
}

/// What becomes of an archive.
#[derive(Debug, Clone)]
pub(crate) enum Harm {
    Remove(usize),
    Cut(usize, usize),
    Flip(usize, usize, u8),
    Swap(usize, usize),
    /// A place of a document, the number of a change, and whether digests and links are mended.
    Document(usize, usize, Change, bool),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(63),
        json!(i32::MAX),
        json!(i32::MIN),
        json!(u32::MAX),
        json!(1u64 << 53),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
    ];
    let others = [Value::Null, json!([]), json!({}), json!(""), json!(true), json!("../../../etc"), json!([[[[]]]])];
    prop_oneof![
        6 => proptest::sample::select(numbers.to_vec()).prop_map(Change::To),
        2 => proptest::sample::select(others.to_vec()).prop_map(Change::To),
        1 => Just(Change::Drop),
        1 => (2usize..2_000).prop_map(Change::Repeat),
        1 => Just(Change::Half),
    ]
}

pub(crate) fn harm() -> impl Strategy<Value = Harm> {
    let any = any::<usize>;
    prop_oneof![
        1 => any().prop_map(Harm::Remove),
        2 => (any(), any()).prop_map(|(key, at)| Harm::Cut(key, at)),
        3 => (any(), any(), 1u8..).prop_map(|(key, at, bits)| Harm::Flip(key, at, bits)),
        1 => (any(), any()).prop_map(|(one, two)| Harm::Swap(one, two)),
        16 => (any(), any(), change(), proptest::bool::weighted(0.9))
            .prop_map(|(key, at, change, mend)| Harm::Document(key, at, change, mend)),
    ]
}

/// One of the objects: in most cases one that everything is read through.
fn pick(objects: &Objects, at: usize) -> String {
    let through = |key: &&String| !key.contains("/log/") && !key.contains("/side/") && !key.contains(".seg");
    let mut keys: Vec<_> = objects.keys().filter(through).filter(|key| !key.contains("/points/")).collect();
    for part in ["/log/main/", "/side/", ".seg", "/points/"] {
        let all: Vec<_> = objects.keys().filter(|key| key.contains(part)).collect();
        keys.extend(all.iter().take(2).chain(all.iter().rev().take(4)).copied());
    }
    let key = if at.is_multiple_of(8) {
        objects.keys().nth(at / 8 % objects.len())
    } else {
        keys.get(at / 8 % keys.len()).copied()
    };
    key.unwrap().clone()
}

/// One place of one document is another value, and all that would show it is mended.
pub(crate) fn forged(objects: &Objects, key: &str, place: &str, value: Value) -> Objects {
    let change = Some((Place::Named(place.to_owned()), Change::To(value)));
    Forger { objects: objects.clone(), target: key.to_owned(), change, ..Forger::new() }.forge()
}

/// All documents are rewritten, and all digests and links are mended.
pub(crate) fn rewritten(objects: &Objects, rewrite: fn(&str, &mut Value)) -> Objects {
    Forger { objects: objects.clone(), rewrite: Some(rewrite), ..Forger::new() }.forge()
}

/// The last segment has this block instead of its own.
pub(crate) fn with_block(objects: &Objects, packed: &[u8], codec: u8, size: u64) -> Objects {
    let mut forger = Forger { objects: objects.clone(), ..Forger::new() };
    let key = objects.keys().rfind(|key| key.contains("/data/")).unwrap().clone();
    let (mut bytes, mut footer) = forger.opened(&key).unwrap();
    bytes.truncate(32);
    bytes.extend_from_slice(packed);
    footer["blocks"] = json!({
        "at": [32], "length": [packed.len()], "codec": [codec], "size": [size], "digest": [half(packed)]
    });
    let segment = forger.with_footer(&key, bytes, &footer);
    forger.objects.insert(key, segment);
    forger.forge()
}

/// This document is these bytes, whatever they are.
pub(crate) fn with_document(objects: &Objects, key: &str, bytes: Vec<u8>) -> Objects {
    let mut forger = Forger { objects: objects.clone(), whole: Some(key.to_owned()), ..Forger::new() };
    forger.objects.insert(key.to_owned(), bytes);
    forger.forge()
}

/// The last segment has this footer, which is packed.
pub(crate) fn with_packed_footer(objects: &Objects, packed: Vec<u8>) -> Objects {
    let mut forger = Forger { objects: objects.clone(), ..Forger::new() };
    let key = objects.keys().rfind(|key| key.contains("/data/")).unwrap().clone();
    let (bytes, _) = forger.opened(&key).unwrap();
    let segment = forger.with_packed_footer(&key, bytes, packed);
    forger.objects.insert(key, segment);
    forger.forge()
}

/// The roll-up has these pages, which tell of `size` bytes and one row each.
pub(crate) fn with_pages(objects: &Objects, packed: &[u8], size: u64, count: u64) -> Objects {
    let mut forger = Forger { objects: objects.clone(), ..Forger::new() };
    let key = objects.keys().rfind(|key| key.contains("/roll/")).unwrap().clone();
    let bytes = objects[&key].clone();
    let (at, mut directory) = directory(&bytes).unwrap();
    let mut out = bytes[..8].to_vec();
    let length = packed.len() as u64;
    let same = |value: Value| vec![value; usize::try_from(count).unwrap()];
    directory["pages"] = json!({
        "at": (0..count).map(|n| 8 + n * length).collect::<Vec<_>>(), "length": same(json!(length)),
        "size": same(json!(size)), "rows": same(json!(1)), "topic": same(json!(0)), "partition": same(json!(0)),
        "digest": same(json!(half(packed))),
    });
    for _ in 0..count {
        out.extend_from_slice(packed);
    }
    assert!(at > 8);
    out.extend(zstd::bulk::compress(&serde_json::to_vec(&directory).unwrap(), 1).unwrap());
    forger.objects.insert(key, out);
    forger.forge()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The first 128 bits of a digest.
fn half(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string().chars().take(32).collect()
}

/// Where a roll-up's directory begins, which is its last frame, and what it says.
fn directory(bytes: &[u8]) -> Option<(usize, Value)> {
    let at = bytes.windows(4).rposition(|window| window == [0x28, 0xb5, 0x2f, 0xfd])?;
    Some((at, open(&bytes[at..])?))
}

/// Does it.
pub(crate) fn harmed(objects: &Objects, harm: &Harm) -> Objects {
    let mut out = objects.clone();
    match harm {
        Harm::Remove(key) => drop(out.remove(&pick(objects, *key))),
        Harm::Cut(key, at) => {
            let bytes = out.get_mut(&pick(objects, *key)).unwrap();
            bytes.truncate(at % (bytes.len() + 1));
        }
        Harm::Flip(key, at, bits) => {
            let bytes = out.get_mut(&pick(objects, *key)).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        Harm::Swap(one, two) => {
            let (one, two) = (pick(objects, *one), pick(objects, *two));
            let bytes = objects[&two].clone();
            out.insert(two, objects[&one].clone());
            out.insert(one, bytes);
        }
        Harm::Document(key, at, change, mend) => {
            let key = pick(objects, *key);
            out = Forger {
                objects: out,
                mend: *mend,
                target: key,
                change: Some((Place::Nth(*at), change.clone())),
                ..Forger::new()
            }
            .forge();
        }
    }
    out
}

fn open(bytes: &[u8]) -> Option<Value> {
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return serde_json::from_slice(&zstd::decode_all(bytes).ok()?).ok();
    }
    serde_json::from_slice(bytes).ok()
}

/// Every place of a document.
fn places(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().take(8).enumerate().for_each(|(n, one)| places(one, format!("{at}/{n}"), out)),
        Value::Object(all) => all.iter().for_each(|(name, one)| places(one, format!("{at}/{name}"), out)),
        _ => {}
    }
    if !at.is_empty() {
        out.push(at);
    }
}

/// A place of a document.
enum Place {
    Nth(usize),
    Named(String),
}

fn changed(document: &mut Value, at: &Place, change: &Change) {
    let mut all = Vec::new();
    match at {
        Place::Named(name) => all.push(name.clone()),
        Place::Nth(_) => places(document, String::new(), &mut all),
    }
    let at = if let Place::Nth(at) = at { at % all.len().max(1) } else { 0 };
    let Some(place) = all.get(at) else { return };
    let (parent, name) = place.rsplit_once('/').unwrap();
    if let Change::Drop = change {
        match document.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.remove(name)),
            Some(Value::Array(all)) => drop(all.pop()),
            _ => {}
        }
        return;
    }
    if let (Some(Value::Object(fields)), Change::To(value)) = (document.pointer_mut(parent), change) {
        fields.insert(name.to_owned(), value.clone());
        return;
    }
    let Some(found) = document.pointer_mut(place) else { return };
    match (change, found) {
        (Change::To(value), found) => *found = value.clone(),
        (Change::Repeat(times), Value::Array(all)) => {
            *all = all.iter().cycle().take(all.len() * times).cloned().collect();
        }
        (Change::Repeat(times), Value::String(text)) => *text = text.repeat(*times),
        (Change::Half, Value::Array(all)) => all.truncate(all.len() / 2),
        _ => {}
    }
}

/// Segments that an entry or a directory names, as they are now.
fn mend_segments(document: &mut Value, set: &str, segments: &HashMap<String, Value>) {
    for segment in document.get_mut("segments").and_then(Value::as_array_mut).into_iter().flatten() {
        let (claim, seq) = (segment["claim"].as_u64().unwrap(), segment["seq"].as_u64().unwrap());
        let name = format!("{set}/data/{claim:020}-{}/{seq:08}.seg", segment["nonce"].as_str().unwrap());
        for (field, value) in segments.get(&name).and_then(Value::as_object).into_iter().flatten() {
            segment[field] = value.clone();
        }
    }
}

struct Forger {
    objects: Objects,
    mend: bool,
    target: String,
    change: Option<(Place, Change)>,
    rewrite: Option<fn(&str, &mut Value)>,
    /// A document that is stored as it is: it may be more than can be read.
    whole: Option<String>,
    /// New references of segments, and of roll-ups by their last entry.
    segments: HashMap<String, Value>,
    rollups: HashMap<u64, Value>,
    digests: BTreeMap<u64, Digest>,
}

impl Forger {
    fn new() -> Self {
        Self {
            objects: Objects::new(),
            mend: true,
            target: String::new(),
            change: None,
            rewrite: None,
            whole: None,
            segments: HashMap::new(),
            rollups: HashMap::new(),
            digests: BTreeMap::new(),
        }
    }

    fn forge(mut self) -> Objects {
        let keys: Vec<String> = self.objects.keys().cloned().collect();
        let (log, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.contains("/log/main/"));
        for key in others.iter().filter(|key| key.contains("/data/")) {
            self.segment(key);
        }
        for key in others.iter().filter(|key| !key.contains("/data/") && !key.contains("/roll/")) {
            self.document(key, |_| {});
        }
        for key in &log {
            self.entry(key, &others);
        }
        for key in others.iter().filter(|key| key.contains("/points/")) {
            let digests = self.digests.clone();
            if self.target != *key && self.mend {
                self.document(key, |hint| {
                    if let Some(digest) = hint["entry"].as_u64().and_then(|entry| digests.get(&entry)) {
                        hint["digest"] = json!(digest);
                    }
                });
            }
        }
        self.objects
    }

    /// Mends a document, harms it where it is the one, and stores it.
    fn document(&mut self, key: &str, mend: impl FnOnce(&mut Value)) {
        if self.whole.as_deref() == Some(key) {
            return;
        }
        let Some(mut value) = self.objects.get(key).and_then(|bytes| open(bytes)) else { return };
        let before = value.clone();
        if self.mend {
            mend(&mut value);
        }
        self.harm(key, &mut value);
        if value != before {
            self.objects.insert(key.to_owned(), serde_json::to_vec(&value).unwrap());
        }
    }

    fn harm(&self, key: &str, value: &mut Value) {
        if let Some(rewrite) = self.rewrite {
            rewrite(key, value);
        }
        if let Some((at, change)) = self.change.as_ref().filter(|_| key == self.target) {
            changed(value, at, change);
        }
    }

    /// A segment up to its footer, and the footer.
    fn opened(&self, key: &str) -> Option<(Vec<u8>, Value)> {
        let bytes = &self.objects[key];
        let trailer = bytes.len() - TRAILER;
        let length = usize::try_from(u64::from_le_bytes(bytes[trailer..trailer + 8].try_into().unwrap())).unwrap();
        let at = trailer - length;
        Some((bytes[..at].to_vec(), open(&bytes[at..trailer])?))
    }

    fn segment(&mut self, key: &str) {
        if key != self.target && self.rewrite.is_none() {
            return;
        }
        let Some((bytes, mut footer)) = self.opened(key) else { return };
        self.harm(key, &mut footer);
        let forged = self.with_footer(key, bytes, &footer);
        self.objects.insert(key.to_owned(), forged);
    }

    fn with_footer(&mut self, key: &str, bytes: Vec<u8>, footer: &Value) -> Vec<u8> {
        let packed = zstd::bulk::compress(&serde_json::to_vec(footer).unwrap(), 1).unwrap();
        self.with_packed_footer(key, bytes, packed)
    }

    fn with_packed_footer(&mut self, key: &str, mut bytes: Vec<u8>, packed: Vec<u8>) -> Vec<u8> {
        let (at, digest) = (bytes.len(), Digest::of(&packed));
        bytes.extend_from_slice(&packed);
        bytes.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&unhex(&digest.to_string()));
        bytes.extend_from_slice(WORD);
        let reference = json!({
            "size": bytes.len(), "footerAt": at, "footerLength": packed.len(), "digest": digest
        });
        self.segments.insert(key.to_owned(), reference);
        bytes
    }

    fn entry(&mut self, key: &str, others: &[String]) {
        let number: u64 = key.rsplit_once('/').unwrap().1.parse().unwrap();
        let set = key.split_once('/').unwrap().0.to_owned();
        let previous = number.checked_sub(1).and_then(|before| self.digests.get(&before)).cloned();
        let (segments, rollups, objects) = (self.segments.clone(), self.rollups.clone(), self.objects.clone());
        self.document(key, |entry| {
            if previous.is_some() {
                entry["previous"] = json!(previous);
            }
            mend_segments(entry, &set, &segments);
            for name in ["configs", "groups"] {
                let side = objects.get(&format!("{set}/side/{number:020}/{name}.json"));
                if let (Some(side), true) = (side, entry["seal"][name].is_object()) {
                    entry["seal"][name] = json!({"size": side.len(), "digest": Digest::of(side)});
                }
            }
            if entry["set"].is_string() {
                entry["set"] = json!(Digest::of(&objects[&format!("{set}/set.json")]));
            }
            if let Some(new) = entry["lastRollup"]["to"].as_u64().and_then(|to| rollups.get(&to)) {
                entry["lastRollup"] = new.clone();
            }
        });
        self.digests.insert(number, Digest::of(&self.objects[key]));
        for key in others.iter().filter(|key| key.contains("/roll/1/") && key.ends_with(&format!("-{number:020}"))) {
            self.rollup(key, number);
        }
    }

    fn rollup(&mut self, key: &str, to: u64) {
        let (from, _) = key.rsplit_once('/').unwrap().1.split_once('-').unwrap();
        let from: u64 = from.parse().unwrap();
        let bytes = self.objects[key].clone();
        let Some((at, mut directory)) = directory(&bytes) else { return };
        if self.mend {
            directory["last"] = json!(self.digests.get(&to));
            if let Some(before) = from.checked_sub(1) {
                directory["before"] = json!(self.digests.get(&before));
            }
            mend_segments(&mut directory, key.split_once('/').unwrap().0, &self.segments);
            let entries = directory["seals"]["entry"].as_array().cloned().unwrap_or_default();
            for (place, entry) in entries.iter().enumerate() {
                directory["seals"]["digest"][place] = json!(entry.as_u64().and_then(|entry| self.digests.get(&entry)));
            }
            if let Some(new) = directory["previous"]["to"].as_u64().and_then(|to| self.rollups.get(&to)) {
                directory["previous"] = new.clone();
            }
        }
        self.harm(key, &mut directory);
        let mut out = bytes[..at].to_vec();
        let directory = serde_json::to_vec(&directory).unwrap();
        out.extend_from_slice(&directory);
        let reference = json!({
            "level": 1, "from": from, "to": to, "size": out.len(), "directoryAt": at, "digest": Digest::of(&directory)
        });
        self.rollups.insert(to, reference);
        self.objects.insert(key.to_owned(), out);
    }
}
