//! Admission: every resource of ours is judged before it is kept.

mod listener;
mod rules;

mod review;

mod server;

pub use listener::{Certificate, TlsListener};
pub use review::{Judgement, judge};
pub use rules::{Ambient, Rights, Rules};
pub use server::serve;
