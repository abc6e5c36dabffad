//! `peek`: records of a recovery point, without restoring it.

use std::borrow::Cow;

use clap::{Args, ValueEnum};
use inspect::{Answer, LARGEST_RECORD, Payload, Peek, Question, Record};

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::{Answers, Source};
use crate::steps::{newest, print, with_source};
use crate::words;

/// Flags of `peek`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup peek nightly orders                              the first records of the newest point
  kubectl kafka-backup peek nightly-20261120-020000 orders -p 3 --offset 41201
  kubectl kafka-backup peek nightly orders --at 2026-11-19T08:00:00Z    from that time on
  kubectl kafka-backup peek nightly orders --key customer-17 --limit 1  the first record with that key
  kubectl kafka-backup peek nightly orders -p 0 --offset 5 --limit 1 -o raw   a value as it is
  kubectl kafka-backup peek nightly orders -o jsonl | jq .value

Exit code 1: no record was found.")]
pub struct PeekFlags {
    /// POINT, or a backup: then its newest; `latest` is the newest of all
    point: String,
    /// Topic, or the id of one of its lineages
    topic: String,
    /// Partition; all when absent
    #[arg(short, long)]
    partition: Option<i32>,
    /// First offset
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// First timestamp: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME", conflicts_with = "offset", value_parser = contract::stamp::parse_millis)]
    at: Option<i64>,
    /// Only records with this key; 0x... for bytes
    #[arg(long)]
    key: Option<String>,
    /// Most records
    #[arg(long, default_value_t = 10)]
    limit: u64,
    /// Show headers, too
    #[arg(long)]
    headers: bool,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the records; raw: the values alone, each followed by a line feed, with control bytes escaped on a terminal
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Forms of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Table,
    Jsonl,
    Raw,
    Hex,
}

/// Shows records.
pub(crate) async fn peek(options: PeekFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let key = options.key.as_deref().map(key).transpose()?;
    let name = newest(&options.point);
    let question = Question::Peek(Peek {
        name: name.to_owned(),
        topic: options.topic.clone(),
        partition: options.partition,
        offset: options.offset,
        at: options.at,
        key: key.map(Payload),
        limit: options.limit,
    });
    let read = async |source: &Source, screen: &mut Screen| show_all(source.ask(question), &options, screen).await;
    let shown = with_source(&options.from, connection, name, true, screen, read).await?;
    Ok(if shown == 0 { Exit::No } else { Exit::Done })
}

/// Shows records as they come, and says what was looked at. Returns how many there were.
async fn show_all(mut answers: Answers, options: &PeekFlags, screen: &mut Screen) -> Result<u64, Error> {
    let (mut shown, mut first) = (0, true);
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Record(record) => {
                if first && options.output == Form::Table && screen.style.titles {
                    let titles = show::records::titles(&screen.style);
                    screen.text(&titles)?;
                }
                first = false;
                print_record(&record, options, screen)?;
                screen.flush()?;
            }
            Answer::Scanned(scanned) => {
                shown = scanned.shown;
                let looked = format!("{} looked at, {}", words::count(scanned.records), words::size(scanned.bytes));
                if scanned.too_large > 0 {
                    let count = words::plural(scanned.too_large, "record");
                    let size = words::size(LARGEST_RECORD as u64);
                    screen.say(&format!("{count} larger than {size} passed over: restore them to read them"));
                }
                if scanned.more {
                    screen.say(&format!("there are more: --limit shows more ({looked})"));
                } else if shown == 0 {
                    screen.say(&format!("no record ({looked})"));
                }
            }
            _ => return Err(Error::unexpected("records")),
        }
    }
    Ok(shown)
}

fn print_record(record: &Record, options: &PeekFlags, screen: &mut Screen) -> Result<(), Error> {
    match options.output {
        Form::Table => {
            let line = show::records::line(record, options.headers, &screen.style);
            screen.text(&line)
        }
        Form::Jsonl => print::raw(&show::records::json(record), Output::Jsonl, screen),
        Form::Raw => {
            let value = record.value.as_ref().map_or(&[][..], |value| &value.0);
            screen.bytes(&raw(value, screen.style.width.is_some()))?;
            screen.bytes(b"\n")
        }
        Form::Hex => {
            let text = show::records::hex(record, &screen.style);
            screen.text(&text)
        }
    }
}

/// A value as it is; on a terminal, what would act on it is escaped.
fn raw(value: &[u8], is_terminal: bool) -> Cow<'_, [u8]> {
    if is_terminal { Cow::Owned(words::bytes(value).into_bytes()) } else { Cow::Borrowed(value) }
}

/// A key as it is written on a command line.
fn key(text: &str) -> Result<Vec<u8>, Error> {
    let Some(digits) = text.strip_prefix("0x") else { return Ok(text.as_bytes().to_vec()) };
    let pair = |place| digits.get(place..place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    bytes.ok_or_else(|| {
        Error::usage(format!("--key `{text}` has bytes that are not two hexadecimal digits each"), "write 0x6b01")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_cannot_act_on_a_terminal() {
        assert_eq!(&*raw(b"a\x1b[31m\xff", true), br"a\u{1b}[31m\xff");
        assert_eq!(&*raw(b"a\x1b[31m\xff", false), b"a\x1b[31m\xff");
    }

    #[test]
    fn keys_are_text_or_bytes() {
        assert_eq!(key("customer").unwrap(), b"customer");
        assert_eq!(key("0x6b01").unwrap(), [0x6b, 1]);
        assert_eq!(key("0x").unwrap(), b"");
        for wrong in ["0x6", "0xzz", "0x6ä1"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
