//! Which process works on the file: whoever holds the lock beside it. A dead one holds nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{Enlisted, WorkerId, WorkerInfo};

/// The lock of the one worker, in a file beside the database.
#[derive(Debug)]
pub(super) struct WorkerLock {
    path: PathBuf,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    worker: WorkerId,
    /// Whether it is on its way out: it holds the lock and gets no more runs.
    leaves: bool,
    /// The lock: whoever has the file open and locked.
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started shares the file until it is.
        self.file.unlock().ok();
    }
}

impl WorkerLock {
    pub(super) fn beside(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-worker");
        Self { path: path.into(), held: Mutex::default() }
    }

    /// Takes the lock for `worker`, or says who has it.
    pub(super) fn take(&self, worker: &WorkerInfo) -> std::io::Result<Enlisted> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                return Ok(Enlisted::Taken(serde_json::from_str(&text).ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(worker)?)?;
        let worker = worker.id.unwrap_or(WorkerId(0));
        *self.lock() = Some(Held { worker, leaves: false, file });
        Ok(Enlisted::Working)
    }

    /// Who works, in whichever process.
    pub(super) fn holder(&self) -> std::io::Result<Option<WorkerInfo>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            // Nobody; closing the file lets go again.
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok(serde_json::from_str(&text).ok())
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `worker` works here and is not about to leave.
    pub(super) fn is_held_by(&self, worker: WorkerId) -> bool {
        self.lock().as_ref().is_some_and(|held| held.worker == worker && !held.leaves)
    }

    /// Gives `worker` no more runs; it keeps the lock until it is released.
    pub(super) fn leave(&self, worker: WorkerId) {
        if let Some(held) = self.lock().as_mut().filter(|held| held.worker == worker) {
            held.leaves = true;
        }
    }

    /// Lets go.
    pub(super) fn release(&self, worker: WorkerId) {
        self.lock().take_if(|held| held.worker == worker);
    }
}
