//! The worker: claims what is due, drives it, and sleeps until there is more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::engine::Inner;
use crate::error::Error;
use crate::id::SagaId;
use crate::store::{Lease, StoreError, WorkerId};

mod desk;
mod drive;
mod foreman;
mod hook;
mod late;
mod perform;
mod transition;
mod unknown;
mod write;

pub use hook::{Hook, Notice, ProgramHook, Told};

use desk::Desk;
pub(crate) use drive::Begun;
use foreman::Foreman;
pub(crate) use transition::Draft;
#[cfg(any(test, feature = "testing"))]
pub(crate) use transition::LOOK_AGAIN;

/// How long a run with unknown steps waits for a worker that knows them, before it parks (S15).
pub(crate) const WAIT_FOR_CAPABLE: Duration = Duration::from_mins(1);
/// When a worker stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When nothing is under way, due, or has a timer.
    Idle,
}

/// A process's right to work, as [`Engine::enlist`](crate::Engine::enlist) gave it.
pub struct Worker {
    engine: Arc<Inner>,
    id: WorkerId,
    lease: Lease,
    concurrency: usize,
    queues: Arc<[String]>,
    hook: Option<Arc<dyn Hook>>,
    /// How often to look, at least, whether another process has written.
    look_most: Duration,
}

/// What the engine of the same process tells its worker.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) id: WorkerId,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) queues: Arc<[String]>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// Something for the worker to do at once.
#[derive(Debug)]
pub(crate) enum Order {
    /// Drive this run, which was started here.
    Drive(Box<Begun>),
    /// Something may be due, or a run of ours was written to.
    Look(Option<SagaId>),
}

impl Worker {
    pub(crate) fn new(
        engine: Arc<Inner>,
        id: WorkerId,
        lease: Lease,
        queues: Arc<[String]>,
    ) -> Self {
        let look_most = engine.store.look_most();
        Self { engine, id, lease, concurrency: 1_000, queues, hook: None, look_most }
    }

    /// How many runs it holds in memory at once; waiting ones do not count. 1,000 if nothing is said.
    #[must_use]
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Looks less often, where virtual time passes by the day.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn looking(mut self, most: Duration) -> Self {
        self.look_most = most;
        self
    }

    /// Tells people by this hook of every saga that needs one.
    ///
    /// ```
    /// use walkback::engine::Enlistment;
    /// use walkback::{Engine, MemoryStore, Registry, worker::ProgramHook};
    /// # use std::sync::Arc;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// if let Enlistment::Working(worker) = engine.enlist().await? {
    ///     let worker = worker.hook(Arc::new(ProgramHook::new("page-the-operator")));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Works until `stop` is cancelled, when it hands over at once, or until `until`.
    ///
    /// # Errors
    /// If the store cannot be used any more; what was under way is taken over by the next worker.
    pub async fn run(self, until: Until, stop: CancellationToken) -> Result<(), Error> {
        let mut foreman = Foreman::new(&self);
        foreman.attach();
        let last = CancellationToken::new();
        let work = async {
            let mut worked = foreman.work(until, &stop).await;
            while matches!(worked, Err(Error::Store(StoreError::NotEnlisted { .. }))) {
                worked = match foreman.begin_again().await {
                    Ok(true) => foreman.work(until, &stop).await,
                    Ok(false) => break,
                    Err(error) => Err(error),
                };
            }
            last.cancel();
            worked
        };
        let desk = async {
            if let Some(hook) = &self.hook {
                Desk::new(Arc::clone(&self.engine), Arc::clone(hook)).work(&stop, &last).await;
            }
        };
        let (worked, ()) = tokio::join!(biased; work, desk);
        self.engine.attach(None);
        foreman.leave().await.and(worked)
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, concurrency, queues, .. } = self;
        let mut worker = f.debug_struct("Worker");
        worker.field("id", id).field("concurrency", concurrency).field("queues", queues);
        worker.finish_non_exhaustive()
    }
}
