//! A store that dies, or loses its answer, at one chosen call.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::desired::Provisioned;
use crate::id::SagaId;
use crate::ledger::Row;
use crate::store::{
    Answer, Appended, Claim, Claimed, Coordination, Enlisted, Filter, Head, NewRun, Records, Runs,
    Started, Store, StoreError, StoredRun, Transition, Wanted, WorkerId, WorkerInfo,
};
use crate::time::Timestamp;

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
    /// The process dies at this point inside a body.
    DieInBody,
}

impl Fault {
    /// The whole alphabet.
    pub const ALL: [Self; 6] = [
        Self::DieBefore,
        Self::DieAfter,
        Self::LoseAnswer,
        Self::FailOnce,
        Self::LoseRace,
        Self::DieInBody,
    ];
}

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
    calls: AtomicU64,
    points: AtomicU64,
    fired: std::sync::atomic::AtomicBool,
    died: CancellationToken,
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

    fn strikes(&self, counter: &AtomicU64, in_body: bool) -> Option<Fault> {
        let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let (fault, nth) = self.planned?;
        let strikes = nth == now && in_body == (fault == Fault::DieInBody);
        if strikes {
            self.fired.store(true, Ordering::SeqCst);
        }
        strikes.then_some(fault)
    }

    /// The dead do nothing any more, not even return.
    async fn alive(&self) {
        if self.died.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// A place inside a body at which the process may die.
    pub async fn point(&self) {
        self.alive().await;
        if self.strikes(&self.points, true).is_some() {
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

/// A store behind one life of a process.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

impl Faulty {
    /// `inner` as this life sees it.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> Answer<'a, T> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            self.faults.alive().await;
            let struck = self.faults.strikes(&self.faults.calls, false);
            let lost = || StoreError::Failed { place: "faulty".into(), why: "no answer".into() };
            match struck {
                Some(Fault::DieBefore) => self.faults.died.cancel(),
                Some(Fault::FailOnce) => return Err(lost()),
                _ => {}
            }
            self.faults.alive().await;
            let answer = call(&*self.inner).await;
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
}

impl Runs for Faulty {
    fn start(&self, run: NewRun, owner: Option<WorkerId>) -> Answer<'_, Started> {
        self.call(move |store| store.start(run, owner))
    }

    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended> {
        self.call(move |store| store.append(claim, transition))
    }

    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended> {
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
        self.call(move |store| store.claim(wanted))
    }

    fn next_due(&self, queues: Arc<[String]>) -> Answer<'_, Option<Timestamp>> {
        self.call(move |store| store.next_due(queues))
    }

    fn nudged(&self, worker: WorkerId) -> Answer<'_, Vec<SagaId>> {
        self.call(move |store| store.nudged(worker))
    }

    fn version(&self) -> Answer<'_, u64> {
        self.call(|store| store.version())
    }
}

impl Records for Faulty {
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        self.call(move |store| store.provisioned(saga))
    }

    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>> {
        self.call(move |store| store.owners(saga))
    }
}
