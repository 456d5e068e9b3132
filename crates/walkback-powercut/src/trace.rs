//! What happened to the files of a folder, in its order.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that happened to a file, or was told to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// These bytes were written at this place.
    Write(PathBuf, u64, Vec<u8>),
    /// The file was cut to this length.
    Truncate(PathBuf, u64),
    /// Everything before in this file is on the disk.
    Sync(PathBuf),
    /// The file was removed; on the disk, if its folder was synced.
    Delete(PathBuf, bool),
    /// Somebody was told something that must hold from here on: the number of what it was.
    Told(usize),
}

/// What is remembered, while something is: of which folder, and what.
static REMEMBERED: Mutex<Option<(PathBuf, Vec<Op>)>> = Mutex::new(None);

fn remembered() -> MutexGuard<'static, Option<(PathBuf, Vec<Op>)>> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that happens to the files of a folder from its making on, by this process through
/// SQLite. One at a time.
#[derive(Debug)]
pub struct Trace(());

impl Trace {
    /// Begins to remember.
    ///
    /// # Panics
    /// If another trace is going on.
    pub fn begin(folder: &Path) -> Self {
        let before = remembered().replace((folder.to_owned(), Vec::new()));
        assert!(before.is_none(), "one trace at a time");
        Self(())
    }

    /// Somebody is told something now.
    pub fn told(&self, what: usize) {
        if let Some((_, ops)) = &mut *remembered() {
            ops.push(Op::Told(what));
        }
    }

    /// Ends it: what happened.
    pub fn end(self) -> Vec<Op> {
        remembered().take().map(|(_, ops)| ops).unwrap_or_default()
    }
}

/// Does something to a file and remembers it, if anybody wants to know; nothing comes in between.
/// Whoever asks says whether it was done, as SQLite does: by zero.
pub(crate) fn remember(
    path: Option<&Path>,
    op: impl FnOnce(PathBuf) -> Op,
    act: impl FnOnce() -> i32,
) -> i32 {
    let mut remembered = remembered();
    let done = act();
    if done == 0
        && let (Some((folder, ops)), Some(path)) = (&mut *remembered, path)
        && path.starts_with(folder)
    {
        ops.push(op(path.to_owned()));
    }
    done
}

/// Whether syncs are to be made for real: only while somebody remembers them does it matter.
pub(crate) fn is_remembering() -> bool {
    remembered().is_some()
}
