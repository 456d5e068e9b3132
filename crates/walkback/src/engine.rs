//! The engine: starts runs, tells of them, takes what people ask. Workers do the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, RwLock, oneshot};

use crate::clock::{Clock, SystemClock};
use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::error::{Error, Mistakes};
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::machine::Status;
use crate::plan::{Plan, StepIdx};
use crate::progress::Progress;
use crate::registry::Registry;
use crate::run::Run;
use crate::store::{
    Enlisted, Filter, Lease, Store, StoredRun, WorkerId, WorkerInfo, WorkerSeen, serves,
};
use crate::wiring;
use crate::worker::{Local, Worker};

mod carry;
mod examine;
mod explain;
mod locks;
mod operate;
mod plan;
mod prune;
mod restored;
mod start;
mod upgrade;
mod view;
mod walk_back;
mod write;

pub use explain::{Explanation, Next};
pub(crate) use operate::Outside;
pub use operate::{Asked, Operation};
pub(crate) use write::{Again, is_final};

pub use plan::{NoUndoView, OptionsView, Place, PlanView, PlannedStep, PlannedUndo, RetryView};
pub use prune::Archived;
pub use upgrade::{Orphan, UpgradeCheck};
pub use view::{ParkedView, Residue, SagaView, StepResult, Waiting};
pub use walk_back::{WalkBack, WalkBackStep};

/// How often to look at a run that another process works on.
const LOOK: Duration = Duration::from_millis(100);
/// How often to look where this process works and tells of every rest by itself.
const LOOK_BESIDE_WORKER: Duration = Duration::from_secs(5);
/// Plans kept, by the text of their steps, as runs of one kind share them.
const PLANS: usize = 1_000;

/// Starts sagas, tells of them, takes what people ask. Cheap to clone.
///
/// ```
/// use walkback::{Engine, MemoryStore, Order, Registry, Status, worker::Until};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
/// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
/// let started = engine.start_saga(Order::steps(["echo", "echo", "fail"])).await?;
/// engine.work_until_idle().await?;
/// let saga = engine.show_saga(started.id).await?;
/// assert_eq!(saga.status, Status::RolledBack);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Engine(pub(crate) Arc<Inner>);

/// What the engine and its workers share.
pub(crate) struct Inner {
    pub(crate) registry: Registry,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Shared by bodies; a suspect of S15 takes it alone.
    pub(crate) quiet: Arc<RwLock<()>>,
    pub(crate) progress: Progress,
    /// Told when a run may need a person.
    pub(crate) attention: Notify,
    local: Mutex<Option<Local>>,
    plans: Mutex<HashMap<Arc<str>, Arc<Plan>>>,
    waiters: Mutex<HashMap<SagaId, Vec<oneshot::Sender<Status>>>>,
    /// Starts whose callers have gone.
    unwatched: Arc<carry::Unwatched>,
}

/// A run that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Start {
    /// Its id.
    pub id: SagaId,
    /// Whether it is new; not, if its key was known.
    pub created: bool,
}

/// Whether this process may work.
#[derive(Debug)]
pub enum Enlistment {
    /// It may.
    Working(Worker),
    /// Another process does; who, if that is known.
    Taken(Option<WorkerInfo>),
}

impl Engine {
    /// An engine over a store.
    ///
    /// # Errors
    /// Every mistake of the registry at once.
    pub fn new(registry: Registry, store: impl Store + 'static) -> Result<Self, Error> {
        Self::with_clock(registry, store, SystemClock)
    }

    /// The same with a clock of its own, for tests.
    ///
    /// # Errors
    /// Every mistake of the registry at once.
    pub fn with_clock(
        registry: Registry,
        store: impl Store + 'static,
        clock: impl Clock + 'static,
    ) -> Result<Self, Error> {
        Mistakes(wiring::check_registry(&registry)).none_or()?;
        Ok(Self::of(registry, Arc::new(store), Arc::new(clock)))
    }

    /// On a registry that is known to have no mistakes.
    pub(crate) fn of(registry: Registry, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            registry,
            store,
            clock,
            quiet: Arc::default(),
            progress: Progress::default(),
            attention: Notify::new(),
            local: Mutex::default(),
            plans: Mutex::default(),
            waiters: Mutex::default(),
            unwatched: Arc::default(),
        }))
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The store, for whoever shares something through it: the budget of a provider's account.
    pub fn shared_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0.store)
    }

    /// Makes this process a worker, or says who is one.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn enlist(&self) -> Result<Enlistment, Error> {
        self.enlist_for(Lease::Usual, []).await
    }

    /// The same with another lease, how long it may be silent before others take its sagas over, and
    /// for these queues; all, if none is named.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn enlist_for(
        &self,
        lease: Lease,
        queues: impl IntoIterator<Item = String>,
    ) -> Result<Enlistment, Error> {
        let queues: Arc<[String]> = queues.into_iter().collect();
        Ok(match self.0.enlist(lease, &queues).await? {
            Ok(id) => Enlistment::Working(Worker::new(Arc::clone(&self.0), id, lease, queues)),
            Err(by) => Enlistment::Taken(by),
        })
    }

    /// Who works on the store, as far as it is known there.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn list_workers(&self) -> Result<Vec<WorkerSeen>, Error> {
        Ok(self.0.store.workers().await?)
    }

    /// Works until nothing is left that moves by itself. For tests and small programs.
    ///
    /// # Errors
    /// If the store cannot be used, or another process works on it.
    pub async fn work_until_idle(&self) -> Result<(), Error> {
        match self.enlist().await? {
            Enlistment::Working(worker) => {
                worker
                    .run(crate::worker::Until::Idle, tokio_util::sync::CancellationToken::new())
                    .await
            }
            Enlistment::Taken(_) => Ok(()),
        }
    }

    /// The sagas that fit `filter`, newest first, without their steps and context.
    ///
    /// # Errors
    /// If the store cannot be used or a run in it is damaged.
    pub async fn list_sagas(&self, filter: Filter) -> Result<Vec<SagaView>, Error> {
        let mut sagas = Vec::new();
        for id in self.0.store.list(filter).await? {
            if let Some(stored) = self.0.store.load(id).await? {
                sagas.push(SagaView::brief(&self.0.fold(stored)?));
            }
        }
        Ok(sagas)
    }

    /// The ids of the sagas that fit `filter`, newest first.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn find_sagas(&self, filter: Filter) -> Result<Vec<SagaId>, Error> {
        Ok(self.0.store.list(filter).await?)
    }

    /// Everything about one saga.
    ///
    /// # Errors
    /// If there is none of this id, or the store cannot be used.
    pub async fn show_saga(&self, id: SagaId) -> Result<SagaView, Error> {
        Ok(SagaView::full(&self.0.load(id).await?, &self.0.progress))
    }

    /// The saga as it was after row `seq` of its ledger.
    ///
    /// # Errors
    /// If there is no such row, or no saga of this id.
    pub async fn show_saga_at(&self, id: SagaId, seq: u64) -> Result<SagaView, Error> {
        let mut stored = self.0.stored(id).await?;
        let last = stored.rows.len() as u64 - 1;
        if seq > last {
            let text = format!("saga {id} has no row {seq}: expected one from 0 to {last}");
            return Err(Error::Mistakes(Mistakes(vec![text])));
        }
        stored.rows.retain(|row| row.seq <= seq);
        Ok(SagaView::full(&self.0.fold(stored)?, &self.0.progress))
    }

    /// The results of a saga's steps. Writing one is the engine's own business: a result is what
    /// the ledger says, and only a claim may write there.
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn list_step_results(&self, id: SagaId) -> Result<Vec<StepResult>, Error> {
        Ok(self.show_saga(id).await?.steps.unwrap_or_default())
    }

    /// What a saga, or every one, has provisioned; what is gone by now included.
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn list_provisioned(&self, id: Option<SagaId>) -> Result<Vec<Provisioned>, Error> {
        if let Some(id) = id {
            self.0.stored(id).await?;
        }
        Ok(self.0.store.provisioned(id).await?)
    }

    /// Everything that sagas have provisioned or a survey has seen, what is gone by now included, by
    /// provider, kind and id there.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn list_resources(&self) -> Result<Vec<Resource>, Error> {
        Ok(self.0.store.resources().await?)
    }

    /// Takes in what a provider says exists. What was there before the survey began and is not in it
    /// is missing; what was missing already is gone: a list may overlook something once.
    ///
    /// # Errors
    /// If the store cannot be used; nothing is taken in then.
    pub async fn record_survey(&self, survey: Survey) -> Result<Observed, Error> {
        Ok(self.0.store.observe(survey).await?)
    }

    /// A saga's ledger from row `from` on.
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn ledger(&self, id: SagaId, from: u64) -> Result<Vec<Row>, Error> {
        let rows = self.0.store.rows(id, from).await?;
        if rows.is_empty() && self.0.store.head(id).await?.is_none() {
            return Err(self.0.not_found(id).await);
        }
        Ok(rows)
    }

    /// Waits until the saga is at rest, whoever works on it, and says how it stands.
    ///
    /// # Errors
    /// If there is none of this id, or the store cannot be used.
    pub async fn wait_for_rest(&self, id: SagaId) -> Result<Status, Error> {
        loop {
            let mut rest = self.0.rest_of(id);
            let Some(head) = self.0.store.head(id).await? else {
                return Err(self.0.not_found(id).await);
            };
            if head.status.at_rest() {
                return Ok(head.status);
            }
            tokio::select! {
                Ok(status) = &mut rest => return Ok(status),
                () = self.0.look_again() => {}
            }
            drop(rest);
            self.0.forget_waiters(id);
        }
    }
}

/// The first step of a plan that a worker does not know.
fn unknown_to(worker: &WorkerInfo, plan: &Plan) -> Option<StepIdx> {
    let knows = |idx: &StepIdx| worker.steps.iter().any(|of| **of == *plan.step(*idx).step);
    (0..plan.len()).find(|idx| !knows(idx))
}

impl Inner {
    /// Enlists a new worker in this process, or says who works.
    pub(crate) async fn enlist(
        &self,
        lease: Lease,
        queues: &[String],
    ) -> Result<Result<WorkerId, Option<WorkerInfo>>, Error> {
        let random = ClaimId::random();
        let id = WorkerId(random.as_bytes().iter().take(7).fold(0, |n, b| n << 8 | u64::from(*b)));
        let info = WorkerInfo {
            id: Some(id),
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            since: self.clock.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            steps: self.registry.known_steps(),
            queues: queues.to_vec(),
            lease,
        };
        Ok(match self.store.enlist(&info).await? {
            Enlisted::Working => Ok(id),
            Enlisted::Taken(by) => Err(by),
        })
    }

    /// Whether another worker that lives serves the run's queue and knows all its steps.
    pub(crate) async fn known_elsewhere(&self, run: &Run) -> Result<bool, Error> {
        let capable = |WorkerSeen { info, .. }| {
            serves(&info.queues, &run.spec.queue) && unknown_to(&info, run.state.plan()).is_none()
        };
        // One that fell silent may only be late, and is not told to look again.
        Ok(self.store.workers().await?.into_iter().any(capable))
    }

    /// Who works on the store, without those who fell silent.
    pub(crate) async fn living_workers(&self) -> Result<Vec<WorkerSeen>, Error> {
        let mut workers = self.store.workers().await?;
        workers.retain(|worker| !worker.silent);
        Ok(workers)
    }

    pub(crate) fn attach(&self, local: Option<Local>) {
        *lock(&self.local) = local;
    }

    /// The plan of steps as stored.
    pub(crate) fn plan(&self, steps: &Arc<str>) -> Result<Arc<Plan>, serde_json::Error> {
        let mut plans = lock(&self.plans);
        if let Some(plan) = plans.get(steps) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::parse(steps)?);
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.insert(Arc::clone(steps), Arc::clone(&plan));
        Ok(plan)
    }

    /// A stored run, folded.
    pub(crate) fn fold(&self, stored: StoredRun) -> Result<Run, Error> {
        let id = stored.spec.id;
        let damaged =
            |error: serde_json::Error| Error::Damaged { id, why: format!("steps: {error}") };
        let plan = self.plan(&stored.spec.steps).map_err(damaged)?;
        Run::fold(stored, plan)
    }

    async fn load(&self, id: SagaId) -> Result<Run, Error> {
        self.fold(self.stored(id).await?)
    }

    async fn stored(&self, id: SagaId) -> Result<StoredRun, Error> {
        match self.store.load(id).await? {
            Some(stored) => Ok(stored),
            None => Err(self.not_found(id).await),
        }
    }

    /// Why there is no such saga: it was pruned, or never there.
    async fn not_found(&self, id: SagaId) -> Error {
        match self.store.tombstone(id).await {
            Ok(Some(stone)) => Error::Pruned(Box::new(stone)),
            Ok(None) => Error::NotFound(id),
            Err(error) => error.into(),
        }
    }

    /// Whether this binary knows every step of the run.
    pub(crate) fn knows(&self, run: &Run) -> bool {
        let plan = run.state.plan();
        (0..plan.len()).all(|idx| self.registry.find(&plan.step(idx).step).is_some())
    }

    /// A commit was made: it is logged, and whoever waits for the run's rest is told.
    pub(crate) fn committed(&self, run: &Run, news: &[Row]) {
        for row in news {
            let (saga, status) = (run.spec.id, run.state.status().name());
            let step = row.step_idx.map(|idx| run.state.plan().name(idx));
            let attempt = row.step_idx.map(|idx| run.state.attempt_of(idx));
            let Row { seq, kind, step_idx, .. } = row;
            tracing::info!(%saga, status, seq, step, step_idx, attempt, "{kind}");
        }
        if run.state.status().at_rest() {
            self.progress.forget(run.spec.id);
            if run.state.needs_attention() {
                self.attention.notify_one();
            }
            for waiter in lock(&self.waiters).remove(&run.spec.id).unwrap_or_default() {
                // A waiter that is gone needs no telling.
                waiter.send(run.state.status()).ok();
            }
        }
    }

    /// Waits until it is time to look at a run whose rest nobody has told of.
    async fn look_again(&self) {
        let works = lock(&self.local).is_some();
        self.clock.sleep(if works { LOOK_BESIDE_WORKER } else { LOOK }).await;
    }

    /// Told when the run comes to rest in this process.
    fn rest_of(&self, id: SagaId) -> oneshot::Receiver<Status> {
        let (told, rest) = oneshot::channel();
        lock(&self.waiters).entry(id).or_default().push(told);
        rest
    }

    /// Forgets those who no longer wait.
    fn forget_waiters(&self, id: SagaId) {
        let mut waiters = lock(&self.waiters);
        if let Some(of_run) = waiters.get_mut(&id) {
            of_run.retain(|waiter| !waiter.is_closed());
            if of_run.is_empty() {
                waiters.remove(&id);
            }
        }
    }
}

/// What to log of these rows once they are committed; nothing, if nobody reads it.
pub(crate) fn news(rows: &[Row]) -> Vec<Row> {
    if tracing::enabled!(tracing::Level::INFO) { rows.to_vec() } else { Vec::new() }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("registry", &self.registry).finish_non_exhaustive()
    }
}
