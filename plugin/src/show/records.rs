//! Records as a table, as JSON lines, as they are, or in hexadecimal. Pure.

use inspect::{Payload, Record};
use serde_json::Value;

use super::page::Page;
use crate::screen::{Style, Tone};
use crate::words::{bytes, cut};

/// Columns of a value where nothing bounds the line.
const VALUE: usize = 200;
/// Columns of a key on a narrow terminal, on another one, and where nothing bounds the line.
const KEYS: [usize; 3] = [12, 16, 24];
/// Narrower terminals show no times.
const NARROW: usize = 64;
/// Bytes in a line of a dump.
const DUMP: usize = 16;

/// Titles of records on a line.
#[must_use]
pub fn titles(style: &Style) -> String {
    let text = head("PART", "OFFSET", "TIME", "KEY", style) + "VALUE";
    format!("{}\n", style.paint(Tone::Strong, &text))
}

fn head(partition: &str, offset: &str, time: &str, key: &str, style: &Style) -> String {
    let [narrow, usual, open] = KEYS;
    let (most, times) = match style.width {
        Some(width) if width < NARROW => (narrow, false),
        Some(_) => (usual, true),
        None => (open, true),
    };
    let key = cut(key, most);
    let pad = " ".repeat(most.saturating_sub(crate::words::width(&key)));
    let time = if times { format!("  {time:<20}") } else { String::new() };
    format!("{partition:>4} {offset:>10}{time}  {key}{pad}  ")
}

/// A record on one line.
#[must_use]
pub fn line(record: &Record, with_headers: bool, style: &Style) -> String {
    let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
    let head = head(&partition, &offset, &style.millis(record.timestamp), &shown(record.key.as_ref()), style);
    let room = style.width.map_or(VALUE, |width| width.saturating_sub(crate::words::width(&head)).max(8));
    let mut out = Page::default();
    out.line(format_args!("{head}{}", cut(&shown(record.value.as_ref()), room)));
    if with_headers {
        for (name, value) in &record.headers {
            let text = format!("{} = {}", bytes(&name.0), shown(value.as_ref()));
            out.line(format_args!("{:>17}  {}", "", style.paint(Tone::Faint, &cut(&text, VALUE))));
        }
    }
    out.finish()
}

fn shown(payload: Option<&Payload>) -> String {
    payload.map_or_else(|| "null".to_owned(), |payload| bytes(&payload.0))
}

/// A record as JSON. Bytes that are text stand as text, others in base64 under another name.
#[must_use]
pub fn json(record: &Record) -> Value {
    let headers = record.headers.iter().map(|(name, value)| {
        Value::Object([field("name", Some(name)), field("value", value.as_ref())].into_iter().collect())
    });
    let fields = [
        ("topic".to_owned(), record.topic.as_str().into()),
        ("partition".to_owned(), record.partition.into()),
        ("offset".to_owned(), record.offset.into()),
        ("timestamp".to_owned(), record.timestamp.into()),
        field("key", record.key.as_ref()),
        field("value", record.value.as_ref()),
        ("headers".to_owned(), headers.collect()),
    ];
    Value::Object(fields.into_iter().collect())
}

fn field(name: &str, payload: Option<&Payload>) -> (String, Value) {
    match payload.map(|payload| (payload.text(), payload)) {
        None => (name.to_owned(), Value::Null),
        Some((Some(text), _)) => (name.to_owned(), text.into()),
        Some((None, payload)) => (format!("{name}Base64"), payload.base64().into()),
    }
}

/// A record with its bytes in hexadecimal.
#[must_use]
pub fn hex(record: &Record, style: &Style) -> String {
    let place =
        format!("{}/{} offset {}  {}", record.topic, record.partition, record.offset, style.millis(record.timestamp));
    let mut out = Page::default();
    out.line(style.paint(Tone::Strong, &place));
    dump("key", record.key.as_ref(), &mut out);
    dump("value", record.value.as_ref(), &mut out);
    for (name, value) in &record.headers {
        dump(&format!("header {}", bytes(&name.0)), value.as_ref(), &mut out);
    }
    out.finish()
}

fn dump(name: &str, payload: Option<&Payload>, out: &mut Page) {
    let Some(payload) = payload else {
        out.line(format_args!("  {name}: null"));
        return;
    };
    out.line(format_args!("  {name}: {} bytes", payload.0.len()));
    for (place, chunk) in payload.0.chunks(DUMP).enumerate() {
        let digits = chunk.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let letter = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        let text: String = chunk.iter().map(letter).collect();
        out.line(format_args!("  {:08x}  {digits:<47}  {text}", place * DUMP));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::show::tests::style;

    fn record() -> Record {
        Record {
            topic: "orders".into(),
            partition: 3,
            offset: 41_201,
            timestamp: 1_795_312_800_123,
            key: Some(Payload(b"k\xff\x01".to_vec())),
            value: Some(Payload(b"{\"total\": 12}\x1b[31m".to_vec())),
            headers: vec![(Payload(b"trace".to_vec()), None)],
        }
    }

    #[test]
    fn a_line_shows_any_bytes_and_fits() {
        let text = line(&record(), true, &style(Some(80)));
        assert_eq!(
            text,
            "   3      41201  2026-11-22T02:00:00Z  k\\xff\\u{1}        {\"total\": 12}\\u{1b}[31m\n\
            \x20                  trace = null\n"
        );
        assert!(!text.contains('\u{1b}'));
        let narrow = line(&record(), false, &style(Some(40)));
        assert!(narrow.ends_with("{\"tota...\n") && narrow.len() <= 41, "{narrow:?}");
    }

    #[test]
    fn json_keeps_every_byte() {
        assert_eq!(
            json(&record()),
            json!({
                "topic": "orders", "partition": 3, "offset": 41_201, "timestamp": 1_795_312_800_123_i64,
                "keyBase64": "a/8B", "value": "{\"total\": 12}\u{1b}[31m", "headers": [{"name": "trace", "value": null}],
            })
        );
    }

    #[test]
    fn hexadecimal_shows_what_is_there() {
        let text = hex(&record(), &style(None));
        assert!(text.contains("key: 3 bytes\n  00000000  6b ff 01"), "{text}");
        assert!(text.contains("header trace: null"), "{text}");
    }
}
