//! Runs in one SQLite file: the default store. One process works, others start, list and watch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use crate::clock::{Clock, SystemClock};
use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::store::{
    Answer, Appended, Booking, Claim, Claimed, Coordination, Enlisted, Filter, Finding, Head,
    Holder, NewRun, News, Records, Runs, Started, StoreError, StoredRun, Tombstone, Transition,
    Turn, Upkeep, Wanted, WorkerId, WorkerInfo, WorkerSeen,
};
use crate::time::Timestamp;

mod budget;
mod claim;
mod codec;
mod examine;
mod lock;
mod locks;
mod migrate;
mod prune;
mod read;
mod readers;
mod records;
mod write;
mod writer;

use lock::WorkerLock;
use readers::Readers;
use writer::Writer;

/// A store in one SQLite file, durable against kill -9 and loss of power (`synchronous=FULL`).
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("walkback-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let store = walkback::SqliteStore::open(dir.join("walkback.db")).unwrap();
/// assert_eq!(store.pragmas().synchronous, "FULL");
/// # drop(store); std::fs::remove_dir_all(&dir).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    place: Place,
    // Dropped before the lock, which nobody may get while something is still being written.
    writer: Writer,
    readers: Readers,
    lock: Arc<WorkerLock>,
    pragmas: Pragmas,
}

/// The settings that durability and speed depend on, as SQLite reads them back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pragmas {
    /// `wal`.
    pub journal_mode: String,
    /// `FULL`: every commit is on the disk before it is answered.
    pub synchronous: String,
    /// Bytes of a page.
    pub page_size: i64,
    /// Pages of write-ahead log after which it is copied into the file.
    pub wal_autocheckpoint: i64,
    /// SQLite's version.
    pub version: String,
}

/// Where a store is, for errors.
#[derive(Clone, Debug)]
struct Place(Arc<str>);

impl Place {
    fn unusable(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::Unusable { place: self.0.to_string(), why: why.to_string() }
    }

    /// What an error of SQLite means to whoever called the store.
    fn error(&self, error: &rusqlite::Error) -> StoreError {
        let place = self.0.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { place },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                self.unusable(format_args!("{error}: expected a database of walkback"))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => self
                .unusable(format_args!(
                    "{error}: expected a file and a folder that can be written"
                )),
            _ => StoreError::Failed { place, why: error.to_string() },
        }
    }
}

impl SqliteStore {
    /// Opens the store in `path`; makes it if there is no such file.
    ///
    /// # Errors
    /// If it is no database, another program's, of a newer version, or cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), &[])
    }

    /// As [`SqliteStore::open`], but with these pragmas instead, to show what ours are worth: for
    /// tests, as whatever was promised does not hold then.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    #[cfg(feature = "testing")]
    pub fn open_weakened(path: &Path, pragmas: &[(&str, &str)]) -> Result<Self, StoreError> {
        Self::open_with(path, pragmas)
    }

    fn open_with(path: &Path, instead: &[(&str, &str)]) -> Result<Self, StoreError> {
        let place = Place(format!("sqlite:{}", path.display()).into());
        let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|dir| !dir.is_dir()) {
            return Err(place.unusable(format_args!("there is no folder `{}`", folder.display())));
        }
        let connection = Connection::open(path).map_err(|error| place.error(&error))?;
        let pragmas = migrate::prepare(&connection, &place)?;
        for (name, value) in instead {
            let set = connection.pragma_update_and_check(None, name, value, |_| Ok(()));
            // Not every pragma answers.
            if let Err(error @ rusqlite::Error::SqliteFailure(..)) = set {
                return Err(place.error(&error));
            }
        }
        // The real path, so that two names of one file share one lock.
        let real: PathBuf = path.canonicalize().map_err(|error| place.unusable(error))?;
        let lock = Arc::new(WorkerLock::beside(&real));
        let writer = Writer::spawn(connection, place.clone())?;
        let readers = Readers::new(real, place.clone());
        Ok(Self(Arc::new(Parts { place, writer, readers, lock, pragmas })))
    }

    /// The settings in force.
    pub fn pragmas(&self) -> &Pragmas {
        &self.0.pragmas
    }

    /// Commits so far and the transitions in them, by this process: how well group commit works.
    pub fn commits(&self) -> (u64, u64) {
        self.0.writer.commits()
    }

    /// Copies the store into `file` while everything runs, by SQLite's online backup.
    ///
    /// # Errors
    /// If `file` exists or cannot be written.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        if file.exists() {
            let why = format!("`{}` exists: expected a new file for the backup", file.display());
            return Err(self.0.place.unusable(why));
        }
        let (file, place) = (file.to_owned(), self.0.place.clone());
        self.0
            .readers
            .read(move |connection| {
                let mut copy = Connection::open(&file)?;
                let backup = rusqlite::backup::Backup::new(connection, &mut copy)?;
                backup.run_to_completion(i32::MAX, std::time::Duration::from_millis(50), None)?;
                drop(backup);
                copy.close().map_err(|(_, error)| error)
            })
            .await
            .map_err(|error| match error {
                StoreError::Failed { why, .. } => place.unusable(format_args!("backup: {why}")),
                other => other,
            })
    }
}

impl Runs for SqliteStore {
    fn start(&self, run: NewRun, owner: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started> {
        let lock = Arc::clone(&self.0.lock);
        self.0.writer.submit(move |connection| {
            let works = owner.is_none_or(|(worker, _)| lock.is_held_by(worker));
            write::start(connection, &run, owner, works)
        })
    }

    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended> {
        let claim = claim.clone();
        self.0.writer.submit(move |connection| write::append(connection, &claim, &transition))
    }

    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended> {
        self.0.writer.submit(move |connection| write::append_unclaimed(connection, id, &transition))
    }

    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>> {
        self.0.readers.read(move |connection| read::load(connection, id))
    }

    fn head(&self, id: SagaId) -> Answer<'_, Option<Head>> {
        self.0.readers.read(move |connection| read::head(connection, id))
    }

    fn rows(&self, id: SagaId, from: u64) -> Answer<'_, Vec<Row>> {
        self.0.readers.read(move |connection| read::rows(connection, id, from))
    }

    fn list(&self, filter: Filter) -> Answer<'_, Vec<SagaId>> {
        self.0.readers.read(move |connection| read::list(connection, &filter))
    }

    fn scan(&self, after: Option<SagaId>, limit: usize) -> Answer<'_, Vec<StoredRun>> {
        self.0.readers.read(move |connection| read::scan(connection, after, limit))
    }
}

impl Coordination for SqliteStore {
    fn enlist(&self, worker: &WorkerInfo) -> Answer<'_, Enlisted> {
        let worker = worker.clone();
        Box::pin(async move {
            match self.0.lock.take(&worker).map_err(|error| self.0.place.unusable(error))? {
                Enlisted::Working => {}
                taken @ Enlisted::Taken(_) => return Ok(taken),
            }
            // Whoever owned a run before is dead: the lock says so.
            self.0.writer.submit(|connection| claim::orphan(connection, None)).await?;
            Ok(Enlisted::Working)
        })
    }

    fn retire(&self, worker: WorkerId) -> Answer<'_, ()> {
        Box::pin(async move {
            // From here on it is given nothing more, so that nothing is left behind the next line.
            self.0.lock.leave(worker);
            let orphan = move |connection: &Connection| claim::orphan(connection, Some(worker));
            self.0.writer.submit(orphan).await?;
            self.0.lock.release(worker);
            Ok(())
        })
    }

    fn claim(&self, wanted: Wanted) -> Answer<'_, Vec<Claimed>> {
        let lock = Arc::clone(&self.0.lock);
        if !lock.is_held_by(wanted.worker) {
            let place = self.0.place.0.to_string();
            return Box::pin(std::future::ready(Err(StoreError::NotEnlisted { place })));
        }
        self.0.writer.submit(move |connection| {
            if lock.is_held_by(wanted.worker) {
                claim::claim(connection, &wanted)
            } else {
                Ok(vec![])
            }
        })
    }

    fn news(&self, wanted: Wanted) -> Answer<'_, News> {
        self.0.writer.submit(move |connection| claim::news(connection, &wanted))
    }

    fn owned(&self, worker: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>> {
        self.0.readers.read(move |connection| claim::owned_by(connection, worker))
    }

    fn holders(&self, keys: Vec<String>) -> Answer<'_, Vec<Holder>> {
        self.0.readers.read(move |connection| locks::holders(connection, &keys))
    }

    fn let_go(&self, saga: SagaId) -> Answer<'_, ()> {
        self.0.writer.submit(move |connection| locks::let_go(connection, saga))
    }

    fn book(&self, booking: Booking) -> Answer<'_, Turn> {
        self.0.writer.submit(move |connection| budget::book(connection, &booking))
    }

    fn calls(&self, limit: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>> {
        self.0.readers.read(move |connection| read::calls(connection, limit))
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>> {
        Box::pin(async move {
            let works = self.0.lock.holder().map_err(|error| self.0.place.unusable(error))?;
            let Some(info) = works else { return Ok(Vec::new()) };
            // Whoever holds the lock lives at this moment.
            let (seen_at, runs) = (SystemClock.now(), self.0.readers.read(claim::owned).await?);
            Ok(vec![WorkerSeen { info, seen_at, runs, silent: false }])
        })
    }
}

impl Records for SqliteStore {
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        self.0.readers.read(move |connection| records::provisioned(connection, saga))
    }

    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>> {
        self.0.readers.read(move |connection| records::owners(connection, saga))
    }

    fn observe(&self, survey: Survey) -> Answer<'_, Observed> {
        self.0.writer.submit(move |connection| records::observe(connection, &survey))
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        self.0.readers.read(records::resources)
    }
}

impl Upkeep for SqliteStore {
    fn migrate(&self) -> Answer<'_, Option<usize>> {
        // It was brought there when it was opened.
        Box::pin(std::future::ready(Ok(Some(migrate::VERSION))))
    }

    fn examine(&self) -> Answer<'_, Vec<Finding>> {
        self.0.readers.read(examine::examine)
    }

    fn archive(&self, ids: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>> {
        self.0.readers.read(move |connection| prune::archive(connection, &ids))
    }

    fn prune(&self, stone: Tombstone) -> Answer<'_, Appended> {
        self.0.writer.submit(move |connection| prune::prune(connection, &stone))
    }

    fn tombstone(&self, id: SagaId) -> Answer<'_, Option<Tombstone>> {
        self.0.readers.read(move |connection| prune::tombstone(connection, id))
    }
}

#[cfg(test)]
mod tests;
