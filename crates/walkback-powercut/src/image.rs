//! The files as a power cut could have left them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::trace::Op;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What became of the writes that no sync had put on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// None of them arrived.
    Lost,
    /// All of them did.
    Kept,
    /// Each did or did not.
    Some,
    /// Of each, some sectors did.
    Torn,
}

/// The files of a folder after a power cut.
#[derive(Debug, Default)]
pub struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What had been told by then.
    told: Vec<usize>,
    fate: String,
}

impl Image {
    /// The files after a cut behind the first `cut` operations. What is lost of what was not synced
    /// is drawn by `chance`, which gives a number below the one it is given.
    pub fn after(ops: &[Op], cut: usize, chance: &mut dyn FnMut(u64) -> u64) -> Self {
        let ops = &ops[..cut];
        let mut image = Self::default();
        let (synced, folder_synced) = synced(ops);
        let fates = [Fate::Lost, Fate::Kept, Fate::Some, Fate::Torn];
        let fate = fates[usize::try_from(chance(4)).unwrap_or_default()];
        image.fate = format!("{fate:?}");
        for (at, op) in ops.iter().enumerate() {
            let path = match op {
                Op::Write(path, ..) | Op::Truncate(path, _) | Op::Delete(path, _) => path,
                Op::Sync(_) => continue,
                Op::Told(what) => {
                    image.told.push(*what);
                    continue;
                }
            };
            let removed = matches!(op, Op::Delete(..)) && at <= folder_synced;
            let durable = removed || synced.get(&**path).is_some_and(|sync| at <= *sync);
            let arrives = durable
                || match fate {
                    Fate::Lost => false,
                    Fate::Kept | Fate::Torn => true,
                    Fate::Some => chance(2) == 0,
                };
            if arrives {
                image.apply(op, !durable && fate == Fate::Torn, chance);
            }
        }
        image
    }

    fn apply(&mut self, op: &Op, torn: bool, chance: &mut dyn FnMut(u64) -> u64) {
        match op {
            Op::Write(path, at, bytes) => {
                let file = self.files.entry(path.clone()).or_default();
                let at = usize::try_from(*at).unwrap_or(usize::MAX);
                let mut from = 0;
                while from < bytes.len() {
                    // Up to the end of the sector in which this place is.
                    let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
                    if !torn || chance(2) == 0 {
                        if file.len() < at + to {
                            file.resize(at + to, 0);
                        }
                        file[at + from..at + to].copy_from_slice(&bytes[from..to]);
                    }
                    from = to;
                }
            }
            Op::Truncate(path, length) => {
                let file = self.files.entry(path.clone()).or_default();
                file.truncate(usize::try_from(*length).unwrap_or(usize::MAX));
            }
            Op::Delete(path, _) => {
                self.files.remove(path);
            }
            Op::Sync(_) | Op::Told(_) => {}
        }
    }

    /// What had been told before the cut.
    pub fn told(&self) -> &[usize] {
        &self.told
    }

    /// What became of writes without a sync, for people.
    pub fn fate(&self) -> &str {
        &self.fate
    }

    /// Writes the files into `folder`, each under its name.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        for (path, bytes) in &self.files {
            std::fs::write(folder.join(path.file_name().unwrap_or_default()), bytes)?;
        }
        Ok(())
    }
}

/// The last sync of each file, and of the folder. SQLite syncs the folder with the first sync of each
/// log or journal, as that file must be there after a cut; what was removed before is then gone.
fn synced(ops: &[Op]) -> (BTreeMap<&Path, usize>, usize) {
    let (mut synced, mut folder_synced) = (BTreeMap::new(), 0);
    let mut fresh: BTreeMap<&Path, bool> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Sync(path) => {
                let name = path.to_string_lossy();
                let log = name.ends_with("-wal") || name.ends_with("-journal");
                if log && fresh.insert(path, false) != Some(false) {
                    folder_synced = at;
                }
                synced.insert(&**path, at);
            }
            Op::Delete(path, sync) => {
                fresh.insert(path, true);
                if *sync {
                    folder_synced = at;
                    synced.insert(path, at);
                }
            }
            _ => {}
        }
    }
    (synced, folder_synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: u64, byte: u8, length: usize) -> Op {
        Op::Write("f".into(), at, vec![byte; length])
    }

    fn file(ops: &[Op], fate: u64) -> Option<Vec<u8>> {
        let mut first = true;
        // The first number draws the fate; the others keep every second one.
        let mut toggle = 0;
        let mut chance = move |below: u64| {
            if std::mem::take(&mut first) {
                return fate;
            }
            toggle = 1 - toggle;
            toggle % below
        };
        Image::after(ops, ops.len(), &mut chance).files.remove(Path::new("f"))
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_not_be() {
        let ops = [write(0, 1, 4), Op::Sync("f".into()), write(2, 2, 4)];
        assert_eq!(file(&ops, 0), Some(vec![1, 1, 1, 1]));
        assert_eq!(file(&ops, 1), Some(vec![1, 1, 2, 2, 2, 2]));
        assert_eq!(file(&ops[..1], 0), None);
    }

    #[test]
    fn a_torn_write_loses_whole_sectors() {
        let torn = file(&[write(256, 7, 1_024)], 3);
        let kept: Vec<u8> = [vec![0; 512], vec![7; 512]].concat();
        assert_eq!(torn, Some(kept));
    }

    #[test]
    fn a_file_that_was_removed_for_good_is_gone() {
        let ops = [write(0, 1, 4), Op::Sync("f".into()), Op::Delete("f".into(), true)];
        assert_eq!(file(&ops, 0), None);
        let ops = [write(0, 1, 4), Op::Sync("f".into()), Op::Delete("f".into(), false)];
        assert_eq!(file(&ops, 0), Some(vec![1; 4]));
    }
}
