//! Connections that only read, a few at a time, beside the one that writes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::store::sqlite::Place;
use crate::store::{Answer, StoreError};

/// A pool of read-only connections, made when they are needed.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    path: PathBuf,
    place: Place,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// Connections kept open.
const KEPT: usize = 4;

impl Readers {
    pub(super) fn new(path: PathBuf, place: Place) -> Self {
        Self { path, place, idle: Arc::default() }
    }

    /// Reads on a thread that may block.
    pub(super) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let pool = self.clone();
        Box::pin(async move {
            let place = pool.place.clone();
            let reading = tokio::task::spawn_blocking(move || pool.with(read));
            reading.await.map_err(|error| place.unusable(error))?
        })
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(|error| self.place.error(&error))?,
        };
        // One transaction, so that a run's head and rows are of one moment.
        let reading =
            connection.unchecked_transaction().map_err(|error| self.place.error(&error))?;
        let result = read(&reading).map_err(|error| self.place.error(&error));
        reading.finish().map_err(|error| self.place.error(&error))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        result
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_mins(1))?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }
}
