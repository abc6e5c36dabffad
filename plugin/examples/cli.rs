//! Prints the reference of all commands, as Markdown.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(plugin::cli::reference().as_bytes())
}
