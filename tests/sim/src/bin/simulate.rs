//! Runs simulations for a while.
fn main() {}
