//! Text that grows by lines. Pure.

use std::fmt::{Display, Write};

/// A text for people.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds a line: whatever stands in it, it stays one.
    pub fn line(&mut self, text: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{}", text.to_string().replace('\r', "\\r").replace('\n', "\\n"));
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
