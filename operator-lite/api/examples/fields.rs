//! Prints the list of all fields of all kinds, as Markdown.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(api::fields::markdown().as_bytes())
}
