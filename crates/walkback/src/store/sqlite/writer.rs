//! The one thread that writes: the transitions of many runs share one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::store::sqlite::Place;
use crate::store::{Answer, StoreError};

/// Most jobs in one commit: more would only make the others wait.
const BATCH: usize = 2_000;

/// Sends work to the writing thread. Dropping it waits until everything sent is done: whoever
/// holds the worker's lock next may rely on nothing being written any more.
#[derive(Debug)]
pub(super) struct Writer {
    /// Taken when it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    place: Place,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    jobs: AtomicU64,
}

/// Something to do inside a transaction, and whoever waits for it.
trait Job: Send {
    /// Does it; called again if the transaction it was part of had to be rolled back.
    fn work(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<T, F> {
    work: F,
    result: Option<T>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Connection) -> rusqlite::Result<T> + Send> Job for Task<T, F> {
    fn work(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let answer = match (outcome, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Err(error), _) => Err(error),
            (Ok(()), None) => return,
        };
        // Whoever asked may have gone; what was committed stands all the same.
        self.asker.send(answer).ok();
    }
}

impl Writer {
    pub(super) fn spawn(connection: Connection, place: Place) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let (here, count) = (place.clone(), Arc::clone(&counts));
        let thread = std::thread::Builder::new()
            .name("walkback-writer".to_owned())
            .spawn(move || write(&connection, &inbox, &here, &count))
            .map_err(|error| place.unusable(error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), place, counts })
    }

    /// Commits so far, and the jobs in them.
    pub(super) fn commits(&self) -> (u64, u64) {
        let Counts { commits, jobs } = &*self.counts;
        (commits.load(Ordering::Relaxed), jobs.load(Ordering::Relaxed))
    }

    /// Has `work` done in the next transaction; answered when that is on the disk. It is sent at
    /// once, and done even if nobody awaits the answer.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let (asker, answer) = oneshot::channel();
        let task = Box::new(Task { work, result: None, asker });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(task).is_ok());
        let place = self.place.clone();
        Box::pin(async move {
            let gone = || place.unusable("its writing thread has ended");
            if !sent {
                return Err(gone());
            }
            answer.await.map_err(|_| gone())?
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        // A thread that panicked has nothing left to write.
        self.thread.take().map(JoinHandle::join);
    }
}

fn write(
    connection: &Connection,
    inbox: &mpsc::Receiver<Box<dyn Job>>,
    place: &Place,
    counts: &Counts,
) {
    let mut batch = Vec::new();
    while let Ok(first) = inbox.recv() {
        batch.push(first);
        batch.extend(inbox.try_iter().take(BATCH - 1));
        counts.commits.fetch_add(1, Ordering::Relaxed);
        counts.jobs.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if commit(connection, &mut batch).is_ok() {
            batch.drain(..).for_each(|job| job.answer(Ok(())));
            continue;
        }
        // One of them failed, and with it all: each has its own verdict, alone.
        for mut job in batch.drain(..) {
            let outcome = commit(connection, std::slice::from_mut(&mut job));
            job.answer(outcome.map_err(|error| place.error(&error)));
        }
    }
}

fn commit(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for job in jobs {
        job.work(&transaction)?;
    }
    transaction.commit()
}
