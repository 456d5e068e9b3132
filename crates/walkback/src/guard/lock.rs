//! The lock that says "a guard of this run may have a program running on this machine".
//!
//! One file per run, locked *shared* with `flock` by every guard of the run and *exclusive* by
//! whoever finds that nobody is left, who then removes it. The kernel frees such a lock when its
//! holder dies, so a file that is left behind by a killed guard holds up nobody, and the next one
//! to look removes it.
//!
//! **The unlink race.** A name may come to mean another file between opening and locking it. So a
//! lock counts only if, once it is held, the name still means the locked file; and a file is only
//! removed under a lock that is exclusive and counts. Locks are asked for without blocking, again
//! and again: a thread blocked in `flock` could not be called back, and a runtime cannot end
//! before its blocking threads do.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};

/// The first pause between two tries for a lock that another process holds.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause; each is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// The longest run id, in bytes, that is used as a file name as it is.
const LONGEST_NAME: usize = 128;

/// A guard's shared lock. Dropping it frees it, and the last one out removes the file.
pub(super) struct RunLock {
    /// The locked file. `std` opens it close-on-exec: the program does not inherit the lock.
    file: File,
    /// Its name.
    path: PathBuf,
}

impl RunLock {
    /// Takes the lock of `run` in `dir`, both made as needed. Waits only while somebody looks
    /// whether the last lock is gone.
    ///
    /// # Errors
    ///
    /// If the directory is not a private one of this user, or on an input/output error.
    pub(super) async fn share(dir: &Path, run: &str) -> io::Result<Self> {
        let path = dir.join(file_name(run));
        let mut pause = FIRST_PAUSE;
        loop {
            make_dir(dir)?;
            let file = match open(&path, true) {
                Ok(file) => file,
                // Somebody cleans the temporary directory up: make it once more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if !try_lock(&file, FlockOperation::NonBlockingLockShared)? {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            } else if is_named(&file, &path)? {
                return Ok(Self { file, path });
            }
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Making the lock exclusive gives the shared one up first. Of two guards that do this at
        // once the later one finds the earlier one's lock gone, so one of them removes the file.
        // An error only leaves an unlocked file behind.
        if try_lock(&self.file, FlockOperation::NonBlockingLockExclusive).unwrap_or(false) {
            remove(&self.file, &self.path).ok();
        }
    }
}

/// Returns when no guard of `run` holds its lock in `dir`; at once if there is no such file.
///
/// # Errors
///
/// If the directory is not a private one of this user, or on an input/output error.
pub(super) async fn wait(dir: &Path, run: &str) -> io::Result<()> {
    let path = dir.join(file_name(run));
    let mut pause = FIRST_PAUSE;
    loop {
        match check_dir(dir).and_then(|()| open(&path, false)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(file) if try_lock(&file, FlockOperation::NonBlockingLockExclusive)? => {
                if remove(&file, &path)? {
                    return Ok(());
                }
            }
            Ok(_) => {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// The directory of the lock files where none is given: private to this user, on this machine.
pub(super) fn default_dir() -> PathBuf {
    std::env::temp_dir().join(format!("walkback-guards-{}", geteuid().as_raw()))
}

/// Opens a lock file; for writing, because some file systems lock nothing else exclusively.
///
/// # Errors
///
/// `NotFound` if there is none and it is not to be made, or on an input/output error.
fn open(path: &Path, make: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(make).truncate(false).mode(0o600).open(path)
}

/// Removes `path` if it still names `file`, which is locked exclusively; tells whether it did.
///
/// # Errors
///
/// On an input/output error.
fn remove(file: &File, path: &Path) -> io::Result<bool> {
    let ours = is_named(file, path)?;
    if ours {
        fs::remove_file(path)?;
    }
    Ok(ours)
}

/// Asks for a lock without waiting for it; tells whether it was given.
///
/// # Errors
///
/// If the file system has no such locks, or on an input/output error.
fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `path` names the very file that is open as `file`.
///
/// # Errors
///
/// On an input/output error, other than that there is no such name.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes `dir`, private, unless it is there; then checks it.
///
/// # Errors
///
/// As [`check_dir`], or if it cannot be made.
fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => check_dir(dir),
    }
}

/// Checks that `dir` is a directory of this user which nobody else can get into. Its parent is
/// open to all: whoever else had made it could have taken the locks away.
///
/// # Errors
///
/// `NotFound` if there is none, `PermissionDenied` if it is not such a directory.
fn check_dir(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    let text = format!("`{}` must be a directory of this user with mode 0700", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// The name of the lock file of `run`: `<run>.lock`, or a hash (FNV-1a, which no release changes)
/// if the id would not do as a name. Two ids with one hash would only wait for each other's guards.
fn file_name(run: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=LONGEST_NAME).contains(&run.len()) && run.bytes().all(plain) {
        return format!("{run}.lock");
    }
    let hash = run.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("~{hash:016x}.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Locks must not be lost to a file that was removed or made anew in between.
    #[test]
    fn a_held_lock_is_on_the_file_of_its_name() {
        let dir = std::env::temp_dir().join(format!("guarded-lock-{}", std::process::id()));
        let share = async || {
            let lock = RunLock::share(&dir, "run").await.unwrap();
            // Others come and go meanwhile.
            for _ in 0..3 {
                std::thread::yield_now();
                assert!(is_named(&lock.file, &lock.path).unwrap());
            }
        };
        let work = &|waits: bool| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async {
                for _ in 0..2000 {
                    if waits { wait(&dir, "run").await.unwrap() } else { share().await }
                }
            });
        };
        std::thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || work(number % 2 == 0));
            }
        });
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir(&dir).unwrap();
    }

    /// The name may have come to mean another file, which others hold.
    #[test]
    fn only_the_locked_file_is_removed() {
        let path = std::env::temp_dir().join(format!("guarded-remove-{}", std::process::id()));
        let first = open(&path, true).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!remove(&first, &path).unwrap());
        let second = open(&path, true).unwrap();
        assert!(!remove(&first, &path).unwrap() && path.exists());
        assert!(remove(&second, &path).unwrap() && !path.exists());
    }
}
