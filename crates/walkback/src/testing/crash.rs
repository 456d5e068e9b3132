//! T2: a process dies at every call of its store and inside every body; the saga comes to its end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::{Enlistment, SagaView};
use crate::machine::Status;
use crate::store::{Answer, MemoryStore, Store, WorkerId};
use crate::testing::faulty::Interloper;
use crate::testing::world::registry;
use crate::testing::{Does, Fault, Faults, Faulty, Scenario, World};
use crate::{
    Engine, Error, Registry, SagaId, clock::Clock, engine::Asked, time::Timestamp, verify::verify,
    worker::Until,
};

/// Lives after which a saga must have come to rest.
const LIVES: usize = 6;
/// How long one life may take; every wait of a scenario is a millisecond.
const PATIENCE: Duration = Duration::from_secs(20);

/// The runtime's own time, which a test may let jump when nothing else is to do.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock(tokio::time::Instant);

impl VirtualClock {
    /// It is 2020 now.
    #[expect(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_577_836_800_000_000).plus(self.0.elapsed())
    }
}

/// Where a store is, over the lives of its processes.
pub trait Place: Sync {
    /// A new, empty store.
    fn open(&self) -> Answer<'_, Arc<dyn Store>>;

    /// The store as the next process finds it, after the one with this worker has died.
    fn reopen(&self, store: Arc<dyn Store>, dead: Option<WorkerId>) -> Answer<'_, Arc<dyn Store>>;

    /// Checks what the store shows to others against the fold (promise I4).
    ///
    /// # Panics
    /// If it disagrees.
    fn check(&self, _saga: &SagaView) {}
}

/// The memory store: its dead are retired by hand.
#[derive(Clone, Copy, Debug)]
pub struct Memory;

impl Place for Memory {
    fn open(&self) -> Answer<'_, Arc<dyn Store>> {
        Box::pin(async { Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>) })
    }

    fn reopen(&self, store: Arc<dyn Store>, dead: Option<WorkerId>) -> Answer<'_, Arc<dyn Store>> {
        Box::pin(async move {
            if let Some(worker) = dead {
                store.retire(worker).await?;
            }
            Ok(store)
        })
    }
}

/// How many crashes there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Sagas.
    pub scenarios: u64,
    /// Crash points: one saga, one fault, one place.
    pub crashes: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenarios, crashes } = self;
        write!(f, "{scenarios} sagas, {crashes} crash points, faults {:?}", Fault::ALL)
    }
}

/// Runs the scenario once for every fault at every place at which it can strike.
///
/// # Panics
/// If after any of them the saga does not end as promised; the message says which.
pub async fn crash_everywhere(place: &dyn Place, scenario: &Scenario) -> Counts {
    let mut counts = Counts { scenarios: 1, crashes: 0 };
    for fault in Fault::ALL {
        for nth in 1.. {
            let trial = Trial::new(place, scenario, format!("{fault:?} at {nth}")).await;
            let life = Faults::raced(fault, nth, trial.interloper());
            trial.run(Arc::clone(&life)).await;
            if !life.fired() {
                break;
            }
            counts.crashes += 1;
        }
    }
    counts
}

/// Runs the scenario once for every so manieth message after which all connections to its server are
/// cut (T8); the process lives on.
///
/// # Panics
/// As [`crash_everywhere`].
#[cfg(feature = "postgres")]
pub async fn cut_everywhere(
    place: &dyn Place,
    scenario: &Scenario,
    proxy: &crate::testing::postgres::Proxy,
    step: usize,
) -> u64 {
    let mut cuts = 0;
    for nth in (1..).step_by(step) {
        let name = format!("cut after message {nth}");
        let trial = Trial { lives_on: true, ..Trial::new(place, scenario, name).await };
        proxy.cut_after(nth);
        trial.run(Faults::none()).await;
        if !proxy.has_cut() {
            break;
        }
        cuts += 1;
    }
    cuts
}

/// One saga with one fault in the first life of its process.
struct Trial<'a> {
    place: &'a dyn Place,
    scenario: &'a Scenario,
    world: World,
    clock: VirtualClock,
    cancelled: Arc<AtomicBool>,
    name: String,
    store: Arc<dyn Store>,
    /// Whether the worker must get over what goes wrong.
    lives_on: bool,
}

impl<'a> Trial<'a> {
    async fn new(place: &'a dyn Place, scenario: &'a Scenario, name: String) -> Self {
        Self {
            place,
            scenario,
            world: World::cancelling(scenario.cancel),
            clock: VirtualClock::new(),
            cancelled: Arc::default(),
            name,
            store: must(place.open().await),
            lives_on: false,
        }
    }

    /// Somebody in another process, who cancels the saga if it is there.
    fn interloper(&self) -> Interloper {
        let (clock, cancelled) = (self.clock, Arc::clone(&self.cancelled));
        Box::new(move |store| {
            let cancelled = Arc::clone(&cancelled);
            Box::pin(async move {
                let Some(run) = must(store.scan(None, 1).await).pop() else { return };
                let store = Faulty::new(store, Faults::none());
                let engine = must(Engine::with_clock(Registry::new(), store, clock));
                if engine.cancel_saga(run.spec.id, &Asked::default()).await.is_ok() {
                    cancelled.store(true, Ordering::SeqCst);
                }
            })
        })
    }

    async fn run(mut self, first: Arc<Faults>) {
        let mut life = first;
        for _ in 0..LIVES {
            let store = Faulty::new(Arc::clone(&self.store), Arc::clone(&life));
            let registry = registry(&self.world, &life);
            let engine = must(Engine::with_clock(registry, store, self.clock));
            let ended: Pin<Box<dyn Future<Output = ()> + Send + '_>> =
                Box::pin(self.live(engine.clone()));
            let overdue = tokio::time::sleep(PATIENCE);
            tokio::select! {
                biased;
                () = life.died().cancelled() => {}
                () = ended => {}
                () = overdue => self.no_rest().await,
            }
            engine.0.drop_unwatched();
            drop(engine);
            // What was aborted holds the store until the runtime gets to it. A process that is dead
            // holds nothing, so the next one begins after that.
            while Arc::strong_count(&self.store) > 1 {
                tokio::task::yield_now().await;
            }
            // Nobody else may hold the store that is closed here.
            let closed = std::mem::replace(&mut self.store, Arc::new(MemoryStore::new()));
            self.store = must(self.place.reopen(closed, life.worker()).await);
            life = Faults::none();
            if let Some(id) = self.at_rest().await {
                return self.judge(id).await;
            }
        }
        self.no_rest().await;
    }

    async fn no_rest(&self) {
        let run = must(self.store.scan(None, 1).await).pop();
        self.fail(&format!("no rest: {run:#?}"));
    }

    async fn at_rest(&self) -> Option<SagaId> {
        let run = must(self.store.scan(None, 1).await).pop()?;
        run.head.status.at_rest().then_some(run.spec.id)
    }

    /// One life: a worker, and a client that starts the saga, perhaps cancels it, and waits.
    async fn live(&self, engine: Engine) {
        let stop = CancellationToken::new();
        if !self.scenario.hot && self.start(&engine).await.is_none() {
            return;
        }
        let Ok(Enlistment::Working(worker)) = engine.enlist().await else { return };
        let client = async {
            self.client(&engine).await;
            stop.cancel();
        };
        // A process whose worker fails is at its end.
        tokio::select! {
            ended = worker.run(Until::Stopped, stop.clone()) => {
                if let (true, Err(error)) = (self.lives_on, ended) {
                    self.fail(&format!("the worker ended: {error}"));
                }
            }
            () = async { client.await; std::future::pending().await } => {}
        }
    }

    async fn start(&self, engine: &Engine) -> Option<SagaId> {
        for _ in 0..2 {
            if let Ok(started) = engine.start_saga(self.scenario.order()).await {
                return Some(started.id);
            }
        }
        None
    }

    async fn client(&self, engine: &Engine) {
        let Some(id) = self.start(engine).await else { return };
        if let Some(nth) = self.scenario.cancel.filter(|_| !self.was_cancelled()) {
            if nth > 0 {
                tokio::select! {
                    () = self.world.time_to_cancel() => {}
                    _ = engine.wait_for_rest(id) => {}
                }
            }
            self.cancel(engine, id).await;
        }
        while engine.wait_for_rest(id).await.is_err() {}
    }

    fn was_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    async fn cancel(&self, engine: &Engine, id: SagaId) {
        loop {
            match engine.cancel_saga(id, &Asked::default()).await {
                Ok(_) => return self.cancelled.store(true, Ordering::SeqCst),
                Err(Error::Store(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// The world holds what the status says, and the oracle finds nothing.
    async fn judge(&self, id: SagaId) {
        let record = std::io::Cursor::new(self.world.record().into_bytes());
        let report = must(verify(&*self.store, None, Some(Box::new(record))).await);
        if !report.is_clean() || !report.late.is_empty() {
            self.fail(&format!("{report}\n{}", self.world.record()));
        }
        let registry = registry(&self.world, &Faults::none());
        let store = Faulty::new(Arc::clone(&self.store), Faults::none());
        let saga = must(must(Engine::with_clock(registry, store, self.clock)).show_saga(id).await);
        self.place.check(&saga);
        if saga.status == Status::Completed && self.was_cancelled() {
            self.fail("an accepted cancel ended completed");
        }
        if !self.world.made_twice().is_empty() {
            self.fail(&format!("made twice: {:?}", self.world.made_twice()));
        }
        let (left, all) = (self.world.left(), (0..self.scenario.does.len()).collect::<Vec<_>>());
        let kept: Vec<_> = self.scenario.doing(Does::Keep).collect();
        let left_over: Vec<_> = left.iter().copied().filter(|idx| !kept.contains(idx)).collect();
        let residue: Vec<_> = saga.residue.iter().map(|residue| residue.step_idx).collect();
        let sure = saga.residue.iter().filter(|residue| residue.output.is_some());
        let holds = match saga.status {
            Status::Completed => left == all,
            Status::RolledBack => left_over.is_empty(),
            Status::Failed => {
                left_over.iter().all(|idx| residue.contains(idx))
                    && sure.map(|residue| residue.step_idx).all(|idx| left.contains(&idx))
            }
            _ => false,
        };
        if !holds {
            self.fail(&format!("{}: {left:?} is left, residue {residue:?}", saga.status.name()));
        }
    }

    #[expect(clippy::panic, reason = "testing code reports by panic")]
    fn fail(&self, why: &str) -> ! {
        panic!("{} of {:?}: {why}", self.name, self.scenario)
    }
}

#[expect(clippy::panic, reason = "testing code reports by panic")]
pub(super) fn must<T, E: fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
