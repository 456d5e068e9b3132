//! Power cuts for SQLite: a file layer that remembers every write and sync, and the files as a cut at
//! any of them could have left them.

mod image;
mod trace;
mod vfs;

pub use image::Image;
pub use trace::{Op, Trace};
pub use vfs::install;
