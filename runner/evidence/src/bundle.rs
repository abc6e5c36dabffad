//! The files of one piece of evidence. Pure.

use keys::Signer;

use crate::canonical::canonical;
use crate::document::Statement;
use crate::dsse::{Envelope, NotMade};
use crate::names::{DOCUMENT, FILES, PAGES};
use crate::pdf;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The files of a document, in the order of [`FILES`].
///
/// # Errors
/// What has no form, or cannot be signed.
pub fn files(document: &Statement, with_pages: bool, signer: Option<&Signer>) -> Result<Vec<File>, NotMade> {
    let text = canonical(document)?;
    let key = signer.map(|signer| signer.public().id());
    let drawn = with_pages.then(|| pdf::pages(document, &crate::sha256(&text), key.as_deref())).transpose()?;
    let sign = |bytes: &[u8]| signer.map(|signer| signer.sign(bytes)).transpose().map_err(NotMade::Signature);
    let mut content: Vec<(&str, &[u8])> = vec![(DOCUMENT, &text)];
    content.extend(drawn.as_ref().map(|drawn| (PAGES, drawn.as_slice())));
    let envelope = match signer {
        Some(signer) => Some(canonical(&Envelope::seal(document, &content, signer)?)?),
        None => None,
    };
    let signed_pages = drawn.as_deref().map(sign).transpose()?.flatten();
    let signed_text = sign(&text)?;
    let [pages, pages_sig, dsse, text_sig, json] = FILES;
    let all =
        [(pages, drawn), (pages_sig, signed_pages), (dsse, envelope), (text_sig, signed_text), (json, Some(text))];
    Ok(all.into_iter().filter_map(|(name, bytes)| Some(File { name, bytes: bytes? })).collect())
}
