//! PEM (RFC 7468), read as tolerantly as it is pasted: on one line, without line feeds between two blocks, with text
//! around. What does not add up is refused whole, so that no block is dropped without a word. Pure.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Beginnings and ends of blocks stand between these.
const DASHES: &str = "-----";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A block.
pub(crate) struct Block {
    /// What it says that it is, as `CERTIFICATE`.
    pub(crate) label: String,
    /// Its bytes; none where it is encrypted in the older form, which is not in DER.
    pub(crate) der: Option<Vec<u8>>,
}

/// The blocks of a text.
///
/// # Errors
/// What does not add up, in fixed words.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    if text.contains("-----\\n") || text.contains("\\n-----") {
        return Err("has \\n in two characters where line feeds belong; write it with real line feeds".to_owned());
    }
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for part in text.split(DASHES) {
        let begins = part.strip_prefix("BEGIN ");
        let ends = part.strip_prefix("END ");
        match (&mut open, begins, ends) {
            (None, Some(label), _) => open = Some((label, String::new())),
            (Some((label, body)), _, Some(end)) if *label == end => {
                blocks.push(block(label, body)?);
                open = None;
            }
            (Some(_), Some(_), _) => return Err(broken("has a block that begins before the one before it ends")),
            (None, _, Some(_)) => return Err(broken("has a block that ends and does not begin")),
            (Some(_), _, Some(_)) => return Err(broken("has a block that ends as another one than it began")),
            (Some((_, body)), None, None) => body.push_str(part),
            // What people write around blocks.
            (None, None, None) => {}
        }
    }
    if open.is_some() {
        return Err(broken("has a block that does not end"));
    }
    Ok(blocks)
}

fn broken(what: &str) -> String {
    format!("{what} (it was cut, or pasted only in part); copy the whole file")
}

fn block(label: &str, body: &str) -> Result<Block, String> {
    let label = label.to_owned();
    if body.contains("Proc-Type:") {
        return Ok(Block { label, der: None });
    }
    let letters: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    match BASE64.decode(letters) {
        Ok(der) if !der.is_empty() => Ok(Block { label, der: Some(der) }),
        _ => Err(broken("has a block that is no base64")),
    }
}
