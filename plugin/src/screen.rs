//! Where output goes: what the terminal is, how wide, whether colours are wanted; writing to it.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use crate::error::Error;
use crate::words::{cut, harmless, safe, safe_json};

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On terminals, unless the environment says otherwise (`NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How times are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Times {
    /// RFC 3339, in UTC.
    #[default]
    Utc,
    /// RFC 3339, in the zone of this machine.
    Local,
    /// As a distance from now.
    Relative,
}

/// Narrowest and widest text that is laid out.
const WIDTHS: (usize, usize) = (40, 200);
/// Width where nothing else is known.
const USUAL: usize = 80;

/// How text is laid out: plain values, so that the same text can be made in a test.
#[derive(Debug, Clone)]
pub struct Style {
    /// Columns; `None` lays out without a bound.
    pub width: Option<usize>,
    /// Whether colours are used.
    pub colour: bool,
    /// How times are written.
    pub times: Times,
    /// The zone of local times.
    pub zone: TimeZone,
    /// The moment that distances are measured from.
    pub now: Timestamp,
    /// Whether tables have a line of titles.
    pub titles: bool,
}

/// Colours by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
    /// A title.
    Strong,
}

impl Tone {
    const ALL: [Self; 5] = [Self::Good, Self::Warn, Self::Bad, Self::Faint, Self::Strong];

    fn style(self) -> anstyle::Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => anstyle::Style::new().dimmed(),
            Self::Strong => anstyle::Style::new().bold(),
        }
    }
}

impl Style {
    /// Text in a tone; nothing of the text acts.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let (style, text) = (tone.style(), safe(text));
        if self.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text }
    }

    /// The codes that painted text has.
    fn codes(&self) -> Vec<String> {
        let both = |tone: Tone| [format!("{}", tone.style()), format!("{:#}", tone.style())];
        if self.colour { Tone::ALL.into_iter().flat_map(both).collect() } else { Vec::new() }
    }

    /// A moment.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> String {
        let second = at.round(Unit::Second).unwrap_or(at);
        match self.times {
            Times::Utc => second.to_string(),
            Times::Local => second.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Times::Relative => self.distance(at),
        }
    }

    /// A moment in milliseconds since 1970.
    #[must_use]
    pub fn millis(&self, millis: i64) -> String {
        // What is no time is shown as it is.
        Timestamp::from_millisecond(millis).map_or_else(|_| format!("{millis} ms"), |at| self.time(at))
    }

    /// How far away a moment is.
    #[must_use]
    pub fn distance(&self, at: Timestamp) -> String {
        let seconds = self.now.duration_since(at).as_secs();
        if seconds >= 0 {
            format!("{} ago", crate::words::duration(seconds))
        } else {
            format!("in {}", crate::words::duration(-seconds))
        }
    }

    /// The columns to lay out in.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.width.unwrap_or(USUAL)
    }
}

/// Standard output and what is known of it.
#[allow(clippy::struct_excessive_bools)]
pub struct Screen {
    out: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    /// How text is laid out.
    pub style: Style,
    /// Whether somebody watches standard error.
    pub watched: bool,
    /// Whether a person can be asked.
    pub interactive: bool,
    /// Whether messages are wanted.
    pub quiet: bool,
    /// A closed output is no reason to stop.
    works_on: bool,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Screen {
    /// The process's own output.
    #[must_use]
    pub fn new(colour: Colour, times: Times, titles: bool, quiet: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let watched = std::io::stderr().is_terminal() && std::env::var_os("KAFKA_BACKUP_NO_PROGRESS").is_none();
        Self {
            out: Box::new(std::io::BufWriter::new(std::io::stdout())),
            messages: Box::new(std::io::stderr()),
            style: Style {
                width: is_terminal.then(width),
                colour: match colour {
                    Colour::Auto => AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
                    Colour::Always => true,
                    Colour::Never => false,
                },
                times,
                zone: TimeZone::system(),
                now: Timestamp::now(),
                titles,
            },
            watched,
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            quiet,
            works_on: false,
        }
    }

    /// An output that goes nowhere.
    #[must_use]
    pub fn silent(style: Style) -> Self {
        let (out, messages) = (Box::new(std::io::sink()), Box::new(std::io::sink()));
        Self { out, messages, style, watched: false, interactive: false, quiet: true, works_on: false }
    }

    /// From here on the cluster is changed: a command that stopped when its reader goes (`| head -1`) would leave half of it done.
    /// What nobody reads is dropped.
    pub fn work_on(&mut self) {
        self.works_on = true;
    }

    fn unless_closed(&self, written: std::io::Result<()>) -> Result<(), Error> {
        match written.map_err(Error::from) {
            Err(Error::Closed) if self.works_on => Ok(()),
            written => written,
        }
    }

    /// Writes lines to standard output. Whatever stands in them, nothing acts on a terminal but our own colours.
    ///
    /// # Errors
    /// When it is closed.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        let written = self.out.write_all(harmless(text, &self.style.codes()).as_bytes());
        self.unless_closed(written)
    }

    /// Writes JSON to standard output.
    ///
    /// # Errors
    /// When it is closed.
    pub fn json(&mut self, text: &str) -> Result<(), Error> {
        let written = self.out.write_all(safe_json(text).as_bytes());
        self.unless_closed(written)
    }

    /// Makes the terminal empty.
    ///
    /// # Errors
    /// When it is closed.
    pub fn clear(&mut self) -> Result<(), Error> {
        self.bytes(b"\x1b[2J\x1b[H")
    }

    /// Writes bytes to standard output as they are: whoever calls this has looked at them.
    ///
    /// # Errors
    /// When it is closed.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.out.write_all(bytes);
        self.unless_closed(written)
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// When it is closed.
    pub fn flush(&mut self) -> Result<(), Error> {
        let written = self.out.flush();
        self.unless_closed(written)
    }

    /// Writes a line to standard error, unless messages are not wanted.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.complain(line);
        }
    }

    /// Shows how far something is, on one line that the next call replaces; `None` removes it. Only where somebody watches.
    pub fn progress(&mut self, line: Option<&str>) {
        if self.watched && !self.quiet {
            let room =
                terminal_size::terminal_size_of(std::io::stderr()).map_or(USUAL, |(width, _)| usize::from(width.0));
            let text = line.map(|line| cut(&safe(line), room.saturating_sub(1))).unwrap_or_default();
            drop(write!(self.messages, "\r\u{1b}[K{text}"));
            drop(self.messages.flush());
        }
    }

    /// What writes a line to standard error for somebody who has no screen: it works beside whoever has it.
    pub(crate) fn aside(&self) -> impl Fn(&str) + Send + 'static {
        let begin = if self.watched { "\r\u{1b}[K" } else { "" };
        // Nobody is left to tell that this failed.
        move |line: &str| drop(writeln!(std::io::stderr(), "{begin}{}", safe(line)))
    }

    /// Writes a line to standard error.
    pub fn complain(&mut self, line: &str) {
        drop(self.out.flush());
        // Nobody is left to tell that this failed.
        drop(writeln!(self.messages, "{}", harmless(line, &self.style.codes())));
    }
}

fn width() -> usize {
    let known = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    known.unwrap_or(USUAL).clamp(WIDTHS.0, WIDTHS.1)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn whoever_changes_the_cluster_works_on_when_nobody_reads() {
        let mut screen = Screen::new(Colour::Never, Times::Utc, false, true);
        screen.out = Box::new(Gone);
        assert!(matches!(screen.text("a line"), Err(Error::Closed)), "what only shows something ends");
        screen.work_on();
        screen.text("a line").unwrap();
        screen.flush().unwrap();
    }
}
