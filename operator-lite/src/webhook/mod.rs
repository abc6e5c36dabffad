//! Admission: every resource of ours is judged before it is kept.

mod body;
mod listener;
mod rules;
mod words;

mod request;
mod review;
mod rights;

mod server;

pub use listener::{Certificate, TlsListener};
pub use review::{Judgement, judge};
pub use rules::{Ambient, Rights, Rules};
pub use server::serve;
