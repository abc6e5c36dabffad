//! What a certificate says of itself, for people. Pure.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The names and addresses that it is for; its subject where it lists none.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// When it ends, in seconds since 1970.
    pub ends: i64,
}

/// Reads a certificate in DER; `None` when it is none.
#[must_use]
pub fn about(der: &[u8]) -> Option<About> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    // Names that cannot be read are none.
    let listed = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> =
        listed.iter().flat_map(|extension| &extension.value.general_names).filter_map(name).collect();
    if names.is_empty() {
        names.push(certificate.subject().to_string());
    }
    let ends = certificate.validity().not_after.timestamp();
    Some(About { names, issuer: certificate.issuer().to_string(), ends })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None, // no address
        },
        _ => None, // no broker is reached by such a name
    }
}
