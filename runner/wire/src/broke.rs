//! How a connection ended, or why none came about: decisions look at the kind, and people read the words. Pure.

use std::io;
use std::sync::Arc;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broke {
    /// The peer closed it.
    Closed,
    /// The peer broke it off.
    Reset,
    /// TLS ended it; these are the library's words, from which the reason is read.
    Tls(Arc<str>),
    /// TLS did not come about at all, since the connection ended.
    NoTls(Box<Broke>),
    /// The system refuses it, in words of ours.
    System(String),
    /// We gave it up, with the reason.
    GivenUp(Arc<str>),
}

impl Broke {
    /// What a failure of reading, writing or connecting is.
    pub(crate) fn of(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.to_string().into());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Self::Closed,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            _ => Self::System(contract::words::of_connection(error)), // it is no doing of the peer
        }
    }

    /// Given up for this reason.
    pub(crate) fn given_up(reason: impl Into<Arc<str>>) -> Self {
        Self::GivenUp(reason.into())
    }

    /// Whether the peer ended it without a word.
    pub(crate) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }
}

impl std::fmt::Display for Broke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("it closed the connection"),
            Self::Reset => f.write_str("it broke the connection off"),
            Self::Tls(_) => f.write_str("TLS ended the connection"),
            Self::NoTls(inner) => write!(f, "no TLS came about: {inner}"),
            Self::System(words) => f.write_str(words),
            Self::GivenUp(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_known_and_the_words_are_ours() {
        let of = |number| Broke::of(&io::Error::from_raw_os_error(number));
        assert_eq!((of(104), of(32)), (Broke::Reset, Broke::Closed));
        assert!(of(104).is_hang_up() && of(32).is_hang_up() && !of(111).is_hang_up());
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert!(matches!(Broke::of(&io::Error::new(io::ErrorKind::InvalidData, alert)), Broke::Tls(_)));
        for number in 1..134 {
            assert!(!of(number).to_string().contains("os error"), "{number}");
        }
    }
}
