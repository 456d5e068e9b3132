//! The command `walkback`.
fn main() {}
