//! Secrets that the API shows once: where they are kept, so that no ledger, log or output has them.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::future::ready;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a keeper answers; an error says why, for people, and never the secret.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Keeps secrets: in a folder, as [`Folder`] does, or in a company's vault. All workers of a store share one.
///
/// A key whose secret it does not have is of no use to anybody, and is replaced.
pub trait Keeper: Send + Sync {
    /// Keeps a secret under this name (`DO00…`), in the place of any other of that name; says where it is,
    /// for people. It is durable when this returns.
    fn keep<'a>(&'a self, name: &'a str, secret: &'a str) -> Kept<'a, String>;

    /// Where the secret of this name is, if it is kept.
    fn find<'a>(&'a self, name: &'a str) -> Kept<'a, Option<String>>;

    /// Forgets the secret of this name, if it is kept.
    fn forget<'a>(&'a self, name: &'a str) -> Kept<'a, ()>;
}

/// A folder with a file for each secret, which only their owner can read.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), String> {
/// use walkback_digitalocean::secrets::{Folder, Keeper};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("secrets");
/// let keeper = Folder::new(&path);
/// let file = keeper.keep("DO00EXAMPLE", "a secret").await?;
/// assert_eq!(std::fs::read_to_string(file).unwrap(), "a secret");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// In this folder, which is made with the first secret.
    pub fn new(path: &Path) -> Self {
        // People are told where a secret is, wherever they are.
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    fn file(&self, name: &str) -> Result<PathBuf, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(format!(
                "`{name}` is no name of a file: expected letters, digits, - and _"
            ));
        }
        Ok(self.0.join(name))
    }

    /// Where it is until it is written to its end.
    fn half(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}"))
    }

    fn write(&self, name: &str, secret: &str) -> Result<PathBuf, String> {
        let (file, new) = (self.file(name)?, self.half(name));
        let written = || {
            if !self.0.exists() {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
                self.0.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?;
            }
            if std::fs::metadata(&self.0)?.permissions().mode() & 0o077 != 0 {
                let why = "others can use the folder: expected one with mode 0700";
                return Err(std::io::Error::other(why));
            }
            gone(std::fs::remove_file(&new))?;
            let mut half =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            half.write_all(secret.as_bytes())?;
            half.sync_all()?;
            std::fs::rename(&new, &file)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|error| format!("`{}`: {error}", file.display()))?;
        Ok(file)
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        let file = self.file(name)?;
        for file in [self.half(name), file] {
            gone(std::fs::remove_file(&file))
                .map_err(|error| format!("`{}`: {error}", file.display()))?;
        }
        Ok(())
    }
}

/// What is not there is gone.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

impl Keeper for Folder {
    fn keep<'a>(&'a self, name: &'a str, secret: &'a str) -> Kept<'a, String> {
        Box::pin(ready(self.write(name, secret).map(|file| shown(&file))))
    }

    fn find<'a>(&'a self, name: &'a str) -> Kept<'a, Option<String>> {
        let found = self.file(name).and_then(|file| match file.try_exists() {
            Ok(there) => Ok(there.then(|| shown(&file))),
            Err(error) => Err(format!("`{}`: {error}", file.display())),
        });
        Box::pin(ready(found))
    }

    fn forget<'a>(&'a self, name: &'a str) -> Kept<'a, ()> {
        Box::pin(ready(self.remove(name)))
    }
}

/// Secrets in this process, gone with it: for tests. Clones share them.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, String>>>);

impl Memory {
    /// The names of what is kept.
    pub fn names(&self) -> Vec<String> {
        self.secrets().keys().cloned().collect()
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper for Memory {
    fn keep<'a>(&'a self, name: &'a str, secret: &'a str) -> Kept<'a, String> {
        self.secrets().insert(name.to_owned(), secret.to_owned());
        Box::pin(ready(Ok(format!("memory:{name}"))))
    }

    fn find<'a>(&'a self, name: &'a str) -> Kept<'a, Option<String>> {
        let there = self.secrets().contains_key(name);
        Box::pin(ready(Ok(there.then(|| format!("memory:{name}")))))
    }

    fn forget<'a>(&'a self, name: &'a str) -> Kept<'a, ()> {
        self.secrets().remove(name);
        Box::pin(ready(Ok(())))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_keeps_secrets_that_only_their_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("beside/secrets");
        let folder = Folder::new(&path);
        assert_eq!(folder.find("DO00A").await.unwrap(), None);
        folder.forget("DO00A").await.unwrap();
        folder.keep("DO00A", "once, and longer").await.unwrap();
        let file = folder.keep("DO00A", "again").await.unwrap();
        assert_eq!(folder.find("DO00A").await.unwrap().as_ref(), Some(&file));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "again");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(Path::new(&file)), mode(&path)), (0o600, 0o700));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
        folder.forget("DO00A").await.unwrap();
        assert_eq!(folder.find("DO00A").await.unwrap(), None);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let error = folder.keep("DO00A", "secret").await.unwrap_err();
        assert!(error.contains("expected one with mode 0700"), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_none() {
        let folder = Folder::new(Path::new("/nonexistent"));
        for name in ["", "../a", "a/b", ".hidden"] {
            let error = folder.keep(name, "secret").await.unwrap_err();
            assert!(error.contains("is no name of a file") && !error.contains("secret"), "{error}");
        }
    }
}
