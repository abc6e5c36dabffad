//! Prints the JSON schema of evidence.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(&evidence::schema())?;
    writeln!(std::io::stdout(), "{text}")
}
