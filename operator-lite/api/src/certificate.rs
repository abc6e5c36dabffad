//! When certificates end, as their PEM says. Pure.

use jiff::Timestamp;
use x509_parser::pem::Pem;

/// The ends of all certificates of a PEM text, in their order (RFC 5280, `notAfter`). What is no certificate is left out.
#[must_use]
pub fn ends(pem: &[u8]) -> Vec<Timestamp> {
    let of = |pem: Pem| {
        // What is no certificate has no end: its owner finds out by TLS.
        let seconds = pem.parse_x509().ok()?.validity().not_after.timestamp();
        Timestamp::from_second(seconds).ok()
    };
    Pem::iter_from_buffer(pem).filter_map(Result::ok).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_tells_its_end() {
        let bundle = include_bytes!("../tests/authorities.pem");
        let told: Vec<String> = ends(bundle).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["2109-01-14T04:43:51Z", "2026-11-26T04:43:51Z"]);
        assert!(ends(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n").is_empty());
        assert!(ends(b"").is_empty());
    }
}
