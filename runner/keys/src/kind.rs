//! What a file is, by its first bytes: PEM, DER, a keystore. Pure.

use x509_parser::der_parser::ber::parse_ber_any;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Begins every keystore of Java's own form.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// Text with blocks.
    Pem(&'a str),
    /// One certificate.
    Certificate,
    /// A store of keys and certificates, PKCS#12.
    Pkcs12,
    /// A store of keys and certificates of Java's own form.
    Jks,
    /// Certificates in a signed message, PKCS#7.
    Pkcs7,
    /// Something else in DER: a key, most likely.
    Der,
    /// Text in two bytes a character.
    Wide,
    /// Nothing of these.
    Other,
}

pub(crate) fn kind(bytes: &[u8]) -> Kind<'_> {
    if bytes.starts_with(&JKS) {
        return Kind::Jks;
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Kind::Wide;
    }
    if bytes.first() == Some(&0x30)
        && let Ok((_, whole)) = parse_ber_any(bytes)
    {
        let is_pfx = whole.data.starts_with(&[0x02, 0x01, 0x03]);
        // 1.2.840.113549.1.7.2, signed data.
        let is_signed = whole.data.starts_with(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
        return match X509Certificate::from_der(bytes) {
            Ok(_) => Kind::Certificate,
            Err(_) if is_pfx => Kind::Pkcs12,
            Err(_) if is_signed => Kind::Pkcs7,
            Err(_) => Kind::Der,
        };
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") || text.contains("-----END ") => Kind::Pem(text),
        _ => Kind::Other,
    }
}

impl Kind<'_> {
    /// Why a file of this kind holds no certificates for us, with the fix.
    pub(crate) fn refusal(&self) -> &'static str {
        match self {
            Self::Jks => {
                "is a keystore of Java's own form (JKS); make a PKCS#12 one: keytool -importkeystore -srckeystore FILE -destkeystore new.p12 -deststoretype PKCS12"
            }
            Self::Pkcs12 => {
                "is a PKCS#12 keystore, and no password is there: put it beside it (ca.password beside ca.p12), or name the file with the certificates in PEM: openssl pkcs12 -in FILE -nokeys -out certificates.pem"
            }
            Self::Pkcs7 => {
                "is a PKCS#7 file; take its certificates out: openssl pkcs7 -in FILE -inform DER -print_certs -out certificates.pem"
            }
            Self::Wide => "is text of two bytes a character (UTF-16); save it as UTF-8",
            Self::Der => "is DER and no certificate",
            Self::Pem(_) | Self::Certificate | Self::Other => "holds no certificate in PEM or DER",
        }
    }
}
