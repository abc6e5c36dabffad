//! The webhook's certificate: our own authority and leaf in a Secret, or files of somebody else (cert-manager).

mod files;
mod keeper;
mod material;

pub use files::follow_files;
pub use keeper::{Keeper, keep};
pub use material::{Lifetimes, Material, Renewal, step};
