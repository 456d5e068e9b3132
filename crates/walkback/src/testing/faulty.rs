//! A store that dies, or loses its answer, at one chosen call.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::store::{
    Answer, Appended, Booking, Claim, Claimed, Coordination, Enlisted, Filter, Finding, Head,
    Holder, NewRun, News, Records, Runs, Started, Store, StoreError, StoredRun, Tombstone,
    Transition, Turn, Upkeep, Wanted, WorkerId, WorkerInfo, WorkerSeen,
};
use crate::testing::chance::Chance;
use crate::time::Timestamp;

/// Microseconds that a call, or a part of a body, takes at most where it takes any time.
const SLOWEST: u64 = 300;

/// What goes wrong at one call of the store, or inside one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the call does anything.
    DieBefore,
    /// The process dies after the commit, before the answer.
    DieAfter,
    /// It was committed, the answer is an error, the process lives (promise I19).
    LoseAnswer,
    /// Nothing was committed, the answer is an error, the process lives.
    FailOnce,
    /// It was committed, then somebody else cancels the saga, and only then the answer is lost.
    LoseRace,
    /// A start or an append is an error, the process lives, and its next call finds nothing of it. Only
    /// after that it is committed: a server has it still, from a connection that broke.
    LandLate,
    /// The process dies at this point inside a body.
    DieInBody,
}

impl Fault {
    /// The whole alphabet.
    pub const ALL: [Self; 7] = [
        Self::DieBefore,
        Self::DieAfter,
        Self::LoseAnswer,
        Self::FailOnce,
        Self::LoseRace,
        Self::LandLate,
        Self::DieInBody,
    ];

    fn strikes_at(self) -> Place {
        match self {
            Self::LandLate => Place::Commit,
            Self::DieInBody => Place::Body,
            _ => Place::Call,
        }
    }
}

/// Where a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Call,
    Commit,
    Body,
}

/// A commit that is still to come.
type Landing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What somebody else does with the store between a commit and its answer.
pub(super) type Interloper =
    Box<dyn Fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// One life of a process, in which at most one thing goes wrong.
///
/// ```
/// use walkback::testing::{Fault, Faults};
/// let life = Faults::new(Fault::DieBefore, 3);
/// assert!(!life.fired());
/// ```
#[derive(Default)]
pub struct Faults {
    planned: Option<(Fault, u64)>,
    interloper: Option<Interloper>,
    /// How long everything takes, drawn by chance; nothing, if nothing takes any time.
    pace: Option<Mutex<Chance>>,
    landing: Mutex<Option<Landing>>,
    /// Calls, starts and appends among them, and points inside bodies so far.
    calls: AtomicU64,
    commits: AtomicU64,
    points: AtomicU64,
    fired: AtomicBool,
    died: CancellationToken,
    /// Whether the process is stopped (SIGSTOP): it does nothing until it goes on.
    stopped: watch::Sender<bool>,
    /// Whether the others have gone on without it.
    taken_for_dead: AtomicBool,
    worker: Mutex<Option<WorkerId>>,
}

impl Faults {
    /// `fault` strikes at the `nth` call (or, inside bodies, the `nth` point), from one.
    pub fn new(fault: Fault, nth: u64) -> Arc<Self> {
        Arc::new(Self { planned: Some((fault, nth)), ..Self::default() })
    }

    /// The same, with what somebody else does where the fault is a lost race.
    pub(super) fn raced(fault: Fault, nth: u64, interloper: Interloper) -> Arc<Self> {
        let interloper = Some(interloper);
        Arc::new(Self { planned: Some((fault, nth)), interloper, ..Self::default() })
    }

    /// A life in which everything takes some time, so that others get in between.
    pub fn paced(planned: Option<(Fault, u64)>, seed: u64) -> Arc<Self> {
        let pace = Some(Mutex::new(Chance::new(seed)));
        Arc::new(Self { planned, pace, ..Self::default() })
    }

    /// Nothing goes wrong.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// Whether it has gone wrong.
    pub fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    /// Cancelled when the process has died.
    pub fn died(&self) -> &CancellationToken {
        &self.died
    }

    /// The worker that this life enlisted.
    pub fn worker(&self) -> Option<WorkerId> {
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, place: Place) -> Option<Fault> {
        let counter = match place {
            Place::Call => &self.calls,
            Place::Commit => &self.commits,
            Place::Body => &self.points,
        };
        let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let (fault, nth) = self.planned?;
        let strikes = nth == now && fault.strikes_at() == place;
        if strikes {
            self.fired.store(true, Ordering::SeqCst);
        }
        strikes.then_some(fault)
    }

    fn landing(&self) -> MutexGuard<'_, Option<Landing>> {
        self.landing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process dies.
    pub(super) fn die(&self) {
        self.died.cancel();
    }

    /// The others go on without the process.
    pub(super) fn take_for_dead(&self) {
        self.taken_for_dead.store(true, Ordering::SeqCst);
    }

    /// Whether they have: what it does from then on comes late.
    pub(super) fn is_taken_for_dead(&self) -> bool {
        self.taken_for_dead.load(Ordering::SeqCst)
    }

    /// The process is stopped, or goes on.
    pub(super) fn stop(&self, stopped: bool) {
        self.stopped.send_replace(stopped);
    }

    /// The stopped do nothing until they go on; the dead nothing any more, not even return.
    async fn alive(&self) {
        if let Some(pace) = &self.pace {
            let micros = pace.lock().unwrap_or_else(PoisonError::into_inner).below(SLOWEST);
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        let mut stopped = self.stopped.subscribe();
        // The sender is ours: there is always one.
        stopped.wait_for(|stopped| !stopped).await.ok();
        if self.died.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// A place inside a body at which the process may die.
    pub async fn point(&self) {
        self.alive().await;
        if self.strikes(Place::Body).is_some() {
            self.died.cancel();
        }
        self.alive().await;
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut faults = f.debug_struct("Faults");
        faults.field("planned", &self.planned).field("fired", &self.fired).finish_non_exhaustive()
    }
}

/// A bug of an engine or of its store, planted to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A commit that was refused is taken for applied.
    RefusedTakenForApplied,
    /// Nobody is told that the last owner died.
    OrphansForgotten,
    /// What an operator asks is answered, and not written.
    AskedAndForgotten,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::RefusedTakenForApplied, Self::OrphansForgotten, Self::AskedAndForgotten];
}

/// A store behind one life of a process.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
    planted: Option<Planted>,
}

impl Faulty {
    /// `inner` as this life sees it.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Self { inner, faults, planted: None }
    }

    /// The same with a bug.
    pub(super) fn planting(self, planted: Option<Planted>) -> Self {
        Self { planted, ..self }
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> Answer<'a, T> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            self.faults.alive().await;
            let struck = self.faults.strikes(Place::Call);
            match struck {
                Some(Fault::DieBefore) => self.faults.died.cancel(),
                Some(Fault::FailOnce) => return Err(lost()),
                _ => {}
            }
            self.faults.alive().await;
            let answer = call(&*self.inner).await;
            let landing = self.faults.landing().take();
            if let Some(landing) = landing {
                landing.await;
            }
            match struck {
                Some(Fault::DieAfter) => self.faults.died.cancel(),
                Some(Fault::LoseAnswer) => return Err(lost()),
                Some(Fault::LoseRace) => {
                    if let Some(interloper) = &self.faults.interloper {
                        interloper(Arc::clone(&self.inner)).await;
                    }
                    return Err(lost());
                }
                _ => {}
            }
            self.faults.alive().await;
            answer
        })
    }

    /// Whether a commit is to land late: it does so after the next call.
    fn lands_late<F>(&self, commit: impl FnOnce(Arc<dyn Store>) -> F) -> bool
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let struck = self.faults.strikes(Place::Commit).is_some();
        if struck {
            let commit = commit(Arc::clone(&self.inner));
            *self.faults.landing() = Some(Box::pin(async move {
                // Whether it was still applied is found in the store.
                commit.await.ok();
            }));
        }
        struck
    }
}

/// Fails, after some time, so that what is written again is not the same by chance.
fn not_yet<T>() -> Answer<'static, T> {
    Box::pin(async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err(lost())
    })
}

fn lost() -> StoreError {
    StoreError::Failed { place: "faulty".into(), why: "no answer".into() }
}

impl Runs for Faulty {
    fn start(&self, run: NewRun, owner: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started> {
        let late = |store: Arc<dyn Store>| {
            let run = run.clone();
            async move { store.start(run, owner).await.map(drop) }
        };
        if self.lands_late(late) {
            return not_yet();
        }
        self.call(move |store| store.start(run, owner))
    }

    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended> {
        let forgiving = self.planted == Some(Planted::RefusedTakenForApplied);
        let late = |store: Arc<dyn Store>| {
            let (claim, transition) = (claim.clone(), transition.clone());
            async move { store.append(&claim, transition).await.map(drop) }
        };
        if self.lands_late(late) {
            return not_yet();
        }
        self.call(move |store| {
            Box::pin(async move {
                let appended = store.append(claim, transition).await?;
                Ok(if forgiving { Appended::Applied } else { appended })
            })
        })
    }

    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended> {
        if self.planted == Some(Planted::AskedAndForgotten) {
            return self.call(|_| Box::pin(std::future::ready(Ok(Appended::Applied))));
        }
        let late = |store: Arc<dyn Store>| {
            let transition = transition.clone();
            async move { store.append_unclaimed(id, transition).await.map(drop) }
        };
        if self.lands_late(late) {
            return not_yet();
        }
        self.call(move |store| store.append_unclaimed(id, transition))
    }

    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>> {
        self.call(move |store| store.load(id))
    }

    fn head(&self, id: SagaId) -> Answer<'_, Option<Head>> {
        self.call(move |store| store.head(id))
    }

    fn rows(&self, id: SagaId, from: u64) -> Answer<'_, Vec<Row>> {
        self.call(move |store| store.rows(id, from))
    }

    fn list(&self, filter: Filter) -> Answer<'_, Vec<SagaId>> {
        self.call(move |store| store.list(filter))
    }

    fn scan(&self, after: Option<SagaId>, limit: usize) -> Answer<'_, Vec<StoredRun>> {
        self.call(move |store| store.scan(after, limit))
    }
}

impl Coordination for Faulty {
    fn enlist(&self, worker: &WorkerInfo) -> Answer<'_, Enlisted> {
        let worker = worker.clone();
        *self.faults.worker.lock().unwrap_or_else(PoisonError::into_inner) = worker.id;
        self.call(move |store| Box::pin(async move { store.enlist(&worker).await }))
    }

    fn retire(&self, worker: WorkerId) -> Answer<'_, ()> {
        self.call(move |store| store.retire(worker))
    }

    fn claim(&self, wanted: Wanted) -> Answer<'_, Vec<Claimed>> {
        let forgets = self.planted == Some(Planted::OrphansForgotten);
        self.call(move |store| {
            Box::pin(async move {
                let mut claimed = store.claim(wanted).await?;
                for claimed in &mut claimed {
                    claimed.orphaned &= !forgets;
                }
                Ok(claimed)
            })
        })
    }

    fn news(&self, wanted: Wanted) -> Answer<'_, News> {
        self.call(move |store| store.news(wanted))
    }

    fn owned(&self, worker: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>> {
        self.call(move |store| store.owned(worker))
    }

    fn holders(&self, keys: Vec<String>) -> Answer<'_, Vec<Holder>> {
        self.call(move |store| store.holders(keys))
    }

    fn let_go(&self, saga: SagaId) -> Answer<'_, ()> {
        self.call(move |store| store.let_go(saga))
    }

    fn book(&self, booking: Booking) -> Answer<'_, Turn> {
        self.call(move |store| store.book(booking.clone()))
    }

    fn calls(&self, limit: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>> {
        self.call(move |store| store.calls(limit))
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>> {
        self.call(|store| store.workers())
    }
}

impl Upkeep for Faulty {
    fn migrate(&self) -> Answer<'_, Option<usize>> {
        self.call(|store| store.migrate())
    }

    fn examine(&self) -> Answer<'_, Vec<Finding>> {
        self.call(|store| store.examine())
    }

    fn archive(&self, ids: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>> {
        self.call(move |store| store.archive(ids))
    }

    fn prune(&self, stone: Tombstone) -> Answer<'_, Appended> {
        self.call(move |store| store.prune(stone))
    }

    fn tombstone(&self, id: SagaId) -> Answer<'_, Option<Tombstone>> {
        self.call(move |store| store.tombstone(id))
    }
}

impl Records for Faulty {
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        self.call(move |store| store.provisioned(saga))
    }

    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>> {
        self.call(move |store| store.owners(saga))
    }

    fn observe(&self, survey: Survey) -> Answer<'_, Observed> {
        self.call(move |store| store.observe(survey))
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        self.call(|store| store.resources())
    }
}
