//! Text that grows by lines. Pure.

use std::fmt::{Display, Write};

use crate::screen::{Style, Tone};

/// A text for people.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds a line: whatever stands in it, it stays one.
    pub fn line(&mut self, text: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{}", text.to_string().replace('\r', "\\r").replace('\n', "\\n"));
    }

    /// Adds the first of these lines in a tone, and how many more there are; `all` says where they stand.
    pub fn first(&mut self, lines: &[String], most: usize, tone: Tone, style: &Style, all: &str) {
        for line in lines.iter().take(most) {
            self.line(style.paint(tone, line));
        }
        if lines.len() > most {
            self.line(format_args!("and {} more; {all}", lines.len() - most));
        }
    }

    /// Adds text that has its own ends of lines.
    pub fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}
