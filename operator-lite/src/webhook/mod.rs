//! Admission: every resource of ours is judged before it is kept.

mod listener;
mod review;
mod server;

pub use listener::{Certificate, TlsListener};
pub use review::{Judgement, judge};
pub use server::{Ambient, Rights, Rules, serve};
